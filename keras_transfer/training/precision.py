"""Training steps in half precision, on weights that stay float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_transfer.networks.cutting import in_order

__all__ = ["computing_in", "output_layers"]


@contextmanager
def computing_in(model: keras.Model, precision: str) -> Iterator[None]:
    """Let the layers of a model compute in another precision for the time of the block.

    Weights stay float32, and so does the computation of layers that scale inputs and of
    ``output_layers``. A graph that was traced before the block keeps its precision.

    Args:
        model: A functional model.
        precision: A dtype policy: "float32" (nothing changes), "mixed_bfloat16", "mixed_float16".
    """
    scaling = keras.layers.Rescaling | keras.layers.Normalization
    # As under a policy of Keras's: in float16 the loss may overflow.
    kept = {id(layer) for layer in output_layers(model)}
    before = [
        (layer, layer.dtype_policy)
        for layer in model._flatten_layers()
        if precision != "float32"
        and layer.dtype_policy.name == "float32"
        and not isinstance(layer, keras.Model | scaling)
        and id(layer) not in kept
    ]
    try:
        for layer, _ in before:
            layer.dtype_policy = precision
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy


def output_layers(model: keras.Model) -> list[Any]:
    """The last operations with weights before each output, and those without weights after them."""
    makers = {id(tensor): node for node in in_order(model) for tensor in node.output_tensors}
    waiting, found = keras.tree.flatten(model.output), []
    while waiting:
        node = makers[id(waiting.pop())]
        found.append(node.operation)
        if not getattr(node.operation, "weights", ()):
            waiting += node.input_tensors
    return found

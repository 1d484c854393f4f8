"""Training steps in half precision, on weights that stay float32."""

from __future__ import annotations

from collections import defaultdict
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
    ``output_layers``. Other layers change even where they were made with a float32 of their own. A
    graph that was traced before the block keeps its precision.

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
    """The last operations with weights before each output, and those without weights after them.

    Only those that nothing but an output depends on. Of a model within the model: those of that
    model, as a network that was cut consists of some.
    """
    nodes, ends = in_order(model), {id(tensor) for tensor in keras.tree.flatten(model.output)}
    users: dict[int, list[Any]] = defaultdict(list)
    for node in nodes:
        for tensor in node.input_tensors:
            users[id(tensor)].append(node)
    found: list[Any] = []
    passing: set[int] = set()  # what passes on has no weights, and leads to outputs only
    for node in reversed(nodes):
        given = [id(tensor) for tensor in node.output_tensors]
        after = [id(user) for tensor in given for user in users[tensor]]
        if not ends & set(given) and not (after and passing.issuperset(after)):
            continue
        operation = node.operation
        last = output_layers(operation) if hasattr(operation, "_nodes_by_depth") else [operation]
        found += last
        if not any(getattr(one, "weights", ()) for one in last):
            passing.add(id(node))
    return found

"""A network for sequences of one length, made one for sequences of any length."""

from __future__ import annotations

from typing import Any

import keras

from keras_transfer.networks.cutting import in_order

__all__ = ["with_free_length"]


def with_free_length(model: keras.Model) -> keras.Model:
    """Call the layers of a model again on inputs whose second axis is free; weights are shared.

    Args:
        model: From inputs by name, (batch, length, ...) each, to outputs by name.

    Returns:
        From (batch, None, ...) inputs to the same outputs.
    """
    inputs = {
        name: keras.Input((None, *tensor.shape[2:]), dtype=tensor.dtype, name=name)
        for name, tensor in model.input.items()
    }
    given = [inputs[name] for name in model.input]
    outputs = _called(model, dict(zip(map(id, model.input.values()), given, strict=True)))
    return keras.Model(inputs, outputs, name=model.name)


def _called(graph: keras.Model, tensors: dict[int, keras.KerasTensor]) -> Any:
    """Outputs of a graph for other tensors, by the id of its inputs; graphs in it are unfolded."""
    for node in in_order(graph):
        if node.is_input:
            continue
        args, kwargs = node.arguments.fill_in(tensors)
        if isinstance(node.operation, keras.Model):
            # Beside the tensors there may be settings, such as training=None.
            flat = keras.tree.flatten((args, kwargs))
            given = [one for one in flat if isinstance(one, keras.KerasTensor)]
            own = dict(zip(map(id, node.operation.inputs), given, strict=True))
            found = _called(node.operation, own)
        else:
            found = node.operation(*args, **kwargs)
        new = keras.tree.flatten(found)
        tensors |= dict(zip(map(id, node.output_tensors), new, strict=True))
    return keras.tree.map_structure(lambda tensor: tensors[id(tensor)], graph.output)

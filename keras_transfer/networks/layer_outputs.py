"""The part of a backbone up to one of its layers."""

from __future__ import annotations

import keras

from keras_transfer.networks.blocks import blocks, layers_named
from keras_transfer.networks.cutting import in_order, output_of

__all__ = ["up_to"]


def up_to(backbone: keras.Model, name: str) -> keras.Model:
    """A network that ends at a block or layer of a backbone, and shares its layers.

    Args:
        backbone: As ``build_backbone`` or ``build_text_backbone`` makes it.
        name: A block, whose last layer counts and the operations behind it, or a layer.

    Returns:
        From the inputs of the backbone to what the block or layer gives.

    Raises:
        UnknownName: No block or layer has that name.
    """
    layer = layers_named(backbone, name)[-1]
    tensor = output_of(backbone, layer.name)
    if name in blocks(backbone):
        tensor = _behind_operations(backbone, tensor)
    return keras.Model(backbone.input, tensor, name=backbone.name)


def _behind_operations(backbone: keras.Model, tensor: keras.KerasTensor) -> keras.KerasTensor:
    """What operations that are no layers make of a tensor that nothing else takes.

    The skips of ConvNeXt end so: ``x + shortcut`` is no layer, and belongs to the block.
    """
    nodes = in_order(backbone)
    while True:
        users = [node for node in nodes if any(one is tensor for one in node.input_tensors)]
        if len(users) != 1 or isinstance(users[0].operation, keras.Layer):
            return tensor
        tensor = users[0].output_tensors[0]

"""The part of a backbone up to one of its layers."""

from __future__ import annotations

import keras

from keras_transfer.networks.blocks import layers_named
from keras_transfer.networks.cutting import output_of

__all__ = ["up_to"]


def up_to(backbone: keras.Model, name: str) -> keras.Model:
    """A network that ends at a block or layer of a backbone, and shares its layers.

    Args:
        backbone: As ``build_backbone`` or ``build_text_backbone`` makes it.
        name: A block, whose last layer counts, or a layer.

    Returns:
        From the inputs of the backbone to what the layer gives.

    Raises:
        UnknownName: No block or layer has that name.
    """
    layer = layers_named(backbone, name)[-1]
    return keras.Model(backbone.input, output_of(backbone, layer.name), name=backbone.name)

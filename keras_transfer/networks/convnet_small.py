"""A small network for small images: three blocks of two convolutions."""

from __future__ import annotations

import keras
from keras import layers

__all__ = ["convnet_small"]

WIDTHS = (32, 64, 128)


def convnet_small(
    *, include_top: bool = False, weights: None = None, input_shape: tuple[int, int, int]
) -> keras.Model:
    """Build the network, by the arguments with which those of ``keras.applications`` are built.

    VGG's plan (Simonyan and Zisserman 2015) with batch normalisation after each convolution,
    thinned for images of 8 to 64 pixels a side: the maps are halved twice only, so that
    16 x 16 pixels still leave 4 x 4 features.

    Args:
        include_top: Must be False; there is no classifier to include.
        weights: Must be None; there are no published weights.
        input_shape: (height, width, channels), height and width at least 8.

    Returns:
        (batch, height, width, channels) to (batch, height // 4, width // 4, 128).

    Raises:
        ValueError: A top or weights are asked for.
    """
    if include_top or weights is not None:
        raise ValueError("convnet_small has neither a top nor published weights")
    x = pixels = keras.Input(input_shape)
    for number, width in enumerate(WIDTHS, start=1):
        x = _block(x, width, f"block{number}")
        if number < len(WIDTHS):
            x = layers.MaxPooling2D(2, name=f"block{number}_pool")(x)
    return keras.Model(pixels, x, name="convnet_small")


def _block(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    for number in (1, 2):
        x = layers.Conv2D(
            width,
            3,
            padding="same",
            use_bias=False,  # batch normalisation would subtract it again
            kernel_initializer="he_normal",
            name=f"{name}_conv{number}",
        )(x)
        x = layers.BatchNormalization(name=f"{name}_bn{number}")(x)
        x = layers.Activation("relu", name=f"{name}_relu{number}")(x)
    return x

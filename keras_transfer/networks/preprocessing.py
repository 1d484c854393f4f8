"""Preprocessing of pixels for each network, as Keras layers inside the graph."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from keras_transfer.tables import Table

if TYPE_CHECKING:
    import keras

__all__ = ["PREPROCESSINGS", "Preprocessing", "preprocess"]

Channels = tuple[float, ...]

MEAN: Channels = (0.485, 0.456, 0.406)
STD: Channels = (0.229, 0.224, 0.225)
CLIP_MEAN: Channels = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Channels = (0.26862954, 0.26130258, 0.27577711)


def _standardized(mean: Channels, std: Channels) -> tuple[Channels, Channels]:
    """Scale and offset of (x / 255 - mean) / std."""
    scale = tuple(1 / (255 * one) for one in std)
    return scale, tuple(-one / by for one, by in zip(mean, std, strict=True))


@dataclass(frozen=True)
class Preprocessing:
    """An affine map of RGB pixels 0..255: ``x * scale + offset``, channel by channel.

    Attributes:
        scale: One factor, or one per channel.
        offset: One summand, or one per channel.
        bgr: Whether the channel order is reversed first.
    """

    scale: float | Channels = 1.0
    offset: float | Channels = 0.0
    bgr: bool = False


PREPROCESSINGS: Table[Preprocessing] = Table(
    "preprocessing",
    {
        "none": Preprocessing(),
        "tf": Preprocessing(1 / 127.5, -1.0),
        "unit": Preprocessing(1 / 255),  # 0..1, as ImageDataGenerator(rescale=1/255) gives
        # The offsets are those of blue, green and red, so the channels are reversed first.
        "caffe": Preprocessing(offset=(-103.939, -116.779, -123.68), bgr=True),
        "torch": Preprocessing(*_standardized(MEAN, STD)),
        "clip": Preprocessing(*_standardized(CLIP_MEAN, CLIP_STD)),
        # EfficientNet's first layers compute (x / 255 - mean) / sqrt(std), where its weights were
        # trained on (x / 255 - mean) / std. Keras puts one more layer behind them, but only when
        # it fetches the ImageNet weights itself; the same is had by stretching the pixels about
        # the mean before they go in: mean + (x / 255 - mean) / sqrt(std), times 255.
        "efficientnet": Preprocessing(
            tuple(1 / sqrt(std) for std in STD),
            tuple(255 * mean * (1 - 1 / sqrt(std)) for mean, std in zip(MEAN, STD, strict=True)),
        ),
    },
)
"""The modes of ``keras.applications.imagenet_utils.preprocess_input``, and others."""


def preprocess(pixels: keras.KerasTensor, mode: str) -> keras.KerasTensor:
    """Add a preprocessing to a graph.

    Only layers and operations of Keras are used, so that a saved model loads without this
    package. They compute in float32 under any precision policy: bfloat16 cannot tell
    neighbouring pixel values apart.

    Args:
        pixels: (batch, height, width, 3) RGB, 0..255.
        mode: A row of ``PREPROCESSINGS``.

    Returns:
        Of the same shape, float32.

    Raises:
        UnknownName: No preprocessing has that name.
    """
    import keras

    row = PREPROCESSINGS[mode]
    if row.bgr:
        pixels = keras.ops.flip(pixels, axis=-1)
    if (row.scale, row.offset) == (1.0, 0.0):
        return pixels
    return keras.layers.Rescaling(
        _plain(row.scale), _plain(row.offset), dtype="float32", name="preprocessing"
    )(pixels)


def _plain(value: float | Channels) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value

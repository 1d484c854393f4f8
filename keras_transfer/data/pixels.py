"""Images in memory, each of its own size: arrays and PIL images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.data.samples import CheckResult, Judge
from keras_transfer.errors import BadData

__all__ = ["Pixels", "as_images", "in_memory"]


class Pixels:
    """A store of decoded images.

    Args:
        images: (height, width, 3) uint8 RGB each.
    """

    def __init__(self, images: Sequence[np.ndarray]):
        self.images = images

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Read image number ``row``: (height, width, 3) uint8 RGB."""
        pixels = tf.numpy_function(lambda row: self.images[int(row)], [row], tf.uint8)
        return tf.ensure_shape(pixels, (None, None, 3))

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Digest the pixels."""
        height, width, _ = self.images[row].shape
        reason = f"has only {width} x {height} pixels" if min(height, width) < 2 else ""
        return CheckResult(hashlib.sha256(self.images[row].tobytes()).hexdigest(), reason)

    def stamp(self, row: int) -> None:
        """Say that looking again costs nothing."""


def as_images(given: Sequence[Any]) -> list[np.ndarray] | None:
    """Turn what holds images into RGB pixels.

    Args:
        given: PIL images; arrays (height, width), (height, width, 1 | 3 | 4), (n, height, width)
            or (n, height, width, 1 | 3 | 4), of whole numbers in 0..255 or floats in 0..1 or
            0..255. A PIL image is turned as its EXIF says. The range of floats is judged over all.

    Returns:
        (height, width, 3) uint8 for each image; None where none is given, but paths perhaps.

    Raises:
        BadData: An array is no image, or images stand beside paths.
    """
    strange = [repr(one)[:80] for one in given if not in_memory(one)]
    if len(strange) == len(given):
        return None
    if strange:
        raise BadData("Give paths, or images and arrays, not both. These are neither:", strange)
    images = [image for one in given for image in _each(one)]
    factor = _factor([image for image in images if image.dtype != np.uint8])
    return [_rgb(image, factor) for image in images]


def in_memory(given: Any) -> bool:
    """Whether this is a PIL image, or an array or tensor of anything but texts."""
    if isinstance(given, str) or not hasattr(given, "__array__"):
        return hasattr(given, "getexif")
    return np.asarray(given).dtype.kind not in "USO"


def _each(one: Any) -> list[np.ndarray]:
    """The images, (height, width, channels), of a PIL image, an array of one, or one of several."""
    if hasattr(one, "getexif"):
        from PIL import ImageOps

        if one.mode not in _MODES:
            raise BadData(f"A PIL image of mode {one.mode!r} has no plain colours; make it RGB.")
        return [np.asarray(ImageOps.exif_transpose(one).convert("RGB"))]
    array = np.asarray(one)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        array = array[..., None]
    images = list(array) if array.ndim == 4 else [array]
    if array.ndim not in (3, 4) or array.shape[-1] not in (1, 3, 4) or 0 in array.shape:
        raise BadData(
            "An image should be (height, width) or (height, width, 1 | 3 | 4), several of them (n, "
            f"height, width) or (n, height, width, 1 | 3 | 4); found {np.shape(one)}."
        )
    return images


_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La")


def _factor(images: list[np.ndarray]) -> int:
    """From the range of images that are not uint8 to 0..255."""
    if not images:
        return 1
    kinds = {image.dtype.kind for image in images}
    low, high = min(image.min() for image in images), max(image.max() for image in images)
    floats = kinds == {"f"}
    if not kinds <= set("uif") or not (low >= 0 and high <= 255) or (floats and 1 < high < 2):
        raise BadData(f"Pixels should lie in 0..255, or 0..1 for floats; found {low} to {high}.")
    if len(kinds) > 1 and "f" in kinds:
        raise BadData("Some images are whole numbers, others floats; give them one type.")
    return 255 if floats and high <= 1 else 1


def _rgb(image: np.ndarray, factor: int) -> np.ndarray:
    if image.dtype != np.uint8:
        image = np.round(image * float(factor)).astype(np.uint8)
    colours = image[..., :3] if image.shape[2] > 1 else image
    return np.ascontiguousarray(np.broadcast_to(colours, (*image.shape[:2], 3)))

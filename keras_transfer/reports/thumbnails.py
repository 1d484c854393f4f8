"""Small JPEGs of images as data URIs, and what a data card says of single images."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

__all__ = ["ImageFacts", "image_facts", "sheet", "thumbnail", "uri_of"]

QUALITY = 72
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
"""Formats that training can read; Pillow must not try its other decoders on foreign bytes."""


class ImageFacts(NamedTuple):
    """Properties of an image.

    Attributes:
        width: In pixels, upright.
        height: In pixels, upright.
        brightness: Mean grey value, 0 to 255.
    """

    width: int
    height: int
    brightness: float


def thumbnail(raw: Any, side: int) -> str:
    """A data URI of an image in JPEG; empty where Pillow cannot decode it.

    Args:
        raw: Encoded bytes, or (height, width, 3) uint8 pixels.
        side: Length of its longer side, in pixels.
    """
    opened = _opened(raw, side)
    if opened is None:
        return ""
    image = opened[0]
    if max(image.size) < side:  # tiny images, such as digits, are enlarged without blur
        factor = side / max(image.size)
        size = tuple(max(1, round(length * factor)) for length in image.size)
        image = image.resize((size[0], size[1]), Image.Resampling.NEAREST)
    image.thumbnail((side, side))
    return uri_of(image)


def image_facts(raw: Any) -> ImageFacts | None:
    """Size and brightness of an image as ``thumbnail`` takes it; None if it cannot be decoded."""
    opened = _opened(raw, 32)
    if opened is None:
        return None
    image, (width, height) = opened
    image.thumbnail((32, 32))
    return ImageFacts(width, height, float(np.asarray(image.convert("L")).mean()))


def sheet(path: Path, side: int) -> str:
    """A data URI of an image file, such as ``augmented.png``; empty if there is none."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, ValueError):
        return ""
    small.thumbnail((side, side))
    return uri_of(small)


def _opened(raw: Any, side: int) -> tuple[Image.Image, tuple[int, int]] | None:
    """An upright RGB image of at least this size, if it is large enough, and its full size."""
    if not isinstance(raw, bytes):
        image = Image.fromarray(np.asarray(raw, np.uint8))
        return image, image.size
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(raw), "r", FORMATS) as image:
            warnings.simplefilter("ignore")  # of odd metadata; the scan has judged the image
            size, turned = image.size, image.getexif().get(0x112, 1) in range(5, 9)
            # JPEGs are decoded at a fraction of their size, which is many times as fast.
            image.draft("RGB", (2 * side, 2 * side))
            if image.mode.startswith("I;16"):  # Pillow would cut off at 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # any error of Pillow on foreign bytes
        return None
    return upright, (size[::-1] if turned else size)


def uri_of(image: Image.Image) -> str:
    """A data URI of an image in JPEG, without metadata."""
    file = io.BytesIO()
    image.info.clear()  # Pillow would copy comments
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"

"""Heat over an image."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from keras_transfer.reports.thumbnails import uri_of

__all__ = ["overlay", "overlay_png", "overlay_uri"]

ANCHORS = np.array(
    [(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], "float32"
)
"""Matplotlib's inferno in five colours: brighter is more, in grey prints and for colour-blind
readers too."""

OPACITY = 0.75
"""Of the highest heat."""


def overlay(pixels: np.ndarray, heat: np.ndarray) -> Image.Image:
    """The image in pale grey, and over it the heat: dark red to yellow, the more the less clear.

    Args:
        pixels: (height, width, 3) uint8.
        heat: (height, width) float, 0..1.
    """
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    base = 0.35 * pixels + 0.45 * grey[..., np.newaxis] + 30
    steps = np.linspace(0, 1, len(ANCHORS))
    colour = np.stack([np.interp(heat, steps, channel) for channel in ANCHORS.T], axis=-1)
    opacity = OPACITY * np.clip(heat, 0, 1)[..., np.newaxis]
    shown = (1 - opacity) * base + opacity * colour
    return Image.fromarray(np.clip(shown, 0, 255).astype("uint8"))


def overlay_png(pixels: np.ndarray, heat: np.ndarray) -> bytes:
    """The same as a PNG file."""
    file = io.BytesIO()
    overlay(pixels, heat).save(file, "PNG")
    return file.getvalue()


def overlay_uri(pixels: np.ndarray, heat: np.ndarray, side: int) -> str:
    """The same as a data URI of a JPEG.

    Args:
        pixels: (height, width, 3) uint8.
        heat: (height, width) float, 0..1.
        side: Longest side in pixels.
    """
    image = overlay(pixels, heat)
    image.thumbnail((side, side))
    return uri_of(image)

"""Raw images as a network sees them, outside of tf.data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["prepared"]


def prepared(bound: Any, raw: Sequence[Any]) -> np.ndarray:
    """(n, size, size, 3) float32 pixels, 0..255.

    Args:
        bound: The input, bound to a network.
        raw: Encoded bytes, or (height, width, 3) uint8 pixels, of each image.
    """
    pixels = [bound.load(tf.constant(one))["pixels"] for one in raw]
    return bound.collate({"pixels": tf.stack(pixels)})["pixels"].numpy()

"""From batches of pixels to probabilities."""

from __future__ import annotations

import sys

import keras
import numpy as np
import tensorflow as tf
from scipy.special import softmax
from tqdm import tqdm

__all__ = ["probabilities"]


def probabilities(model: keras.Model, batches: tf.data.Dataset, title: str = "") -> np.ndarray:
    """Run a classifier over batches, in their order.

    Args:
        model: Takes (batch, size, size, 3) float32 pixels in [0, 255], gives logits.
        batches: Of pixels, or of tuples whose first is pixels.
        title: Of the progress bar on a terminal's stderr.

    Returns:
        (n, classes) float64 probabilities; each row sums to 1.
    """
    forward = tf.function(lambda pixels: model(pixels, training=False))
    bar = tqdm(batches, desc=title, leave=False, disable=None, file=sys.stderr)
    first = (batch[0] if isinstance(batch, tuple) else batch for batch in bar)
    logits = [forward(pixels).numpy() for pixels in first]
    return softmax(np.concatenate(logits).astype("float64"), axis=1)

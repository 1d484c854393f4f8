"""From batches of pixels to probabilities."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import softmax
from tqdm import tqdm

__all__ = ["agree", "probabilities"]


def probabilities(
    model: keras.Model, batches: Iterable[Any], title: str = "", *, graph: bool = True
) -> np.ndarray:
    """Run a classifier over batches, in their order.

    Args:
        model: Takes (batch, size, size, 3) float32 pixels in [0, 255], or features of a frozen
            part; gives logits.
        batches: Of what it takes, or of tuples whose first is that.
        title: Of the progress bar on a terminal's stderr.
        graph: Whether to make a graph first, which pays for more than a few batches.

    Returns:
        (n, classes) float64 probabilities; each row sums to 1. (n, members, classes) of a model
        that gives the logits of several.
    """
    forward = functools.partial(model, training=False)
    forward = tf.function(forward) if graph else forward
    bar = tqdm(batches, desc=title, leave=False, disable=None, file=sys.stderr)
    first = (batch[0] if isinstance(batch, tuple) else batch for batch in bar)
    logits = [forward(pixels).numpy() for pixels in first]
    return softmax(np.concatenate(logits).astype("float64"), axis=-1)


def agree(some: np.ndarray, others: np.ndarray, tolerance: float = 0.05) -> bool:
    """Whether two ways to compute the same probabilities answer alike.

    Args:
        some: (n, classes) probabilities.
        others: (n, classes) probabilities.
        tolerance: Largest difference of a probability; and how far apart the two best classes may
            be where the first one differs.
    """
    rows = np.arange(len(some))
    margin = others.max(axis=1) - others[rows, some.argmax(axis=1)]
    return bool(np.abs(some - others).max() <= tolerance and margin.max() <= tolerance)

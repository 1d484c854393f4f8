"""Features on their way from an engine: counted on a bar, and refused if they are no numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from keras_transfer.errors import CheckFailed

__all__ = ["finite", "shown"]


def shown(batches: Iterator[np.ndarray], total: int) -> Iterator[np.ndarray]:
    """Pass batches on, with a bar where stderr is a terminal."""
    with tqdm(total=total, desc="Features", leave=False, disable=None, file=sys.stderr) as bar:
        for features in batches:
            yield features
            bar.update(len(features))


def finite(
    batches: Iterator[np.ndarray], dtype: np.dtype, boundary: str, engine: str
) -> Iterator[np.ndarray]:
    """Pass batches on as they are stored.

    A choice of engine and dtype is validated on some images; others may exceed what they hold.

    Args:
        batches: (n, ...) float32 features each.
        dtype: Of the features on disk or in memory.
        boundary: Name of the layer that gives them, for the message.
        engine: What computes them, for the message.

    Raises:
        CheckFailed: One is infinite or NaN.
    """
    for features in batches:
        with np.errstate(over="ignore"):
            kept = features.astype(dtype, copy=False)
        bad = int((~np.isfinite(kept).reshape(len(kept), -1).all(axis=1)).sum())
        if bad:
            raise CheckFailed(
                f"Features of {bad} of {len(kept)} images are infinite or NaN, up to {boundary!r} "
                f"by {engine} as {np.dtype(dtype).name}. If the weights are sound (kt-recipe "
                "weights verify), use --engine none, which stores no features."
            )
        yield kept

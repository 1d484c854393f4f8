"""Exact copies of an image form a family, which counts as one image in statistics."""

from __future__ import annotations

import logging

import numpy as np

from keras_transfer.data.samples import SPLITS, Samples

__all__ = ["families", "report_copies"]

logger = logging.getLogger("keras_transfer")


def families(digests: np.ndarray) -> np.ndarray:
    """Number the families of images that are exact copies of each other.

    Args:
        digests: (n,) str, equal for exact copies; "" for an image that has none, and no copies.

    Returns:
        (n,) int64 from 0 on, in the order of appearance.
    """
    numbers: dict[object, int] = {}
    keys = [digest or row for row, digest in enumerate(digests)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], "int64")


def report_copies(samples: Samples) -> None:
    """Log the number of images in each split that are copies of another one in it."""
    for split in (*SPLITS, ""):
        digests = samples.split(split).digests
        distinct = len(set(families(digests)))
        if distinct < len(digests):
            logger.warning(
                "Warning: of %s images in the %s only %s are distinct; the others are exact "
                "copies. Intervals of metrics count distinct images.",
                *(f"{len(digests):,}", f"{split} split" if split else "data", f"{distinct:,}"),
            )

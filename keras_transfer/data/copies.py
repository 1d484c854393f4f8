"""Exact copies of an example form a family, which counts as one example in statistics."""

from __future__ import annotations

import logging

import numpy as np

from keras_transfer.data.samples import SPLITS, Samples

__all__ = ["families", "report_copies"]

logger = logging.getLogger("keras_transfer")


def families(digests: np.ndarray) -> np.ndarray:
    """Number the families of examples that are exact copies of each other.

    Args:
        digests: (n,) str, equal for exact copies; "" for an example that has none, and no copies.

    Returns:
        (n,) int64 from 0 on, in the order of appearance.
    """
    numbers: dict[object, int] = {}
    keys = [digest or row for row, digest in enumerate(digests)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], "int64")


def report_copies(samples: Samples) -> None:
    """Log the number of examples in each split that are copies of another one in it."""
    for split in (*SPLITS, ""):
        digests = samples.split(split).digests
        distinct = len(set(families(digests)))
        if distinct < len(digests):
            logger.warning(
                "Warning: of %s examples in the %s only %s are distinct; the others are exact "
                "copies. Intervals of metrics count distinct examples.",
                *(f"{len(digests):,}", f"{split} split" if split else "data", f"{distinct:,}"),
            )

"""The range of pixel values in arrays: 0..255, or 0..1 for floats, the same in every split."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from keras_transfer.errors import BadData

__all__ = ["check_ranges", "to_255"]

logger = logging.getLogger("keras_transfer")

BLACK, BRIGHT = 1.5, 64
"""Of 255: what no pixel of a nearly black split exceeds, and what some of a usual one do."""


def to_255(x: np.ndarray) -> int:
    """Factor from the range of an array to 0..255: 255 for floats in 0..1, else 1.

    Args:
        x: (n, ...) pixels, whole numbers or floats; n at least 1.

    Raises:
        BadData: They lie outside of 0..255, or in 0..2 as floats: neither range.
    """
    low, high = x.min(), x.max()
    floats = x.dtype.kind == "f"
    if not (low >= 0 and high <= 255) or (floats and 1 < high < 2):  # also for NaN
        raise BadData(f"Pixels should lie in 0..255, or 0..1 for floats; found {low} to {high}.")
    return 255 if floats and high <= 1 else 1


def check_ranges(splits: Mapping[str, np.ndarray]) -> None:
    """Refuse splits whose pixels are scaled differently, and warn of nearly black images.

    A split is nearly black if none of its pixels exceeds 1 of 255: floats that were divided by
    255 twice, or divided and then made whole numbers.

    Args:
        splits: (n, ...) pixels by split.

    Raises:
        BadData: Names the range of each split.
    """
    # Arrays of other types are refused where they are read.
    pixels = {split: x for split, x in splits.items() if x.size and x.dtype.kind in "uif"}
    factors = {split: to_255(x) for split, x in pixels.items()}
    highest = {split: float(x.max()) * factors[split] for split, x in pixels.items()}
    uneven = any(value < BLACK for value in highest.values()) and max(highest.values()) > BRIGHT
    if len(set(factors.values())) > 1 or uneven:
        ranges = [f"{split}: {x.dtype} {x.min()} to {x.max()}" for split, x in pixels.items()]
        raise BadData(
            "The pixels of all splits should have one range, 0..255 or 0..1; scale those of the "
            "splits that differ:",
            ranges,
        )
    for split, x in pixels.items():
        where = f" of the {split} split" if split else ""
        if highest[split] < BLACK:
            logger.warning(
                "Warning: no pixel%s exceeds 1 of 255, so the images are nearly black. Multiply "
                "the pixels by 255 if 1 is white.",
                where,
            )
        elif x.dtype.kind == "f" and factors[split] == 1:
            _warn_of_small_ones(where, x)


def _warn_of_small_ones(where: str, x: np.ndarray) -> None:
    """Warn of images in 0..1 among others in 0..255."""
    flat = x.reshape(len(x), -1)
    highest = flat.max(axis=1)
    small = np.flatnonzero((highest > 0) & (highest <= 1))
    if len(small):
        logger.warning(
            "Warning: %s of %s images%s lie in 0..1, the others in 0..255, such as number %s. "
            "Scale all of them to one range.",
            f"{len(small):,}",
            f"{len(x):,}",
            where,
            small[0],
        )

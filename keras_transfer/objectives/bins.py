"""Strata of examples that have numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["value_strata"]

MAX_BINS = 10
MIN_STRATUM = 3
"""One example for each of train, val and test."""
PER_BIN = 10
"""Examples for each bin: so many fill train, val and test in usual proportions."""


def value_strata(values: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Divide examples at quantiles of their target, so that splits cover its range alike.

    Of several targets the first principal direction of the standardised targets is divided. There
    are at most 10 bins, and one per 10 examples at most. Equal values are in the same bin, and a
    bin of fewer than 3 examples joins the smaller of its neighbours.

    Args:
        values: (n, targets) float; rows with NaN form a stratum "(not known)" of their own, the
            last.
        names: Names of the targets.

    Returns:
        (n,) int32 strata, rising with the values, and their names, such as "price 3 to 7.5".
    """
    # NaN sorts above all numbers, so unknown rows would join the last bin.
    known = ~np.isnan(values).any(axis=1)
    strata = np.zeros(len(values), "int32")
    title, along = names[0], np.zeros(0)
    if known.any():
        along = _along(values[known].astype(float))
        strata[known] = _bins(along)
    if values.shape[1] > 1:
        title = "first principal direction"
    labels = []
    for stratum in range(strata[known].max(initial=-1) + 1):
        inside = along[strata[known] == stratum]
        labels.append(f"{title} {inside.min():.6g} to {inside.max():.6g}")
    if not known.all():
        strata[~known] = len(labels)
        labels.append("(not known)")
    return strata, tuple(labels)


def _along(values: np.ndarray) -> np.ndarray:
    """(n,) the target, or the first principal component of several."""
    if values.shape[1] == 1:
        return values[:, 0]
    centred = values - values.mean(axis=0)
    std = centred.std(axis=0)
    # A constant target would give 0 / 0. Scaling: no target may win by its unit.
    scaled = centred / np.where(std > 0, std, 1)
    direction = np.linalg.svd(scaled, full_matrices=False)[2][0]
    # Either sign is a principal direction: let the largest coefficient be positive.
    return scaled @ (direction * np.sign(direction[np.abs(direction).argmax()]))


def _bins(values: np.ndarray) -> np.ndarray:
    """(n,) int bin of each value, without gaps."""
    bins = min(MAX_BINS, max(1, len(values) // PER_BIN))
    edges = np.quantile(values, np.arange(1, bins) / bins, method="higher")
    # Repeated values leave bins empty; strata need numbers without gaps.
    number = np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)[1]
    sizes = np.bincount(number)
    # Smallest first: two small neighbours may be enough together.
    while len(sizes) > 1 and sizes.min() < MIN_STRATUM:
        small = int(sizes.argmin())
        neighbours = [place for place in (small - 1, small + 1) if 0 <= place < len(sizes)]
        into = min(neighbours, key=lambda place: sizes[place])
        number[number == small] = into
        number = np.unique(number, return_inverse=True)[1]
        sizes = np.bincount(number)
    return number

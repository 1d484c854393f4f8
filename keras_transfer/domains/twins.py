"""Pairs of examples whose features point in almost the same direction: near-duplicates, "twins".

Photos of one thing from another side, frames of one video, copies that were scaled or compressed
again: no digest and hardly a perceptual hash finds them, features of a pretrained network do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from keras_transfer.errors import BadData, CheckFailed

__all__ = ["Twins", "clusters", "default_threshold", "mean_cosine", "twins"]

ROWS, COLUMNS = 1024, 8192
"""Of a tile of the matrix of cosines, which as a whole never exists: 32 MB in float32."""

SLACK = 1e-3
"""By which a cosine in float32 may be below the threshold to be computed again in float64."""

MANY = 20_000
"""Rows from which the comparison takes long enough for a progress bar."""

MOST = 2_000_000
"""Pairs; more are no finding but a threshold that is too low."""


class Twins(NamedTuple):
    """Pairs of rows, the most similar first.

    Attributes:
        first: (m,) int64 the smaller row number of each pair.
        second: (m,) int64 the larger one.
        cosines: (m,) float64, descending; exactly 1 for rows that are equal.
    """

    first: np.ndarray
    second: np.ndarray
    cosines: np.ndarray


def default_threshold(features: np.ndarray) -> float:
    """The cosine from which two examples are called twins: 1 - (1 - m) / 6, with m ``mean_cosine``.

    A cosine of 0.9 means nothing by itself: features of unrelated images have one of 0.4, those of
    unrelated texts a far higher one (Ethayarajh, EMNLP 2019). So it is measured from the mean of
    all pairs: twins have covered five sixths of the way from there to 1. docs/checking.md says
    where the five sixths come from.

    Args:
        features: (n, channels) float, n >= 2.

    Returns:
        At most 1.
    """
    return min(1.0, 1 - (1 - mean_cosine(features)) / 6)  # of equal rows it may round above 1


def mean_cosine(features: np.ndarray) -> float:
    """Mean cosine of all pairs of different rows: (|sum of unit rows|² - n) / (n (n - 1)).

    Args:
        features: (n, channels) float, n >= 2; rows of zeros do not count.

    Returns:
        -1 to 1; 0 where fewer than two rows count.

    Raises:
        BadData: The features are no matrix.
        CheckFailed: A feature is NaN or infinite.
    """
    table = _checked(features)
    total, n = np.zeros(table.shape[1]), 0
    for start in range(0, len(table), ROWS):
        unit = _unit(table[start : start + ROWS])
        total += unit.sum(axis=0)
        n += int(unit.any(axis=1).sum())
    return float((total @ total - n) / (n * (n - 1))) if n > 1 else 0.0


# One thread, as in `distances`.
@threadpool_limits.wrap(limits=1)
def twins(features: np.ndarray, threshold: float) -> Twins:
    """All pairs i < j with cos(x_i, x_j) >= threshold.

    cos(x, y) = 1 - |x / |x| - y / |y||² / 2, in float64. Candidates are found tile by tile in
    float32: the matrix of all cosines is never in memory.

    Args:
        features: (n, channels) float.
        threshold: Above 0, at most 1.

    Returns:
        The pairs by falling cosine, ties by row number. A row of zeros is no twin of any.

    Raises:
        BadData: The features are no matrix, the threshold is no such number, or there are more than
            two million pairs.
        CheckFailed: A feature is NaN or infinite.
    """
    table = _checked(features)
    if not 0 < threshold <= 1:
        raise BadData(f"The cosine of twins is above 0 and at most 1, not {threshold:g}.")
    found, count = [np.zeros((0, 3))], 0
    for candidates in _candidates(table, threshold - SLACK):
        # Before they are computed again, which takes minutes for a tile of nothing but candidates.
        if len(candidates) <= MOST:
            found.append(_exact(table, candidates, threshold))
            count += len(found[-1])
        if max(count, len(candidates)) > MOST:
            raise BadData(
                f"More than {MOST:,} pairs have a cosine of {threshold:g} or more. Raise it."
            )
    pairs = np.concatenate(found)
    first, second = pairs[:, 0].astype("int64"), pairs[:, 1].astype("int64")
    order = np.lexsort((second, first, -pairs[:, 2]))
    return Twins(first[order], second[order], pairs[order, 2])


def clusters(pairs: Twins, n: int) -> np.ndarray:
    """Number the connected components of twins.

    Args:
        pairs: As ``twins`` returns them.
        n: Number of rows.

    Returns:
        (n,) int32: rows with the same number are linked by twins, directly or over others.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = (np.ones(len(pairs.first), bool), (pairs.first, pairs.second))
    return connected_components(coo_array(links, shape=(n, n)), directed=False)[1]


def _checked(features: np.ndarray) -> np.ndarray:
    table = np.asarray(features)
    if table.ndim != 2:
        raise BadData(
            f"The features have the shape {table.shape}; twins are rows of a matrix. Pool features "
            "of images."
        )
    if not np.isfinite(table).all():
        raise CheckFailed("Some features are NaN or infinite. Check the weights of the network.")
    return table


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, in float64; rows of zeros stay."""
    wide = rows.astype("float64")
    lengths = np.sqrt((wide**2).sum(axis=1, keepdims=True))
    return wide / np.where(lengths > 0, lengths, 1)


def _candidates(table: np.ndarray, threshold: float) -> Iterator[np.ndarray]:
    """(m, 2) int64 rows i < j with a cosine of the threshold in float32, tile by tile."""
    unit = np.empty(table.shape, "float32")
    for start in range(0, len(table), ROWS):
        unit[start : start + ROWS] = _unit(table[start : start + ROWS])
    silent = None if len(unit) > MANY else True  # None: where stderr is no terminal
    for top in tqdm(range(0, len(unit), ROWS), "Comparing examples", disable=silent):
        for left in range(top, len(unit), COLUMNS):
            cosines = unit[top : top + ROWS] @ unit[left : left + COLUMNS].T
            pairs = np.argwhere(cosines >= threshold) + np.array([top, left])
            yield pairs[pairs[:, 0] < pairs[:, 1]]


def _exact(table: np.ndarray, pairs: np.ndarray, threshold: float) -> np.ndarray:
    """(m, 3) float64 of the pairs that reach the threshold: rows, and cosine."""
    kept = [np.zeros((0, 3))]
    for start in range(0, len(pairs), ROWS):
        some = pairs[start : start + ROWS]
        one, other = (_unit(table[some[:, side]]) for side in (0, 1))
        # Not the product: this is symmetric to the last bit, and 1 for equal rows.
        cosines = 1 - ((one - other) ** 2).sum(axis=1) / 2
        reached = (cosines >= threshold) & one.any(axis=1) & other.any(axis=1)
        kept.append(np.column_stack([some, cosines])[reached])
    return np.concatenate(kept)

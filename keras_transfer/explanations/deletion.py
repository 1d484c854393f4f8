"""Deletion: how fast the probability falls as the pixels with the highest heat are removed.

The area under the probability over the share of removed pixels; lower is better (Petsiuk et al.
2018, RISE, https://arxiv.org/abs/1806.07421, section 4.1). Removed are squares, a fourteenth of the
side, the one with the highest mean heat first; and, as a baseline, the same squares in the order of
a random map that is as smooth as a map of a network. Scattered squares or pixels in random order
would put edges everywhere, and look as good as any map by destroying the image: docs/explaining.md
has the measurement.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_transfer.explanations.subject import FILL, Subject

__all__ = ["Deletion", "deletion", "random_map", "removal_order"]

SIDE = 14
"""Squares per side."""

STEPS = 14
"""Steps in which squares are removed."""

COARSE = 4
"""Independent values per side of a random map; linear between them."""


class Deletion(NamedTuple):
    """Areas under curves, 0..1.

    Attributes:
        score: In the order of the heat.
        random: In the order of a random map.
    """

    score: float
    random: float


def deletion(
    subject: Subject, image: np.ndarray, attributions: np.ndarray, unit: int, seed: int = 0
) -> Deletion | None:
    """Remove the squares of an image in the order of what they contribute.

    Args:
        subject: What is explained.
        image: (size, size, 3) float32 pixels, 0..255.
        attributions: (size, size) float.
        unit: Which probability.
        seed: Of the random map, and of the order of equal squares.

    Returns:
        None for a regression, which has no probability.
    """
    if subject.activation == "linear":
        return None
    rank = removal_order(attributions, seed)
    chance = removal_order(random_map(len(image), seed), seed)
    return Deletion(*(_curve(subject, image, one, unit) for one in (rank, chance)))


def random_map(size: int, seed: int = 0) -> np.ndarray:
    """(size, size) float64: normal values on a coarse grid, and linear between them."""
    coarse = np.random.default_rng(seed).normal(size=(COARSE, COARSE))
    places = np.linspace(0, COARSE - 1, size)
    rows = np.stack([np.interp(places, range(COARSE), row) for row in coarse])
    return np.stack([np.interp(places, range(COARSE), column) for column in rows.T], axis=1)


def removal_order(attributions: np.ndarray, seed: int = 0) -> np.ndarray:
    """(rows, columns) int: in which place each square is removed, by its mean, highest first."""
    block = _block(len(attributions))
    count = -(-len(attributions) // block)
    starts = np.arange(count) * block
    sums = np.add.reduceat(np.add.reduceat(attributions, starts, 0, dtype="float64"), starts, 1)
    sides = np.diff([*starts, len(attributions)])
    means = sums / np.outer(sides, sides)
    chance = np.random.default_rng(seed + 1).permutation(means.size)
    order = np.lexsort((chance, -means.ravel()))
    rank = np.empty(means.size, int)
    rank[order] = np.arange(means.size)
    return rank.reshape(means.shape)


def _block(size: int) -> int:
    return -(-size // SIDE)


def _curve(subject: Subject, image: np.ndarray, rank: np.ndarray, unit: int) -> float:
    block, size = _block(len(image)), len(image)
    places = np.repeat(np.repeat(rank, block, 0), block, 1)[:size, :size]
    removed = np.unique(np.round(np.linspace(0, rank.size, STEPS + 1)).astype(int))
    images = np.stack([np.where((places < n)[..., np.newaxis], FILL, image) for n in removed])
    _, scores = subject.run(images, np.full(len(images), unit, "int32"))
    return float(np.diff(removed) @ (scores[1:] + scores[:-1]) / 2 / rank.size)

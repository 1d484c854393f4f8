"""Labelled examples of a classical learner, and their division into folds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from keras_transfer.data.stratify import choose, deal, proportional

__all__ = ["FOLDS", "Examples", "folds", "subset"]

FOLDS = 5
"""Most folds."""

MAX_ROWS = 3000
"""Most examples that choose a setting; all are used for the solution."""


class Examples(NamedTuple):
    """Examples to learn from.

    Attributes:
        features: (views, n, channels) float32; the first view is the clean one.
        labels: (n,) int in [0, classes).
        weights: (n,) float, above 0: weight of each example in the loss.
        families: (n,) int: examples with the same number stay in one fold.
    """

    features: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    families: np.ndarray

    def take(self, where: np.ndarray) -> Examples:
        """Some of the examples: (n,) bool, or (m,) int indices."""
        return Examples(self.features[:, where], *(column[where] for column in self[1:]))


def subset(examples: Examples, seed: int) -> Examples:
    """Up to ``MAX_ROWS`` examples, stratified, for choosing a setting.

    Args:
        examples: All of them.
        seed: Random seed.
    """
    if len(examples.labels) <= MAX_ROWS:
        return examples
    counts = np.bincount(examples.labels)
    quota = proportional(counts, max(MAX_ROWS, 2 * len(counts)), 2)
    return examples.take(choose(examples.labels, quota, np.random.default_rng(seed)))


def folds(examples: Examples, seed: int, most: int = FOLDS) -> Iterator[tuple[Examples, Examples]]:
    """Training and held-out examples of each fold; none where no class can be divided.

    Held-out examples of a class that the fold does not train on are left out.

    Args:
        examples: Those of one family stay on one side.
        seed: Random seed.
        most: Most folds; fewer where the largest class has fewer families.
    """
    pairs = np.unique(np.stack([examples.labels, examples.families]), axis=1)
    count = min(most, int(np.bincount(pairs[0]).max()))
    if count < 2:
        return
    n = len(examples.labels)
    sizes = [n // count] * (count - 1)  # the last fold takes the rest
    fold = deal(examples.labels, examples.families, sizes, np.random.default_rng(seed))
    for number in range(count):
        train, held = examples.take(fold != number), examples.take(fold == number)
        known = np.isin(held.labels, train.labels)
        if known.any() and len(np.unique(train.labels)) > 1:
            yield train, held.take(known)

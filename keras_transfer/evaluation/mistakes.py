"""Where a classifier is wrong: single examples, pairs of classes, and classes with intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_transfer.evaluation.intervals import wilson_interval

__all__ = ["Pair", "Share", "class_shares", "confident_mistakes", "confused_pairs", "least_sure"]


class Pair(NamedTuple):
    """Examples of one class that were taken for another.

    Attributes:
        true: Index of the true class.
        predicted: Index of the predicted class.
        examples: Number of such examples.
        share: Of the examples of the true class, 0 to 1.
    """

    true: int
    predicted: int
    examples: int
    share: float


class Share(NamedTuple):
    """A share of examples.

    Attributes:
        value: 0 to 1; None where there are no examples.
        interval: Its 95 % interval; None where there are no examples.
        n: Number of examples.
    """

    value: float | None
    interval: list[float] | None
    n: int


def confident_mistakes(
    true: np.ndarray, decided: np.ndarray, probabilities: np.ndarray, k: int
) -> np.ndarray:
    """Places of up to k wrong examples, the highest probability of a wrong class first.

    Args:
        true: (n,) int classes.
        decided: (n,) int, the classes that were answered.
        probabilities: (n, classes) float.
        k: How many.
    """
    wrong = np.flatnonzero(decided != true)
    # stable: the order of the file decides between equal ones, in every run.
    return wrong[np.argsort(-probabilities[wrong, decided[wrong]], kind="stable")][:k]


def least_sure(probabilities: np.ndarray, k: int) -> np.ndarray:
    """Places of up to k examples, the lowest probability of the predicted class first."""
    return np.argsort(probabilities.max(axis=1), kind="stable")[:k]


def confused_pairs(counts: np.ndarray, k: int) -> list[Pair]:
    """Up to k pairs of classes that are confused, the most examples first.

    Args:
        counts: (classes, classes) int: ``counts[i, j]`` examples of class i predicted as class j.
        k: How many.
    """
    off = np.array(counts)
    np.fill_diagonal(off, 0)
    totals = np.maximum(np.sum(counts, axis=1), 1)
    order = np.argsort(-off, axis=None, kind="stable")[:k]
    pairs = (divmod(int(place), len(off)) for place in order)
    return [Pair(i, j, int(off[i, j]), float(off[i, j] / totals[i])) for i, j in pairs if off[i, j]]


def class_shares(
    classes: np.ndarray, correct: np.ndarray, families: np.ndarray, k: int
) -> list[Share]:
    """Share of correct examples of each class, with Wilson's interval.

    Args:
        classes: (n,) int below k: true classes give recalls, predicted ones precisions.
        correct: (n,) bool.
        families: (n,) int, equal for exact copies of an example.
        k: Number of classes.
    """
    found = []
    for label in range(k):
        chosen = classes == label
        if not chosen.any():
            found.append(Share(None, None, 0))
            continue
        share, sizes = (
            float(correct[chosen].mean()),
            np.unique(families[chosen], return_counts=True)[1],
        )
        found.append(Share(share, wilson_interval(share, sizes), int(chosen.sum())))
    return found

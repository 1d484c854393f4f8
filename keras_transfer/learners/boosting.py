"""Gradient boosting by scikit-learn: trees instead of a head."""

from __future__ import annotations

from itertools import islice

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss

__all__ = ["ROUNDS", "boosted"]

ROUNDS = 100
"""Trees for each class, at most: scikit-learn's default, as are all its other settings."""


def boosted(
    train: tuple[np.ndarray, np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    test: np.ndarray,
    *,
    classes: int,
    seed: int,
) -> tuple[np.ndarray, int]:
    """Fit HistGradientBoostingClassifier, and have val choose how many rounds of it count.

    Args:
        train: (n, channels) features, (n,) int labels, (n,) weights.
        val: (m, channels) features, (m,) int labels.
        test: (k, channels) features.
        classes: How many; those without training images get probability 0.
        seed: Of what it draws.

    Returns:
        (k, classes) float64 probabilities of the test split, and the number of rounds: that after
        which the log loss on val was lowest.
    """
    features, labels, weights = train
    trees = HistGradientBoostingClassifier(
        max_iter=ROUNDS, early_stopping=False, random_state=seed
    ).fit(features, labels, sample_weight=weights)

    def spread(found: np.ndarray) -> np.ndarray:
        every = np.zeros((len(found), classes))
        every[:, trees.classes_] = found
        return every

    losses = [
        log_loss(val[1], spread(found), labels=range(classes))
        for found in trees.staged_predict_proba(val[0])
    ]
    best = int(np.argmin(losses))
    chosen = next(islice(trees.staged_predict_proba(test), best, None))
    return spread(chosen), best + 1

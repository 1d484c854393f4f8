"""Gradient boosting by scikit-learn on features."""

from __future__ import annotations

from itertools import islice

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss

__all__ = ["ROUNDS", "boosted"]

ROUNDS = 100
"""Maximum number of trees per class: scikit-learn's default, like all other settings."""


def boosted(
    train: tuple[np.ndarray, np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    test: np.ndarray,
    *,
    classes: int,
    seed: int,
) -> tuple[np.ndarray, int]:
    """Fit HistGradientBoostingClassifier; the number of rounds is chosen on val.

    Args:
        train: (n, channels) features, (n,) int labels, (n,) weights.
        val: (m, channels) features, (m,) int labels.
        test: (k, channels) features.
        classes: Number of classes; those without training images get probability 0.
        seed: Random seed.

    Returns:
        (k, classes) float64 probabilities of the test split, and the number of rounds: that after
        which the log loss on val was lowest.
    """
    features, labels, weights = train
    # Its own early stopping would hold out training images; here val decides.
    trees = HistGradientBoostingClassifier(
        max_iter=ROUNDS, early_stopping=False, random_state=seed
    ).fit(features, labels, sample_weight=weights)

    def spread(probabilities: np.ndarray) -> np.ndarray:
        every = np.zeros((len(probabilities), classes))
        every[:, trees.classes_] = probabilities
        return every

    losses = [
        # val may lack classes, which log_loss would otherwise take for a mistake.
        log_loss(val[1], spread(probabilities), labels=range(classes))
        for probabilities in trees.staged_predict_proba(val[0])
    ]
    best = int(np.argmin(losses))
    chosen = next(islice(trees.staged_predict_proba(test), best, None))
    return spread(chosen), best + 1

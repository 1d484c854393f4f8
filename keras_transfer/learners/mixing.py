"""Weights of several classifiers whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["mixing_weights"]

ITERATIONS, TOLERANCE = 1000, 1e-9
"""Most steps, and the change of all weights that ends them."""


def mixing_weights(
    probabilities: Sequence[np.ndarray], labels: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Weights of a mean of probabilities with the lowest log loss, by expectation maximisation.

    The loss is convex in the weights w; each step, w_k <- mean of w_k p_k / sum of w_j p_j over the
    probabilities p of the true class, lowers it (Dempster, Laird and Rubin 1977).

    Args:
        probabilities: For each classifier (n, classes) float, of examples it was not fitted to.
        labels: (n,) int classes.
        weights: (n,) float, 0 or more; None: all 1.

    Returns:
        (classifiers,) float64, 0 or more, of sum 1.
    """
    rows = np.arange(len(labels))
    true = np.stack([one[rows, labels] for one in probabilities], axis=1).astype("float64")
    true = np.maximum(true, np.finfo("float64").tiny)
    shares = np.ones(len(labels)) if weights is None else np.asarray(weights, "float64")
    found = np.full(len(probabilities), 1 / len(probabilities))
    for _ in range(ITERATIONS):
        responsible = true * found
        responsible /= responsible.sum(axis=1, keepdims=True)
        before, found = found, np.average(responsible, axis=0, weights=shares)
        if np.abs(found - before).max() < TOLERANCE:
            break
    return found

"""Probabilities from the decisions of a classifier that has none of its own."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

__all__ = ["calibrate"]

PENALTY = 1e-3
"""Of the squared logarithm of the slope and of squared shifts: separable decisions would otherwise
make them infinite."""


def calibrate(
    decisions: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """Slope and shifts with the lowest log loss of softmax(slope * decisions + shift).

    Of two classes with decisions (-d / 2, d / 2) this is Platt's sigmoid (Platt 1999); of more it
    is temperature scaling (Guo et al., ICML 2017, arXiv:1706.04599) with a bias for each class.

    Args:
        decisions: (n, classes) float of examples that the classifier was not fitted to.
        labels: (n,) int classes.
        weights: (n,) float, 0 or more.

    Returns:
        The slope, above 0, and (classes,) float64 shifts of sum 0.
    """
    classes, share = decisions.shape[1], weights / weights.sum()
    truth = np.eye(classes)[labels]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, shift = np.exp(parameters[0]), parameters[1:]
        logs = log_softmax(slope * decisions + shift, axis=1)
        error = share[:, None] * (np.exp(logs) - truth)
        value = -(share * logs[np.arange(len(labels)), labels]).sum()
        gradient = np.append(slope * (error * decisions).sum(), error.sum(axis=0))
        return value + PENALTY * (parameters**2).sum(), gradient + 2 * PENALTY * parameters

    found = minimize(loss, np.zeros(1 + classes), jac=True, method="L-BFGS-B").x
    return float(np.exp(found[0])), found[1:] - found[1:].mean()

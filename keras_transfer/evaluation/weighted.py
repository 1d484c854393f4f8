"""Metrics of many weighted resamples at a time, for bootstrap intervals.

Every function takes weights (draws, n), the count of each example in each resample, and returns
NaN where a resample does not define the metric. With weights of 1 the values equal those of
scikit-learn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

__all__ = [
    "Metric",
    "accuracy",
    "average_precisions",
    "classification_metric",
    "f1_scores",
    "macro_f1",
    "mean_defined",
    "micro_f1",
    "multilabel_metric",
    "regression_metric",
    "target_errors",
]

RELATIVE = 1e-12
"""Share of the variance of all examples below which that of a resample counts as zero."""


def mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean of (..., k) over the last axis, NaN left out; NaN where all k are NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "Mean of empty slice" gives NaN, as meant
        return np.nanmean(values, axis=-1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is 0."""
    # `out`, since `where` leaves the other places uninitialized.
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)


def average_precisions(weights: np.ndarray, true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision of each label: sum over distinct scores of precision times recall gained.

    Args:
        weights: (draws, n) float.
        true: (n, labels) bool.
        scores: (n, labels) float; equal scores are counted together.

    Returns:
        (draws, labels) float64 in [0, 1]; NaN for a label without positives.
    """
    columns = [
        _average_precision(weights, true[:, label], scores[:, label])
        for label in range(true.shape[1])
    ]
    return np.stack(columns, axis=1)


def _average_precision(weights: np.ndarray, true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(draws,) of one label; examples between two positives count by the sum of their weights."""
    # Without positives there are no ends to search below.
    if not true.any():
        return np.full(len(weights), np.nan)
    rank = np.unique(-scores, return_inverse=True)[1]
    ends, group = np.unique(rank[true], return_inverse=True)
    rows = np.searchsorted(ends, rank)  # those below the last positive form a row that is cut off
    gained = _sums(group, weights[:, true], len(ends))
    precision = np.cumsum(gained, axis=0) / np.maximum(
        np.cumsum(_sums(rows, weights, len(ends) + 1)[:-1], axis=0), 1
    )  # a sum of weights is 0 or at least 1
    return _ratio((precision * gained).sum(axis=0), gained.sum(axis=0))


def _sums(group: np.ndarray, weights: np.ndarray, groups: int) -> np.ndarray:
    """(groups, draws) sums of weights (draws, n) by group (n,)."""
    n = len(group)
    # Sparse: a dense matrix of groups by examples would not fit into memory.
    chosen = csr_array((np.ones(n), (group, np.arange(n))), shape=(groups, n))
    return chosen @ weights.T


def f1_scores(weights: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F1 of each label, 2 tp / (positives + predicted positives).

    Args:
        weights: (draws, n) float.
        true: (n, labels) bool.
        predicted: (n, labels) bool.

    Returns:
        (draws, labels) float64; NaN for a label with neither.
    """
    both = weights @ true.astype(float) + weights @ predicted.astype(float)
    return _ratio(2 * (weights @ (true & predicted).astype(float)), both)


def micro_f1(weights: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F1 over all pairs of example and label; arguments as for ``f1_scores``; (draws,) float64."""
    both = weights @ (true.sum(axis=1) + predicted.sum(axis=1)).astype(float)
    return _ratio(2 * (weights @ (true & predicted).sum(axis=1).astype(float)), both)


def target_errors(
    weights: np.ndarray, true: np.ndarray, predicted: np.ndarray
) -> dict[str, np.ndarray]:
    """Errors of each target of a regression.

    Args:
        weights: (draws, n) float, in each draw at least one above 0.
        true: (n, targets) float.
        predicted: (n, targets) float.

    Returns:
        ``mae``, ``rmse`` and ``r2`` = 1 - squared errors / squared deviations from the mean, each
        (draws, targets) float64; r2 is NaN where the true values of a resample are all the same.
    """
    n = weights.sum(axis=1, keepdims=True)
    error = predicted - true
    centred = true - true.mean(axis=0)  # so that the squares below keep their digits
    squared = weights @ error**2
    spread = weights @ centred**2 - (weights @ centred) ** 2 / n
    spread[spread <= RELATIVE * n * (centred**2).mean(axis=0)] = 0
    return {
        "mae": weights @ np.abs(error) / n,
        "rmse": np.sqrt(squared / n),
        "r2": 1 - _ratio(squared, spread),
    }


Metric = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From weights (draws, n), true, scores and decided values to (draws,) metrics."""


def accuracy(weights: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(draws,) shares of right predictions, of (n,) int true and predicted classes."""
    return weights @ (predicted == true).astype(float) / weights.sum(axis=1)


def macro_f1(
    weights: np.ndarray, true: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    """(draws,) mean F1 of the classes that have examples or predictions in the resample."""

    def sums(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
        n = len(labels)
        chosen = csr_array((values.astype(float), (labels, np.arange(n))), shape=(classes, n))
        return chosen @ weights.T

    ones = np.ones(len(true))
    both = sums(true, ones) + sums(predicted, ones)
    # Weights are counts, so a sum is 0 or at least 1.
    f1 = 2 * sums(predicted, predicted == true) / np.maximum(both, 1)
    return f1.sum(axis=0) / (both > 0).sum(axis=0)


def classification_metric(name: str, classes: int) -> Metric:
    """Accuracy or macro F1 of a classifier."""

    def metric(
        weights: np.ndarray, true: np.ndarray, scores: np.ndarray, decided: np.ndarray
    ) -> np.ndarray:
        if name == "accuracy":
            return accuracy(weights, true, decided)
        return macro_f1(weights, true, decided, classes)

    return metric


def multilabel_metric(name: str) -> Metric:
    """One of mean_average_precision, macro_f1, micro_f1 and hamming_loss of several labels."""

    def metric(
        weights: np.ndarray, true: np.ndarray, scores: np.ndarray, decided: np.ndarray
    ) -> np.ndarray:
        true, decided = true.astype(bool), decided.astype(bool)
        if name == "mean_average_precision":
            return mean_defined(average_precisions(weights, true, scores))
        if name == "macro_f1":
            return mean_defined(f1_scores(weights, true, decided))
        if name == "hamming_loss":
            return weights @ (true != decided).mean(axis=1) / weights.sum(axis=1)
        return micro_f1(weights, true, decided)

    return metric


def regression_metric(name: str) -> Metric:
    """One of mae, rmse and r2, the mean over all targets."""

    def metric(
        weights: np.ndarray, true: np.ndarray, scores: np.ndarray, decided: np.ndarray
    ) -> np.ndarray:
        return target_errors(weights, true, decided)[name].mean(axis=1)

    return metric

"""How far probabilities are from what happens, with bootstrap intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_transfer.evaluation.intervals import bootstrap_interval
from keras_transfer.evaluation.reliability import equal_counts, reliability

__all__ = ["MAX_BOOTSTRAP", "NAMES", "calibration_metrics"]

MAX_BOOTSTRAP = 20_000
"""Examples above which intervals are left out: they are narrow, and take seconds."""

NAMES = ("ece", "adaptive_ece", "brier", "log_loss")

SMALLEST = np.finfo("float64").eps
"""A lower probability counts as this one in the log loss, as in scikit-learn."""


class _Events(NamedTuple):
    """What probabilities are given for: the predicted class, or each label.

    Attributes:
        said: (n, events) float64 probabilities.
        happened: (n, events) bool.
    """

    said: np.ndarray
    happened: np.ndarray


def calibration_metrics(
    true: np.ndarray,
    scores: np.ndarray,
    families: np.ndarray | None = None,
    *,
    intervals: bool = True,
) -> dict[str, Any]:
    """ECE, adaptive ECE, Brier score and log loss, with 95 % bootstrap intervals.

    * ece: in 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599);
    * adaptive_ece: in 15 bins of equal counts (Mukhoti et al. 2020, arXiv:2002.09437);
    * brier: mean of the summed squared differences to 0 and 1 (Brier 1950): 0 to 2 for classes,
      for two of them twice what ``sklearn.metrics.brier_score_loss`` gives for one; of several
      labels the mean over them, 0 to 1;
    * log_loss: mean -log of the probability of what happened.

    Every resample has the bins of all examples. Intervals are None above ``MAX_BOOTSTRAP``
    examples. Of several labels, each label of each example is an event.

    Args:
        true: (n,) int classes, all known; or (n, labels) float 0 or 1.
        scores: (n, units) float64 probabilities.
        families: (n,) copies of an example have the same value and are drawn together.
        intervals: Whether to compute the intervals.

    Returns:
        The metrics, and ``<name>_interval`` of each: [low, high] or None.
    """
    events = _events(true, scores)
    each = np.stack([_brier(true, scores), _log_losses(true, scores)], axis=1)
    gaps = [_gaps(events, place) for place in _places(events)]

    def metric(weights: np.ndarray) -> np.ndarray:
        totals = weights.sum(axis=1)
        binned = [np.abs(weights @ gap).sum(axis=1) / totals for gap in gaps]
        return np.column_stack([*binned, (weights @ each) / totals[:, None]])

    n = len(true)
    (values,) = metric(np.ones((1, n)))
    found = {name: float(value) for name, value in zip(NAMES, values, strict=True)}
    if not intervals:
        return found
    bounds: Any = [None] * len(NAMES)
    if n <= MAX_BOOTSTRAP:
        bounds = bootstrap_interval(metric, n, families=families)
    return found | {f"{name}_interval": b for name, b in zip(NAMES, bounds, strict=True)}


def _brier(true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    if np.ndim(true) == 1:
        return ((scores - np.eye(scores.shape[1])[true]) ** 2).sum(axis=1)
    return ((scores - true) ** 2).mean(axis=1)


def _log_losses(true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    if np.ndim(true) == 1:
        happened = scores[np.arange(len(true)), true] / scores.sum(axis=1)
        return -np.log(np.maximum(happened, SMALLEST))
    return -np.log(np.maximum(np.where(true > 0, scores, 1 - scores), SMALLEST)).mean(axis=1)


def _events(true: np.ndarray, scores: np.ndarray) -> _Events:
    if np.ndim(true) == 1:
        said = scores.max(axis=1, keepdims=True).clip(0, 1)
        return _Events(said, (scores.argmax(axis=1) == true)[:, None])
    return _Events(scores, true > 0)


def _places(events: _Events) -> list[np.ndarray]:
    """Bins of all events: of equal width, and of equal counts."""
    said = events.said.ravel()
    return [reliability(said, events.happened.ravel()).place(said), equal_counts(said)]


def _gaps(events: _Events, places: np.ndarray) -> np.ndarray:
    """(n, bins) summed differences of what was said and what happened, by example and bin."""
    n, k = events.said.shape
    found = np.zeros((n, int(places.max()) + 1))
    rows = np.repeat(np.arange(n), k)
    np.add.at(found, (rows, places), (events.said - events.happened).ravel() / k)
    return found

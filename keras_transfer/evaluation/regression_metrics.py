"""Metrics of a regression, from true and predicted values in the units of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr
from sklearn import metrics as sklearn_metrics

from keras_transfer.evaluation.checks import to_measure
from keras_transfer.evaluation.intervals import bootstrap_interval
from keras_transfer.evaluation.layout import aligned, interval_text, title
from keras_transfer.evaluation.weighted import target_errors

__all__ = ["mean_baseline", "regression_metrics", "regression_summary"]

NAMES = ("mae", "rmse", "r2")
"""Metrics with an interval."""


class TargetMetric(NamedTuple):
    """A metric of one target.

    Attributes:
        compute: Maps (n,) true and (n,) predicted values to a number.
        varying: What must vary for it to be defined: 0: nothing; 1: the true values; 2: both.
    """

    compute: Callable[[np.ndarray, np.ndarray], float]
    varying: int = 0


METRICS = {
    "mae": TargetMetric(sklearn_metrics.mean_absolute_error),
    "rmse": TargetMetric(sklearn_metrics.root_mean_squared_error),
    "r2": TargetMetric(sklearn_metrics.r2_score, varying=1),
    "spearman": TargetMetric(lambda *both: spearmanr(*both).statistic, 2),
}
"""The metrics of a target by name; of several targets the mean is shown too."""


def regression_metrics(
    true: np.ndarray,
    predicted: np.ndarray,
    targets: Sequence[str],
    *,
    families: np.ndarray | None = None,
    intervals: bool = True,
) -> dict[str, Any]:
    """Compute the errors of a regression; an undefined metric is None.

    * mae: mean absolute error; rmse: root of the mean squared error; both in the target's units;
    * r2: 1 - squared errors / squared deviations from the mean of ``true``; None where that is 0;
    * spearman: rank correlation; None where either side is constant;
    * mae_interval, rmse_interval, r2_interval: 95 % bootstrap over examples;
    * per_target: the same by name; of several targets the overall metrics are the means of
      these (None where one is).

    Args:
        true: (n, targets) float; rows with NaN are not known and are left out.
        predicted: (n, targets) float.
        targets: Names of the targets.
        families: (n,) copies of an example have the same value and are resampled together.
        intervals: Whether to compute the intervals.

    Returns:
        The metrics and ``n``, as plain numbers, lists and dicts that JSON can hold.

    Raises:
        BadData: No example is known.
        CheckFailed: A prediction is NaN or infinite.
    """
    if families is not None:
        # to_measure drops the rows that are not known, so families must lose them too.
        families = np.asarray(families)[~np.isnan(np.asarray(true, float)).any(axis=1)]
    true, predicted = to_measure(true, predicted)
    rows = [_target(*columns) for columns in zip(true.T, predicted.T, strict=True)]
    overall = {name: _mean([row[name] for row in rows]) for name in METRICS}
    if intervals:
        bounds = _intervals(true, predicted, families)
        overall |= bounds[-1]
        rows = [row | bound for row, bound in zip(rows, bounds, strict=False)]
    return {"n": len(true), **overall, "per_target": dict(zip(targets, rows, strict=True))}


def _target(true: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    # Not std > 0: rounding of the mean leaves a tiny deviation of equal values.
    varies = [np.ptp(true) > 0, np.ptp(predicted) > 0]
    return {
        name: float(metric.compute(true, predicted)) if all(varies[: metric.varying]) else None
        for name, metric in METRICS.items()
    }


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    # A mean over some of the targets would not be comparable between runs.
    return float(np.mean(defined)) if len(defined) == len(values) else None


def _intervals(
    true: np.ndarray, predicted: np.ndarray, families: np.ndarray | None
) -> list[dict[str, Any]]:
    """Intervals of the three errors for each target, and last for their means."""

    def metric(weights: np.ndarray) -> np.ndarray:
        errors = target_errors(weights, true, predicted)
        per_target = np.stack([errors[name] for name in NAMES], axis=2)  # (draws, targets, 3)
        means = per_target.mean(axis=1, keepdims=True)
        return np.concatenate([per_target, means], axis=1).reshape(len(weights), -1)

    bounds = bootstrap_interval(metric, len(true), families=families)
    keys = [f"{name}_interval" for name in NAMES]
    return [
        dict(zip(keys, bounds[start : start + len(NAMES)], strict=True))
        for start in range(0, len(bounds), len(NAMES))
    ]


def mean_baseline(train: np.ndarray, true: np.ndarray, targets: Sequence[str]) -> dict[str, Any]:
    """Metrics of always predicting the mean of the train split, and the MAE of its median.

    No constant has a lower mean squared error on the train split than the mean, and none a lower
    mean absolute error than the median.

    Args:
        train: (m, targets) float; rows with NaN are left out.
        true: (n, targets) float; rows with NaN are left out.
        targets: Names of the targets.

    Returns:
        ``mean`` and ``median`` by target, ``mae``, ``rmse`` and ``r2`` of the mean, and
        ``median_mae``.

    Raises:
        BadData: No example of either is known.
    """
    known = to_measure(train, np.zeros(np.shape(train)))[0]
    mean, median = known.mean(axis=0), np.median(known, axis=0)
    metrics = {
        name: regression_metrics(true, np.tile(constant, (len(true), 1)), targets, intervals=False)
        for name, constant in (("mean", mean), ("median", median))
    }
    return {
        "mean": dict(zip(targets, mean.tolist(), strict=True)),
        "median": dict(zip(targets, median.tolist(), strict=True)),
        **{name: metrics["mean"][name] for name in NAMES},
        "median_mae": metrics["median"]["mae"],
    }


def regression_summary(metrics: dict[str, Any]) -> str:
    """Format the metrics of :func:`regression_metrics` for the terminal."""
    titles = {name: title(name) for name in METRICS}
    width = max(map(len, titles.values()))
    lines: list[str] = []
    for key, shown_as in titles.items():
        interval = metrics.get(f"{key}_interval")
        text = interval_text(interval, metrics["n"], ".4g") if interval or not lines else ""
        lines.append(f"{shown_as:<{width}}  {_shown(metrics[key])}{text}")
    if len(metrics["per_target"]) == 1:
        return "\n".join(lines)
    rows = [
        [name, *(_shown(row[key]) for key in titles)] for name, row in metrics["per_target"].items()
    ]
    return "\n".join(lines) + "\n\n" + aligned([["target", *titles.values()], *rows])


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

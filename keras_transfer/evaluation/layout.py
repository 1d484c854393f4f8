"""Format metrics for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "aligned",
    "calibration_text",
    "interval_text",
    "is_better",
    "metric_text",
    "shown",
    "title",
]

TITLES = {
    "mae": "MAE",
    "median_mae": "MAE of the median",
    "rmse": "RMSE",
    "r2": "R2",
    "spearman": "rank correlation",
    "f1": "F1",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "weighted_f1": "weighted F1",
    "minority_recall": "recall of the rarest class",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "hamming_loss": "Hamming loss",
    "ece": "ECE",
    "adaptive_ece": "adaptive ECE",
    "brier": "Brier score",
}
"""Titles of metrics that are more than their name."""

IN_UNITS = ("mae", "median_mae", "rmse")
"""Metrics in the units of the data, which may be large or small."""


def title(metric: str) -> str:
    """The name of a metric as people write it."""
    return TITLES.get(metric, metric.replace("_", " "))


def in_units(metric: str) -> bool:
    """Whether a metric is an error in the units of the data."""
    return metric in IN_UNITS or metric.endswith("error")


def is_better(metric: str) -> str:
    """Say "lower" of an error or a loss, "higher" of other metrics."""
    low = in_units(metric) or metric.endswith(("loss", "ece")) or metric == "brier"
    return "lower" if low else "higher"


def metric_text(metric: str, value: float | None, sign: str = "") -> str:
    """The value of a metric; "-" where it is not defined.

    Args:
        metric: Its name.
        value: A number.
        sign: "+" for a difference.
    """
    if value is None:
        return "-"
    return format(value, f"{sign}{'.4g' if in_units(metric) else '.4f'}")


def shown(metric: float | None) -> str:
    """Three decimals, or "-" where a metric is not defined."""
    return "-" if metric is None else f"{metric:.3f}"


def interval_text(interval: Sequence[float] | None, n: int, form: str = ".3f") -> str:
    """The interval and the number of examples in brackets; without an interval the number only."""
    if interval is None:
        return f"  ({n} examples)"
    low, high = (format(bound, form) for bound in interval)
    return f"  (95 % interval {low} to {high}, {n} examples)"


def calibration_text(found: Mapping[str, Any]) -> str:
    """What a run was calibrated by, from "calibration" of its metrics."""
    if found.get("fitted") == "isotonic":
        return f"isotonic curves of {len(found['curves'])} labels"
    return f"temperature {found['temperature']:.3f}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Format a table, one line per row: names aligned left, numbers aligned right."""
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        "  ".join([f"{row[0]:<{first}}", *map(str.rjust, row[1:], widths)]) for row in rows
    )

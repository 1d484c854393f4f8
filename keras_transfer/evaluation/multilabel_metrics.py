"""Metrics of a network that predicts a probability for each of several labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import metrics as sklearn_metrics

from keras_transfer.evaluation.checks import to_measure
from keras_transfer.evaluation.intervals import DRAWS, bootstrap_interval
from keras_transfer.evaluation.layout import aligned, interval_text, shown
from keras_transfer.evaluation.thresholds import DEFAULT, best_f1, operating_text, reached
from keras_transfer.evaluation.weighted import average_precisions, mean_defined, micro_f1

__all__ = ["best_thresholds", "multilabel_metrics", "multilabel_summary", "prevalence_baseline"]

LARGE, FEWER_DRAWS = 1_000_000, 200
"""Above this number of (example, label) pairs, intervals use fewer resamples, to take seconds."""

Thresholds = Sequence[float] | np.ndarray


def best_thresholds(true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Choose for each label the threshold with the highest F1; for the val split.

    A label is predicted where its score is ``reached``: at least the threshold, as float32. All
    thresholds between two neighbouring scores predict the same, so the midpoint is used; of several
    equally good thresholds the one nearest to 0.5 (the lower one in a tie), and 0.5 itself where it
    is among the best. A label without positives has no F1; its threshold is 0.5.

    Args:
        true: (n, labels) 0 or 1; a row with NaN is not known and is left out.
        scores: (n, labels) float probabilities in [0, 1].

    Returns:
        (labels,) float32 thresholds in [0, 1].
    """
    true, scores = to_measure(true, scores)
    columns = zip(true.T > 0, scores.T, strict=True)
    return np.array([best_f1(*column) for column in columns], "float32")


def multilabel_metrics(
    true: np.ndarray,
    scores: np.ndarray,
    labels: Sequence[str],
    *,
    thresholds: Thresholds | None = None,
    families: np.ndarray | None = None,
    intervals: bool = True,
) -> dict[str, Any]:
    """Compute the metrics of several labels; an undefined metric is None.

    * mean_average_precision (mAP): mean of the average precision of the labels with positives;
    * micro_f1: F1 over all pairs of example and label; macro_f1: mean of the F1 of the labels
      with positives or predictions;
    * hamming_loss: share of the pairs that are wrong; subset_accuracy: share of the examples
      whose labels are all right;
    * log_loss: mean binary cross-entropy of all pairs;
    * mean_average_precision_interval, micro_f1_interval: 95 % bootstrap over examples;
    * per_label: precision (None for a label never predicted), recall and average_precision (None
      for a label without positives), f1, support (positives) and threshold, by name.

    Args:
        true: (n, labels) 0 or 1; rows with NaN are not known and are left out.
        scores: (n, labels) float probabilities in [0, 1].
        labels: Names of the labels.
        thresholds: (labels,) a label is predicted from this score on; None: 0.5.
        families: (n,) copies of an example have the same value and are resampled together.
        intervals: Whether to compute the intervals.

    Returns:
        The metrics and ``n``, as plain numbers, lists and dicts that JSON can hold.

    Raises:
        BadData: No example is known.
        CheckFailed: A score is NaN or infinite.
    """
    if families is not None:
        # to_measure drops the rows that are not known, so families must lose them too.
        families = np.asarray(families)[~np.isnan(np.asarray(true, float)).any(axis=1)]
    values, scores = to_measure(true, scores)
    truth = values > 0
    cut = np.full(len(labels), DEFAULT) if thresholds is None else np.array(thresholds)
    predicted = reached(scores, cut)
    metrics = _overall(truth, scores, predicted)
    if intervals:
        metrics |= _intervals(truth, scores, predicted, families)
    precisions = average_precisions(np.ones((1, len(truth))), truth, scores)[0]
    metrics["per_label"] = _per_label(truth, predicted, labels, cut, precisions)
    return metrics


def _overall(true: np.ndarray, scores: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    ones = np.ones((1, len(true)))
    # NaN, not 0, for a label that neither occurs nor is predicted: the mean leaves it out.
    per_label = sklearn_metrics.f1_score(
        *map(_indicator, (true, predicted)), average=None, zero_division=np.nan
    )[: true.shape[1]]
    # log(0) would be infinite; log1p keeps the digits of small probabilities.
    certain = np.clip(scores, np.finfo(float).eps, 1 - np.finfo(float).eps)
    log_loss = -np.mean(np.where(true, np.log(certain), np.log1p(-certain)))
    return {
        "n": len(true),
        "mean_average_precision": _plain(mean_defined(average_precisions(ones, true, scores))[0]),
        "micro_f1": _plain(micro_f1(ones, true, predicted)[0]),
        "macro_f1": _plain(float(mean_defined(per_label))),
        "hamming_loss": float(np.mean(true != predicted)),
        "subset_accuracy": float(np.mean((true == predicted).all(axis=1))),
        "log_loss": float(log_loss),
    }


def _indicator(values: np.ndarray) -> np.ndarray:
    """Labels as scikit-learn expects them; it would read a single label as binary classes."""
    return np.pad(values.astype(int), ((0, 0), (0, int(values.shape[1] == 1))))


def _intervals(
    true: np.ndarray, scores: np.ndarray, predicted: np.ndarray, families: np.ndarray | None
) -> dict[str, Any]:
    def metric(weights: np.ndarray) -> np.ndarray:
        columns = [
            mean_defined(average_precisions(weights, true, scores)),
            micro_f1(weights, true, predicted),
        ]
        return np.stack(columns, axis=1)

    draws = DRAWS if true.size <= LARGE else FEWER_DRAWS
    bounds = bootstrap_interval(metric, len(true), draws=draws, families=families)
    return dict(zip(("mean_average_precision_interval", "micro_f1_interval"), bounds, strict=True))


def _per_label(
    true: np.ndarray,
    predicted: np.ndarray,
    labels: Sequence[str],
    thresholds: np.ndarray,
    precisions: np.ndarray,
) -> dict[str, dict[str, float | int | None]]:
    columns = sklearn_metrics.precision_recall_fscore_support(
        *map(_indicator, (true, predicted)), average=None, zero_division=np.nan
    )
    names = ("precision", "recall", "f1")
    table = {}
    for label, name in enumerate(labels):
        row: dict[str, Any] = {
            key: _plain(column[label]) for key, column in zip(names, columns, strict=False)
        }
        row["average_precision"] = _plain(precisions[label])
        row["support"] = int(true[:, label].sum())
        row["threshold"] = float(thresholds[label])
        table[name] = row
    return table


def _plain(value: float | np.floating) -> float | None:
    return None if np.isnan(value) else float(value)


def prevalence_baseline(
    train: np.ndarray, true: np.ndarray, labels: Sequence[str]
) -> dict[str, Any]:
    """Metrics of using the labels' shares of the train split as every example's scores.

    Its mean average precision is the mean share of the labels in ``true``. A label is predicted
    for every example if at least half of the train split has it.

    Args:
        train: (m, labels) 0 or 1; rows with NaN are left out.
        true: (n, labels) 0 or 1; rows with NaN are left out.
        labels: Names of the labels.

    Returns:
        ``prevalence`` by label, and the overall metrics of ``multilabel_metrics``.

    Raises:
        BadData: No example of either is known.
    """
    known = to_measure(train, np.zeros(np.shape(train)))[0]
    shares = known.mean(axis=0)
    # Constant scores rank nothing, so the mean average precision is the share of positives.
    scores = np.tile(shares, (len(true), 1))
    metrics = multilabel_metrics(true, scores, labels, intervals=False)
    del metrics["n"], metrics["per_label"]
    return {"prevalence": dict(zip(labels, shares.tolist(), strict=True)), **metrics}


def multilabel_summary(metrics: dict[str, Any]) -> str:
    """Format the metrics of :func:`multilabel_metrics` for the terminal."""
    lines: list[str] = []
    for key, title in (
        ("mean_average_precision", "mean average precision"),
        ("micro_f1", "micro F1"),
        ("macro_f1", "macro F1"),
        ("subset_accuracy", "subset accuracy"),
        ("hamming_loss", "Hamming loss"),
        ("log_loss", "log loss"),
    ):
        interval = metrics.get(f"{key}_interval")
        text = interval_text(interval, metrics["n"]) if interval or not lines else ""
        lines.append(f"{title:<22}  {shown(metrics[key])}{text}")
    columns = ("precision", "recall", "f1", "average_precision", "threshold")
    rows = [
        [name, *(shown(row[key]) for key in columns), str(row["support"])]
        for name, row in metrics["per_label"].items()
    ]
    header = ["label", "precision", "recall", "F1", "AP", "threshold", "positives"]
    blocks = ["\n".join(lines), aligned([header, *rows])]
    if "threshold" in metrics:
        blocks.append(operating_text(metrics["threshold"]))
    return "\n\n".join(blocks)

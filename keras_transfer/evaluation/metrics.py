"""Metrics of a classifier from true labels and predicted probabilities, by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn import metrics as sklearn_metrics

from keras_transfer.errors import BadData, CheckFailed
from keras_transfer.evaluation.calibration_metrics import calibration_metrics
from keras_transfer.evaluation.intervals import wilson_interval
from keras_transfer.evaluation.layout import aligned, shown, title
from keras_transfer.evaluation.thresholds import operating_text

__all__ = [
    "classification_metrics",
    "decided_metrics",
    "majority_baseline",
    "precision_recall_curves",
    "summary",
]

# Widest confusion matrix that a terminal shows well.
SHOWN_CLASSES = 12


def classification_metrics(
    true: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    train_counts: Sequence[int] | np.ndarray | None = None,
    families: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
) -> dict[str, Any]:
    """Compute the metrics of a classifier; an undefined metric is None.

    * accuracy, with the 95 % interval of Wilson's score (``accuracy_interval``). Copies of an
      example are not independent: its n is (sum of m)^2 / sum of m^2 over families of m copies
      (Kish 1965, Survey Sampling, section 8.2), the number of examples where there are none;
    * distinct: number of families;
    * balanced_accuracy: mean recall of the classes that have examples;
    * macro_f1, weighted_f1: over the classes that have examples or predictions;
    * roc_auc: of the second of two classes; for more classes, the mean one-vs-rest ROC AUC;
      None where a class has no examples;
    * minority_class, minority_recall: the class with the fewest training examples among those with
      examples here (ties: the fewest examples here), and its recall;
    * pr_auc: mean of the average precision of each class that has examples; None where only one
      has;
    * log_loss: mean -log of the true class's probability, rows scaled to sum to 1;
    * ece, adaptive_ece, brier: see ``calibration_metrics``;
    * per_class: precision (None for a class never predicted), recall (None for one without
      examples), f1 and support by class name;
    * confusion_matrix: ``counts[i][j]`` examples of class i were predicted as class j.

    Args:
        true: (n,) int, index into ``classes``; examples of unknown class (-1) are left out.
        probabilities: (n, classes) float.
        classes: Class names in label order.
        train_counts: (classes,) int, training examples of each class; None: unknown, and the
            rarest class is that of ``true``.
        families: (n,) int, equal for exact copies, as ``copies.families`` gives them; None: there
            are no copies.
        predicted: (n,) int, the classes that are answered; None: the most probable ones.

    Returns:
        The metrics and ``n``, as plain numbers, lists and dicts that JSON can hold.

    Raises:
        BadData: No example has a known class.
        CheckFailed: A probability is NaN or infinite.
    """
    known = np.asarray(true) >= 0
    family = np.arange(len(known)) if families is None else np.asarray(families)
    true, probabilities = np.asarray(true)[known], np.asarray(probabilities, float)[known]
    _check(true, probabilities)
    predicted = probabilities.argmax(axis=1) if predicted is None else predicted[known]
    sizes = np.unique(family[known], return_counts=True)[1]
    return {
        "n": len(true),
        "distinct": len(sizes),
        **decided_metrics(true, predicted),
        **_rarest(true, predicted, classes, train_counts),
        "pr_auc": _pr_auc(true, probabilities),
        "accuracy_interval": wilson_interval(float(np.mean(true == predicted)), sizes),
        "roc_auc": _roc_auc(true, probabilities),
        **calibration_metrics(true, probabilities, intervals=False),
        "log_loss": _log_loss(true, probabilities),
        "per_class": _per_class(true, predicted, classes),
        "confusion_matrix": {
            "classes": list(classes),
            # labels: without them classes that do not occur would have no row.
            "counts": sklearn_metrics.confusion_matrix(
                true, predicted, labels=range(len(classes))
            ).tolist(),
        },
    }


def majority_baseline(
    train_counts: np.ndarray, true: np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    """Metrics of always predicting the largest class of the training examples.

    Args:
        train_counts: (classes,) int, training examples of each class.
        true: (n,) int, index into ``classes``; examples of unknown class (-1) are left out.
        classes: Class names in label order.

    Returns:
        ``class``, the class, and its accuracy, balanced_accuracy, macro_f1 and weighted_f1.

    Raises:
        BadData: No example has a known class.
    """
    largest = int(np.argmax(train_counts))
    true = np.asarray(true)[np.asarray(true) >= 0]
    _check(true, np.zeros(0))
    return {"class": classes[largest], **decided_metrics(true, np.full(len(true), largest))}


def _check(true: np.ndarray, probabilities: np.ndarray) -> None:
    if not len(true):
        raise BadData("There is nothing to measure: no example has a known class.")
    invalid = ~np.isfinite(probabilities).reshape(len(true), -1).all(axis=1)
    if invalid.any():
        raise CheckFailed(
            f"{invalid.sum()} of {len(true)} predictions are not numbers (NaN or infinite); "
            "the model's weights have diverged. Lower the learning rate, or use float32."
        )


def decided_metrics(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The metrics of ``METRICS``.

    Args:
        true: (n,) int.
        predicted: (n,) int.
    """
    return {name: float(metric.compute(true, predicted)) for name, metric in METRICS.items()}


def _mean_recall(true: np.ndarray, predicted: np.ndarray) -> float:
    # As balanced_accuracy_score, which warns if a predicted class is not in ``true``.
    return sklearn_metrics.recall_score(
        true, predicted, labels=np.unique(true), average="macro", zero_division=0
    )


class ClassMetric(NamedTuple):
    """A metric of decided classes.

    Attributes:
        compute: Maps (n,) true and (n,) predicted classes, int, to a number.
        printed: Whether the terminal shows it too, besides ``metrics.json``.
    """

    compute: Callable[[np.ndarray, np.ndarray], float]
    printed: bool = True


# zero_division: scikit-learn would warn for each class that is never predicted.
METRICS = {
    "accuracy": ClassMetric(sklearn_metrics.accuracy_score),
    "balanced_accuracy": ClassMetric(_mean_recall),
    "macro_f1": ClassMetric(partial(sklearn_metrics.f1_score, average="macro", zero_division=0)),
    "weighted_f1": ClassMetric(
        partial(sklearn_metrics.f1_score, average="weighted", zero_division=0), printed=False
    ),
}
"""Metrics of decided classes by name; baselines have them too."""


def _rarest(
    true: np.ndarray,
    predicted: np.ndarray,
    classes: Sequence[str],
    trained: Sequence[int] | np.ndarray | None,
) -> dict[str, Any]:
    labels, counts = np.unique(true, return_counts=True)
    before = np.zeros(len(labels)) if trained is None else np.asarray(trained)[labels]
    # lexsort sorts by its last key first.
    rarest = labels[np.lexsort((counts, before))[0]]
    recall = float(np.mean(predicted[true == rarest] == rarest))
    return {"minority_class": classes[rarest], "minority_recall": recall}


def _pr_auc(true: np.ndarray, probabilities: np.ndarray) -> float | None:
    if len(np.unique(true)) < 2:  # without examples of other classes every precision is 1
        return None
    average = sklearn_metrics.average_precision_score
    return float(
        np.mean([average(true == label, probabilities[:, label]) for label in np.unique(true)])
    )


def precision_recall_curves(
    true: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> list[tuple[str, float, float, float]]:
    """Class, threshold, precision, recall: one point per distinct probability of a class.

    Args:
        true: (n,) int, index into ``classes``; examples of unknown class (-1) are left out.
        probabilities: (n, classes) float.
        classes: Class names in label order; those without examples have no curve.
    """
    known = np.asarray(true) >= 0
    true, probabilities = np.asarray(true)[known], np.asarray(probabilities, float)[known]
    points = []
    for label in np.unique(true):
        curve = sklearn_metrics.precision_recall_curve(
            true == label, probabilities[:, label], drop_intermediate=True
        )
        rows = zip(curve[2], curve[0], curve[1], strict=False)  # the last point has no threshold
        points += [(classes[label], *map(float, row)) for row in rows]
    return points


def _roc_auc(true: np.ndarray, probabilities: np.ndarray) -> float | None:
    classes = probabilities.shape[1]
    if len(np.unique(true)) < max(classes, 2):
        return None
    one_vs_rest = [
        sklearn_metrics.roc_auc_score(true == label, probabilities[:, label])
        for label in ([1] if classes == 2 else range(classes))
    ]
    return float(np.mean(one_vs_rest))


def _log_loss(true: np.ndarray, probabilities: np.ndarray) -> float:
    # Probabilities of a float32 softmax sum to 1 less closely than scikit-learn asks of float64.
    scaled = probabilities / probabilities.sum(axis=1, keepdims=True)
    return float(sklearn_metrics.log_loss(true, scaled, labels=range(scaled.shape[1])))


def _per_class(
    true: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> dict[str, dict[str, float | int | None]]:
    # NaN becomes None: 0 would look like a measured result.
    columns = sklearn_metrics.precision_recall_fscore_support(
        true, predicted, labels=range(len(classes)), zero_division=np.nan
    )
    names = ("precision", "recall", "f1")
    return {
        name: {key: None if np.isnan(v) else float(v) for key, v in zip(names, row, strict=False)}
        | {"support": int(row[3])}
        for name, row in zip(classes, zip(*columns, strict=True), strict=True)
    }


def summary(metrics: dict[str, Any]) -> str:
    """Format the metrics of :func:`classification_metrics` for the terminal.

    The confusion matrix is left out where there are more than 12 classes.
    """
    low, high = metrics["accuracy_interval"]
    distinct = metrics.get("distinct", metrics["n"])
    copies = f", {distinct} distinct" if distinct < metrics["n"] else ""
    interval = f"  (95 % interval {low:.3f} to {high:.3f}, {metrics['n']} examples{copies})"
    overall = "\n".join(
        [
            *(
                f"{title(name):<18} {shown(metrics.get(name))}{interval * (name == 'accuracy')}"
                for name, metric in METRICS.items()
                if metric.printed
            ),
            f"rarest class       {shown(metrics.get('minority_recall'))}  "
            f"(recall of {metrics.get('minority_class')})",
            f"ROC AUC            {shown(metrics['roc_auc'])}",
            f"PR AUC             {shown(metrics.get('pr_auc'))}",
            f"log loss           {shown(metrics['log_loss'])}",
            f"ECE                {shown(metrics.get('ece'))}  (expected calibration error)",
        ]
    )
    per_class = [
        [name, *(shown(row[key]) for key in ("precision", "recall", "f1")), str(row["support"])]
        for name, row in metrics["per_class"].items()
    ]
    blocks = [overall, aligned([["class", "precision", "recall", "F1", "examples"], *per_class])]
    classes, counts = (metrics["confusion_matrix"][key] for key in ("classes", "counts"))
    if len(classes) <= SHOWN_CLASSES:
        rows = [[name, *map(str, row)] for name, row in zip(classes, counts, strict=True)]
        blocks.append(aligned([["true \\ predicted", *classes], *rows]))
    if "threshold" in metrics:
        blocks.append(operating_text(metrics["threshold"]))
    return "\n\n".join(blocks)

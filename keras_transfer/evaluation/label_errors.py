"""Likely label errors by confident learning (Northcutt et al., JAIR 2021, arXiv:1911.00068).

Arrays in, numbers out. Probabilities are those of models that have not seen the example, as
``learners.linear_probe`` gives them; those of a model that was trained on it hide its error.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from keras_transfer.errors import BadData

__all__ = [
    "LabelErrors",
    "calibrated_joint",
    "confident_classes",
    "confident_joint",
    "confident_thresholds",
    "label_errors",
    "normalized_margin",
]

ROUNDING = 1e-6
"""By which a probability may be below the threshold, which is a mean of such numbers."""


class LabelErrors(NamedTuple):
    """Examples whose label is probably wrong, most probable first.

    Attributes:
        rows: (m,) int64 row of each in the arrays that were given.
        suggested: (m,) int64 class it confidently has; never that of its label.
        scores: (m,) float64 by which they are ranked, ascending.
        thresholds: (classes,) float64 probability from which an example counts as confident.
        joint: (classes, classes) int64 examples by label (row) and confident class (column).
        share: Estimated share of wrong labels among all examples, 0 to 1.
    """

    rows: np.ndarray
    suggested: np.ndarray
    scores: np.ndarray
    thresholds: np.ndarray
    joint: np.ndarray
    share: float


def label_errors(
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    rank_by: Literal["self_confidence", "normalized_margin"] = "self_confidence",
) -> LabelErrors:
    """Find examples whose confident class is another one than their label.

    They are the off-diagonal examples of the confident joint, less those whose most probable class
    is their label.

    Args:
        labels: (n,) int classes from 0 on.
        probabilities: (n, classes) float held-out probabilities, each row of sum 1.
        rank_by: Self-confidence, p(label | x); or ``normalized_margin``. Of two classes both give
            the same order.

    Raises:
        BadData: As for ``confident_thresholds``.
    """
    thresholds = confident_thresholds(labels, probabilities)
    confident = confident_classes(probabilities, thresholds)
    joint = confident_joint(labels, confident, len(thresholds))
    margins = normalized_margin(labels, probabilities)
    # A tie of the most probable classes is no evidence against the label.
    wrong = np.flatnonzero((confident >= 0) & (confident != labels) & (margins < 0.5))
    own = np.asarray(probabilities, "float64")[np.arange(len(labels)), labels]
    scores = (own if rank_by == "self_confidence" else margins)[wrong]
    order = np.argsort(scores, kind="stable")
    wrong = wrong[order]
    right = np.trace(calibrated_joint(joint, np.bincount(labels, minlength=len(thresholds))))
    share = max(1 - float(right), 0.0)
    return LabelErrors(wrong, confident[wrong], scores[order], thresholds, joint, share)


def confident_thresholds(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Mean self-confidence of each class: t_j = mean of p(j | x) over the examples of label j.

    Args:
        labels: (n,) int classes from 0 on.
        probabilities: (n, classes) float.

    Returns:
        (classes,) float64; infinite for a class without examples, of which nobody is confident.

    Raises:
        BadData: The arrays do not belong together, or a probability is none.
    """
    labels, table = np.asarray(labels), np.asarray(probabilities, "float64")
    if table.ndim != 2 or labels.shape != table.shape[:1] or not len(labels):
        raise BadData(
            f"{labels.shape} labels and {table.shape} probabilities are not those of the same "
            "examples."
        )
    if not (labels.min() >= 0 and labels.max() < table.shape[1]):
        raise BadData(f"Labels are 0 to {table.shape[1] - 1}, the numbers of the classes.")
    if not (np.isfinite(table).all() and table.min() >= 0 and table.max() <= 1 + ROUNDING):
        raise BadData("Probabilities are from 0 to 1, and some are not.")
    counts = np.bincount(labels, minlength=table.shape[1])
    own = np.bincount(labels, table[np.arange(len(labels)), labels], table.shape[1])
    return np.where(counts > 0, own / np.maximum(counts, 1), np.inf)


def confident_classes(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The confident class of each example: argmax of p(j | x) over the j with p(j | x) >= t_j.

    Args:
        probabilities: (n, classes) float.
        thresholds: (classes,) float.

    Returns:
        (n,) int64; -1 where no class reaches its threshold.
    """
    reached = probabilities >= thresholds - ROUNDING
    best = np.where(reached, probabilities, -1.0).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1)


def confident_joint(labels: np.ndarray, confident: np.ndarray, classes: int) -> np.ndarray:
    """Count examples by label and confident class; those without confident class do not count.

    Args:
        labels: (n,) int.
        confident: (n,) int, -1 for none.
        classes: Number of classes.

    Returns:
        (classes, classes) int64, a row for each label.
    """
    joint = np.zeros((classes, classes), "int64")
    counted = confident >= 0
    np.add.at(joint, (labels[counted], confident[counted]), 1)
    return joint


def calibrated_joint(joint: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Estimated joint distribution of label and true class: rows in proportion to the labels.

    Q_ij = (C_ij / sum_j C_ij * n_i) / n, with C the confident joint and n_i the number of labels i.
    A label without confident examples is taken to be right.

    Args:
        joint: (classes, classes) int, as ``confident_joint`` counts it.
        counts: (classes,) int number of examples of each label; at least one of all.

    Returns:
        (classes, classes) float64 of sum 1.
    """
    filled = np.where(joint.sum(axis=1, keepdims=True) > 0, joint, np.eye(len(joint)))
    shares = filled / filled.sum(axis=1, keepdims=True)
    return shares * (counts / counts.sum())[:, None]


def normalized_margin(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(p(label | x) - max over other classes j of p(j | x) + 1) / 2 of each example.

    Args:
        labels: (n,) int.
        probabilities: (n, classes) float, two classes or more.

    Returns:
        (n,) float64, 0 to 1; below 0.5 where another class is more probable than the label.
    """
    rows = np.arange(len(labels))
    others = np.array(probabilities, "float64")
    own = others[rows, labels].copy()
    others[rows, labels] = -1.0
    return (own - others.max(axis=1) + 1) / 2

"""Which examples a model should not answer, and how well it tells."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from keras_transfer.evaluation.intervals import wilson_interval
from keras_transfer.evaluation.selective import risk_coverage

__all__ = ["Threshold", "accepted_metrics", "fit_threshold", "separation"]

COVERAGE = 0.95
"""Share of known examples to accept where nothing else is asked for; that of FPR95."""


class Threshold(NamedTuple):
    """A threshold, and what it does on the examples that it was fitted to.

    Attributes:
        value: Examples whose score is lower are rejected.
        coverage: Share of the examples that are accepted.
        accuracy: Of the accepted ones.
    """

    value: float
    coverage: float
    accuracy: float


def fit_threshold(
    known: np.ndarray,
    correct: np.ndarray,
    *,
    accuracy: float | None = None,
    coverage: float | None = None,
) -> Threshold | None:
    """The threshold that accepts the most examples with this accuracy, or at least this share.

    It lies half way between two scores. The accuracy is that of Laplace's rule of succession,
    (right + 1) / (accepted + 2): a few lucky examples promise nothing. For 0.99 it takes 98
    accepted examples without a mistake, or 198 with one.

    Args:
        known: (n,) float scores, higher for examples that are more like those of training.
        correct: (n,) bool.
        accuracy: Least accuracy of the accepted ones, by that rule.
        coverage: Least share of accepted ones; 0.95 if there is no accuracy either.

    Returns:
        None if no share of the examples has that accuracy.
    """
    curve = risk_coverage(known, correct)
    if accuracy is not None:
        accepted = curve.coverage * len(known)
        expected = ((1 - curve.risk) * accepted + 1) / (accepted + 2)
        reached = np.flatnonzero(expected >= accuracy - 1e-12)
        if not len(reached):
            return None
        place = int(reached[-1])
    else:
        wanted = COVERAGE if coverage is None else coverage
        place = int(np.searchsorted(curve.coverage, wanted - 1e-9))
    last = place + 1 == len(curve.threshold)
    # Nothing is rejected on val: an example may still be a bit less known than all of them.
    below = curve.threshold[place] - known.std() if last else curve.threshold[place + 1]
    value = float((curve.threshold[place] + below) / 2)
    return Threshold(value, float(curve.coverage[place]), float(1 - curve.risk[place]))


def accepted_metrics(
    correct: np.ndarray, rejected: np.ndarray, families: np.ndarray | None = None
) -> dict[str, Any]:
    """How many examples are accepted, and how many of these answers are right.

    Args:
        correct: (n,) bool.
        rejected: (n,) bool.
        families: (n,) copies of an example have the same value, and count once in the interval.

    Returns:
        ``n``, ``coverage``, ``accuracy`` of the accepted and its Wilson ``accuracy_interval``;
        the last two are None where none is accepted.
    """
    accepted = ~np.asarray(rejected, bool)
    right = np.asarray(correct, bool)[accepted]
    if not len(right):
        return {"n": len(accepted), "coverage": 0.0, "accuracy": None, "accuracy_interval": None}
    of = np.arange(len(accepted)) if families is None else np.asarray(families)
    sizes = np.unique(of[accepted], return_counts=True)[1]
    share = float(right.mean())
    return {
        "n": len(accepted),
        "coverage": float(accepted.mean()),
        "accuracy": share,
        "accuracy_interval": wilson_interval(share, sizes),
    }


def separation(known: np.ndarray, unknown: np.ndarray) -> dict[str, float]:
    """``auroc`` of known against unknown examples, and ``fpr95``.

    The latter is the share of unknown examples that are accepted where 95 % of the known ones are.

    Args:
        known: (n,) float scores of known examples, n > 0.
        unknown: (m,) float scores of unknown ones, m > 0.
    """
    labels = np.repeat([1, 0], [len(known), len(unknown)])
    threshold = np.sort(known)[::-1][int(np.ceil(COVERAGE * len(known))) - 1]
    return {
        "auroc": float(roc_auc_score(labels, np.concatenate([known, unknown]))),
        "fpr95": float((unknown >= threshold).mean()),
    }

"""What features of a lower precision change for those who learn from them."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

__all__ = ["ProbeChange", "harmless", "neighbour_agreement", "probe_change"]

C, FOLDS, SEED = 10.0, 5, 0
"""Inverse strength of the probe's penalty on features of unit variance; its folds; their seed."""

AGREEMENT, PROBABILITY, LOSS = 0.98, 0.01, 0.01
"""What a probe must keep: its answers, its probabilities and, beyond doubt, its log loss."""

NEIGHBOURS, LEAST = 0.95, 10
"""Share of nearest neighbours that must stay, where there are no classes; of so many at least."""

logger = logging.getLogger("keras_transfer")


class ProbeChange(NamedTuple):
    """How a linear probe answers held-out examples, trained and tested on either features.

    Attributes:
        agreement: Share of examples whose most probable class is the same.
        probability: Mean total variation distance between the probabilities: half of the sum of
            the absolute differences, 0 to 1.
        loss: Increase of the mean log loss over that with the exact features.
        loss_error: Standard error of that increase.
    """

    agreement: float
    probability: float
    loss: float
    loss_error: float

    @property
    def harmless(self) -> bool:
        """Whether a classifier on these features is as good, and answers the same."""
        return (
            self.agreement >= AGREEMENT
            and self.probability <= PROBABILITY
            and self.loss - 2 * self.loss_error <= LOSS
        )


def harmless(features: np.ndarray, exact: np.ndarray, labels: np.ndarray) -> bool:
    """Whether features of a lower precision serve as well as the exact ones.

    Decided by a linear probe if two classes have ``FOLDS`` examples or more, each, else by nearest
    neighbours.

    Args:
        features: (n, ...) float features of a lower precision.
        exact: The same in float32.
        labels: (n,) int classes; -1 where unknown.
    """
    if not np.isfinite(features).all():
        return False
    classes, sizes = np.unique(labels, return_counts=True)
    known = np.isin(labels, classes[(sizes >= FOLDS) & (classes >= 0)])
    if len(np.unique(labels[known])) < 2:
        if len(exact) < LEAST:
            return False
        share = neighbour_agreement(features, exact)
        logger.debug("Nearest neighbours that stay: %.3f", share)
        return share >= NEIGHBOURS
    change = probe_change(features[known], exact[known], labels[known])
    logger.debug("A probe on features of a lower precision: %s", change)
    return change.harmless


@threadpool_limits.wrap(limits=1)
def probe_change(features: np.ndarray, exact: np.ndarray, labels: np.ndarray) -> ProbeChange:
    """Compare logistic regressions on two versions of the same features, by cross-validation.

    Args:
        features: (n, ...) float features of a lower precision.
        exact: The same in float32.
        labels: (n,) int classes; each of at least two has ``FOLDS`` examples or more.
    """
    some, others = _scaled(_pooled(features)), _scaled(_pooled(exact))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    differences, losses, same = [], [], []
    for train, held in folds.split(exact, labels):
        found, wanted = (_probabilities(rows, labels, train, held) for rows in (some, others))
        classes = np.searchsorted(np.unique(labels[train]), labels[held])
        differences.append(np.abs(found - wanted).sum(axis=1) / 2)
        same.append(found.argmax(axis=1) == wanted.argmax(axis=1))
        at = np.arange(len(held)), classes
        losses.append(np.log(wanted[at]) - np.log(found[at]))
    rise = np.concatenate(losses)
    return ProbeChange(
        float(np.concatenate(same).mean()),
        float(np.concatenate(differences).mean()),
        float(rise.mean()),
        float(rise.std(ddof=1) / np.sqrt(len(rise))),
    )


def neighbour_agreement(features: np.ndarray, exact: np.ndarray) -> float:
    """Share of examples whose nearest other example is the same, by Euclidean distance.

    Args:
        features: (n, ...) float features of a lower precision; two or more.
        exact: The same in float32.
    """
    return float((_nearest(_pooled(features)) == _nearest(_pooled(exact))).mean())


def _pooled(features: np.ndarray) -> np.ndarray:
    """(n, channels) float64: means over the positions of maps, or over tokens."""
    positions = tuple(range(1, features.ndim - 1))
    return features.mean(axis=positions, dtype="float64")


def _scaled(rows: np.ndarray) -> np.ndarray:
    """With mean 0 and, over all channels together, variance 1.

    One scale for all: a channel that hardly ever differs from zero is rounding errors alone, and
    scaled by itself it would count as much as the others.
    """
    centred = rows - rows.mean(axis=0)
    return centred / (centred.std() or 1.0)


def _probabilities(
    rows: np.ndarray, labels: np.ndarray, train: np.ndarray, held: np.ndarray
) -> np.ndarray:
    model = LogisticRegression(C=C / rows.shape[1], max_iter=1000)
    return model.fit(rows[train], labels[train]).predict_proba(rows[held])


def _nearest(rows: np.ndarray) -> np.ndarray:
    squares = (rows**2).sum(axis=1)
    distances = squares[:, None] - 2 * rows @ rows.T + squares
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)

"""A linear probe: logistic regression by scikit-learn on frozen features, cross-validated."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from keras_transfer.errors import BadData

__all__ = ["FOLDS", "STRENGTHS", "Probe", "linear_probe"]

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of C, the inverse of the L2 penalty, ascending; features have unit variance."""
FOLDS = 5


class Probe(NamedTuple):
    """Predictions for n examples, each by a classifier that has not seen it.

    Attributes:
        scores: (n, classes) float64 probabilities.
        strengths: C of each fold.
    """

    scores: np.ndarray
    strengths: tuple[float, ...]

    @property
    def decided(self) -> np.ndarray:
        """(n,) int64: the class with the highest probability."""
        return self.scores.argmax(axis=1)


# For the same reason as in `logistic`.
@threadpool_limits.wrap(limits=1)
def linear_probe(
    features: np.ndarray,
    labels: np.ndarray,
    families: np.ndarray,
    *,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
) -> Probe:
    """Cross-validate logistic regression on standardized features, stratified by class.

    C of each fold is the one with the lowest log loss on the other folds, so that no example has
    a say in the C by which it is predicted.

    Args:
        features: (n, channels) float.
        labels: (n,) int classes from 0 on.
        families: (n,) int; examples of one family are in one fold.
        strengths: Values of C, ascending.
        seed: Of the folds.

    Raises:
        BadData: A class has fewer than two families, so that no fold can lack it.
    """
    # By key of the family, once per class: what stratified folds can spread.
    spread = [len(np.unique(families[labels == label])) for label in np.unique(labels)]
    if min(spread) < 2:
        raise BadData(
            "Cross-validation needs two or more examples of every class that are no copies and "
            "share no group, and a class has one. Add some, or keep other classes by --set classes."
        )
    folds = StratifiedGroupKFold(min(FOLDS, max(spread)), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Of classes with fewer examples than folds, which some folds then lack.
        warnings.simplefilter("ignore", UserWarning)
        pairs = [*folds.split(features, labels, families)]
    scores = np.zeros((len(strengths), len(labels), int(labels.max()) + 1))
    for train, held in pairs:
        for place, fitted in enumerate(_path(features[train], labels[train], strengths)):
            scores[place][np.ix_(held, fitted.classes_)] = fitted.predict_proba(features[held])
    chosen = [_best(scores, labels, held) for _, held in pairs]
    result = np.empty_like(scores[0])
    for (_, held), place in zip(pairs, chosen, strict=True):
        result[held] = scores[place][held]
    return Probe(result, tuple(strengths[place] for place in chosen))


def _path(features: np.ndarray, labels: np.ndarray, strengths: Sequence[float]) -> Iterator[Any]:
    """Fitted classifiers by ascending C; each starts from the one before, which is near."""
    classifier = LogisticRegression(max_iter=1000, warm_start=True)
    fitted = make_pipeline(StandardScaler(), classifier)
    for strength in strengths:
        classifier.set_params(C=strength)
        yield fitted.fit(features, labels)


def _best(scores: np.ndarray, labels: np.ndarray, held: np.ndarray) -> int:
    """The strength with the lowest log loss on the examples that are not held."""
    others = np.setdiff1d(np.arange(len(labels)), held)
    known = range(scores.shape[2])
    losses = [log_loss(labels[others], table[others], labels=known) for table in scores]
    return int(np.argmin(losses))

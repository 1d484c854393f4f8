"""Classical learners by name: estimators of scikit-learn, and the heads that they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from keras_transfer.learners.discriminant import ShrunkLDA
from keras_transfer.learners.heads import (
    KernelHead,
    LinearHead,
    NeighborsHead,
    Standard,
    TreesHead,
)
from keras_transfer.learners.linear import ABSENT, class_columns, softmax_weights
from keras_transfer.learners.svm import RbfSVM
from keras_transfer.learners.trees import boosted_trees, forest
from keras_transfer.tables import Table

__all__ = ["LEARNERS", "Head", "LearnerRow"]

Head = LinearHead | KernelHead | NeighborsHead | TreesHead

SMALLEST = 1e-7
"""Least probability of a class, where a learner may give 0: the log loss stays finite."""


class LearnerRow(NamedTuple):
    """A classifier of scikit-learn, and how its head is made.

    Attributes:
        make: The estimator, from its parameters.
        logits: From a fitted estimator, (n, channels) features and the number of classes to
            (n, classes) float64 logits, which may not be calibrated.
        head: From a fitted estimator, the number of classes and the standardisation of features
            to its head.
        searched: The parameter that cross-validation chooses; "": none.
        grid: Its values, the simplest model first.
        by: What cross-validation compares.
        calibrated: Whether the softmax of the logits is a probability as it is.
        weighted: Whether examples may have weights.
        seeded: Whether it draws at random.
        standardized: Whether features are standardised.
        folds: Most folds of cross-validation.
        only: Parameters that may be set; (): all. Its head computes nothing else.
    """

    make: Callable[..., Any]
    logits: Callable[[Any, np.ndarray, int], np.ndarray]
    head: Callable[[Any, int, Standard], Head]
    searched: str = ""
    grid: tuple[Any, ...] = ()
    by: Literal["accuracy", "log_loss"] = "accuracy"
    calibrated: bool = True
    weighted: bool = True
    seeded: bool = False
    standardized: bool = True
    folds: int = 5
    only: tuple[str, ...] = ()

    def parameters(self) -> Mapping[str, Any]:
        """All parameters of the estimator, with their defaults."""
        return self.make().get_params()


def _linear_logits(model: Any, features: np.ndarray, classes: int) -> np.ndarray:
    kernel, bias = softmax_weights(model, classes)
    return features @ kernel + bias


def _linear_head(model: Any, classes: int, standard: Standard) -> Head:
    return LinearHead(*softmax_weights(model, classes)).unscaled(standard)


def _centroid_weights(model: Any, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """-|x - m|^2 of each mean m, without |x|^2, which is the same for all classes."""
    means = model.centroids_
    # Divided by the number of channels, so that calibration starts near its solution.
    kernel, bias = np.zeros((means.shape[1], classes)), np.full(classes, ABSENT)
    kernel[:, model.classes_] = 2 * means.T / means.shape[1]
    bias[model.classes_] = -(means**2).mean(axis=1)
    return kernel, bias


def _centroid_logits(model: Any, features: np.ndarray, classes: int) -> np.ndarray:
    kernel, bias = _centroid_weights(model, classes)
    return features @ kernel + bias


def _centroid_head(model: Any, classes: int, standard: Standard) -> Head:
    return LinearHead(*_centroid_weights(model, classes)).unscaled(standard)


def _decisions(model: Any, features: np.ndarray, classes: int) -> np.ndarray:
    return class_columns(model.decision_function(features), model.classes_, classes)


def _svm_head(model: RbfSVM, classes: int, standard: Standard) -> Head:
    # The same expansion from known to all classes as that of linear classifiers.
    kernel, bias = softmax_weights(_Coefficients(model), classes)
    return KernelHead(model.references_, model.gamma_, LinearHead(kernel, bias), standard)


class _Coefficients:
    """The weights of kernel values as those of a linear classifier."""

    def __init__(self, model: RbfSVM):
        self.coef_, self.intercept_ = model.dual_coef_.T, model.intercept_
        self.classes_ = model.classes_


def _log_probabilities(model: Any, features: np.ndarray, classes: int) -> np.ndarray:
    shares = np.zeros((len(features), classes))
    shares[:, model.classes_] = model.predict_proba(features)
    return np.log(np.maximum(shares, SMALLEST))


def _neighbors_head(model: Any, classes: int, standard: Standard) -> Head:
    # scikit-learn has no public way to the rows that it was fitted to.
    labels = model.classes_[model._y]
    return NeighborsHead(
        model._fit_X.astype("float32"), labels, model.n_neighbors, classes, standard
    )


def _trees_head(model: Any, classes: int, standard: Standard) -> Head:
    return forest(getattr(model, "estimators_", [model]), model.classes_, classes)


def _boosting_head(model: Any, classes: int, standard: Standard) -> Head:
    return boosted_trees(model, classes)


def _logistic(**parameters: Any) -> BaseEstimator:
    return LogisticRegression(**{"max_iter": 1000, **parameters})


def _linear_svm(**parameters: Any) -> BaseEstimator:
    return LinearSVC(**{"max_iter": 10_000, "tol": 1e-3, **parameters})


def _random_forest(**parameters: Any) -> BaseEstimator:
    return RandomForestClassifier(**{"n_estimators": 200, **parameters})


def _gradient_boosting(**parameters: Any) -> BaseEstimator:
    # A share of the channels for each split: features have a thousand, most of them alike.
    given = {"max_features": 0.1, "early_stopping": False, **parameters}
    return HistGradientBoostingClassifier(**given)


_DECADES = tuple(10.0**exponent for exponent in range(-5, 1))

LEARNERS: Table[LearnerRow] = Table(
    "learner",
    {
        "logistic_regression": LearnerRow(
            _logistic, _linear_logits, _linear_head, "C", _DECADES, by="log_loss"
        ),
        "linear_svm": LearnerRow(
            _linear_svm,
            _linear_logits,
            _linear_head,
            "C",
            _DECADES,
            calibrated=False,
            seeded=True,
        ),
        "svm": LearnerRow(
            RbfSVM, _decisions, _svm_head, "C", (0.1, 1.0, 10.0, 100.0), calibrated=False
        ),
        "knn": LearnerRow(
            KNeighborsClassifier,
            _log_probabilities,
            _neighbors_head,
            "n_neighbors",
            (25, 15, 9, 5, 3, 1),
            weighted=False,
            only=("n_neighbors",),
        ),
        "lda": LearnerRow(
            ShrunkLDA,
            _linear_logits,
            _linear_head,
            "shrinkage",
            (0.99, 0.9, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01),
            by="log_loss",
            weighted=False,
        ),
        "nearest_mean": LearnerRow(
            NearestCentroid,
            _centroid_logits,
            _centroid_head,
            calibrated=False,
            weighted=False,
            only=("shrink_threshold",),
        ),
        "decision_tree": LearnerRow(
            DecisionTreeClassifier,
            _log_probabilities,
            _trees_head,
            "max_depth",
            (1, 2, 4, 8, 16),
            seeded=True,
            standardized=False,
        ),
        "random_forest": LearnerRow(
            _random_forest,
            _log_probabilities,
            _trees_head,
            "min_samples_leaf",
            (9, 3, 1),
            seeded=True,
            standardized=False,
            folds=3,
        ),
        "gradient_boosting": LearnerRow(
            _gradient_boosting,
            _decisions,
            _boosting_head,
            "learning_rate",
            (0.03, 0.1, 0.3),
            by="log_loss",
            seeded=True,
            standardized=False,
            folds=3,
        ),
    },
)

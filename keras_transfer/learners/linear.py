"""Linear classifiers of scikit-learn as the weights of one layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["ABSENT", "class_columns", "softmax_weights"]

ABSENT = math.log(1e-9)
"""Logit of a class without examples. The others have sum 0, so the largest of them is above."""


def softmax_weights(model: Any, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of logits whose softmax is the classifier's probability, or follows its decisions.

    Args:
        model: A fitted linear classifier, with ``coef_``, ``intercept_`` and ``classes_``.
        classes: Number of classes; those that the classifier does not know get ``ABSENT``.

    Returns:
        (channels, classes) and (classes,) float64.
    """
    coefficients, intercepts = (x.astype("float64") for x in (model.coef_, model.intercept_))
    if len(model.classes_) == 2:  # one row: the difference between the two logits
        coefficients, intercepts = (np.stack([-x[0], x[0]]) / 2 for x in (coefficients, intercepts))
    kernel, bias = np.zeros((coefficients.shape[1], classes)), np.full(classes, ABSENT)
    kernel[:, model.classes_], bias[model.classes_] = coefficients.T, intercepts
    return kernel, bias


def class_columns(values: np.ndarray, known: np.ndarray, classes: int) -> np.ndarray:
    """Decisions of known classes as logits of all classes.

    Args:
        values: (n, known) float, or (n,) for two classes: above 0 means the second one.
        known: (known,) int classes.
        classes: Number of all classes; those that are not known get ``ABSENT``.

    Returns:
        (n, classes) float64.
    """
    if values.ndim == 1:
        values = np.stack([-values, values], axis=1) / 2
    columns = np.full((len(values), classes), ABSENT)
    columns[:, known] = values
    return columns

"""A support vector machine with a Gaussian kernel, one against the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from keras_transfer.data.memory import fits
from keras_transfer.errors import CheckFailed

__all__ = ["RbfSVM"]


class RbfSVM:
    """``SVC(kernel="rbf")`` for each class against the rest.

    All classes share one matrix of kernel values, made by a matrix product: SVC computes them one
    by one for each machine, which takes 20 times as long for features of a thousand channels.

    Args:
        C: Inverse strength of the penalty.
        gamma: Width of the kernel; "scale": 1 / (channels * variance).
    """

    classes_: np.ndarray
    references_: np.ndarray
    gamma_: float
    dual_coef_: np.ndarray
    intercept_: np.ndarray

    def __init__(self, C: float = 1.0, gamma: float | str = "scale"):
        self.C, self.gamma = C, gamma

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Its settings, as scikit-learn's estimators give them."""
        return {"C": self.C, "gamma": self.gamma}

    def fit(self, features: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray) -> RbfSVM:
        """Fit to (n, channels) float features, (n,) int labels and (n,) weights.

        Raises:
            CheckFailed: The (n, n) kernel matrix does not fit into memory.
        """
        n = len(labels)
        if not fits(2 * 8 * n * n):
            raise CheckFailed(
                f"learner = svm needs {8 * n * n / 1e9:.0f} GB of memory for the kernel of {n:,} "
                "examples. Use learner = linear_svm, or fewer examples (data.split.train)."
            )
        scale = 1 / (features.shape[1] * float(features.var()) or 1.0)
        self.gamma_ = scale if self.gamma == "scale" else float(self.gamma)
        kernel = rbf_kernel(features, gamma=self.gamma_)
        self.classes_ = np.unique(labels)
        # Of two classes one machine is enough: above 0 means the second.
        wanted = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        coefficients = np.zeros((n, len(wanted)))
        self.intercept_ = np.zeros(len(wanted))
        for place, label in enumerate(wanted):
            machine = SVC(C=self.C, kernel="precomputed", cache_size=500)
            machine.fit(kernel, labels == label, sample_weight=sample_weight)
            coefficients[machine.support_, place] = machine.dual_coef_[0]
            self.intercept_[place] = machine.intercept_[0]
        used = coefficients.any(axis=1)
        self.references_, self.dual_coef_ = features[used], coefficients[used]
        return self

    def decision_function(self, features: np.ndarray) -> np.ndarray:
        """(n, classes) float64 distances to the margins; (n,) for two classes."""
        kernel = rbf_kernel(features, self.references_, gamma=self.gamma_)
        values = kernel @ self.dual_coef_ + self.intercept_
        return values[:, 0] if values.shape[1] == 1 else values

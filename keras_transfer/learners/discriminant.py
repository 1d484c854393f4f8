"""Linear discriminant analysis with a shrunk covariance, for features of many channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from keras_transfer.data.memory import fits
from keras_transfer.errors import CheckFailed

__all__ = ["ShrunkLDA"]


class ShrunkLDA:
    """``LinearDiscriminantAnalysis(solver="lsqr", shrinkage=...)`` by a Cholesky decomposition.

    S = (1 - s) C + s tr(C) / d I, with C the mean covariance within the classes, weighted by their
    shares p, and d channels; logits = x' S^-1 m - m' S^-1 m / 2 + log p for the mean m of a class.
    scikit-learn solves S by a least-squares routine, which takes 100 times as long for a thousand
    channels.

    Args:
        shrinkage: s, above 0 and at most 1.
    """

    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray

    def __init__(self, shrinkage: float = 0.1):
        self.shrinkage = shrinkage

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Its settings, as scikit-learn's estimators give them."""
        return {"shrinkage": self.shrinkage}

    def fit(self, features: np.ndarray, labels: np.ndarray) -> ShrunkLDA:
        """Fit to (n, channels) float features and (n,) int labels.

        Raises:
            CheckFailed: The covariance does not fit into memory.
            ValueError: The shrinkage is out of range.
        """
        if not isinstance(self.shrinkage, int | float) or not 0 < self.shrinkage <= 1:
            raise ValueError(f"shrinkage = {self.shrinkage!r}: should be above 0 and at most 1")
        channels = features.shape[1]
        if not fits(3 * 8 * channels**2):
            raise CheckFailed(
                f"learner = lda needs {24 * channels**2 / 1e9:.0f} GB of memory for {channels:,} "
                "channels. Use pooling = avg, or learner = logistic_regression."
            )
        self.classes_, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
        rows = features.astype("float64")
        means = np.stack([rows[places == place].mean(axis=0) for place in range(len(counts))])
        centred = rows - means[places]
        # A constant feature in a single class would leave nothing to divide by.
        covariance = centred.T @ centred / len(rows)
        level = max(np.trace(covariance) / channels, np.finfo("float32").tiny)
        covariance *= 1 - self.shrinkage
        covariance[np.diag_indices(channels)] += self.shrinkage * level
        coefficients = cho_solve(cho_factor(covariance, overwrite_a=True), means.T).T
        intercepts = np.log(counts / len(rows)) - (means * coefficients).sum(axis=1) / 2
        two = len(counts) == 2  # one row, as scikit-learn's linear classifiers have
        self.coef_ = coefficients[1:] - coefficients[:1] if two else coefficients
        self.intercept_ = intercepts[1:] - intercepts[:1] if two else intercepts
        return self

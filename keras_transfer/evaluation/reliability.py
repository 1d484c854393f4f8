"""Whether probabilities mean what they say: the reliability diagram and its error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["BINS", "Reliability", "equal_counts", "reliability"]

BINS = 15
"""Bins of equal width, as in Guo et al. 2017."""


class Reliability(NamedTuple):
    """Confidence and accuracy of examples in bins of equal width.

    Attributes:
        edges: (bins + 1,) float64 from 0 to 1.
        counts: (bins,) int64 examples in each bin.
        confidence: (bins,) float64 mean confidence; NaN for an empty bin.
        accuracy: (bins,) float64 share of correct examples; NaN for an empty bin.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def ece(self) -> float:
        """Expected calibration error, sum over bins of n_b / n |accuracy_b - confidence_b|.

        Naeini et al. 2015 and Guo et al. 2017 (arXiv:1706.04599), equation 3.
        """
        filled = self.counts > 0
        gaps = np.abs(self.accuracy - self.confidence)[filled]
        return float(gaps @ self.counts[filled] / self.counts.sum())

    def place(self, confidence: np.ndarray) -> np.ndarray:
        """(n,) int64 bin of each of (n,) confidences in [0, 1]."""
        return _places(self.edges, confidence)

    @property
    def overconfidence(self) -> float:
        """Mean confidence less accuracy, of all examples; negative where confidence is too low."""
        filled = self.counts > 0
        gaps = (self.confidence - self.accuracy)[filled]
        return float(gaps @ self.counts[filled] / self.counts.sum())


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> Reliability:
    """Sort examples into bins by their confidence.

    Args:
        confidence: (n,) float in [0, 1], n > 0: the probability of the predicted class.
        correct: (n,) bool: whether the predicted class is the true one.
        bins: Number of bins. Each holds its upper edge, as in Guo et al.; the first also holds 0.
    """
    edges = np.linspace(0, 1, bins + 1)
    places = _places(edges, confidence)
    counts = np.bincount(places, minlength=bins)
    sums = [np.bincount(places, values, bins) for values in (confidence, correct)]
    means = [
        np.divide(total, counts, out=np.full(bins, np.nan), where=counts > 0) for total in sums
    ]
    return Reliability(edges, counts, *means)


def equal_counts(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(n,) int64 bin of each example, in bins that hold equally many; ties stay in one bin.

    Args:
        confidence: (n,) float, n > 0.
        bins: Number of bins; there are fewer for fewer distinct confidences.
    """
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, confidence, side="left")


def _places(edges: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, len(edges) - 2)

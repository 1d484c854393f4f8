"""What is left of the errors where a model may leave unsure examples to people."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["RiskCoverage", "risk_coverage"]


class RiskCoverage(NamedTuple):
    """The risk-coverage curve: one point for each distinct confidence, the highest first.

    Attributes:
        threshold: (m,) float64: examples from this confidence on are accepted.
        coverage: (m,) float64 share of the examples that are accepted, ascending to 1.
        risk: (m,) float64 share of the accepted examples that are wrong.
    """

    threshold: np.ndarray
    coverage: np.ndarray
    risk: np.ndarray

    @property
    def area(self) -> float:
        """Mean risk over the numbers of accepted examples (AURC, Geifman et al. 2019)."""
        # Equal confidences are accepted together, so a point stands for all numbers up to it.
        return float(np.diff(self.coverage, prepend=0.0) @ self.risk)

    def at(self, coverage: float) -> tuple[float, float, float]:
        """Threshold, coverage and risk of the first point that accepts at least this share."""
        place = min(int(np.searchsorted(self.coverage, coverage - 1e-9)), len(self.coverage) - 1)
        return (
            float(self.threshold[place]),
            float(self.coverage[place]),
            float(self.risk[place]),
        )


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> RiskCoverage:
    """Accept the most confident examples first (Geifman and El-Yaniv 2017, arXiv:1705.08500).

    Args:
        confidence: (n,) float, n > 0.
        correct: (n,) bool.
    """
    order = np.argsort(-np.asarray(confidence, float), kind="stable")
    sure, wrong = np.asarray(confidence, float)[order], ~np.asarray(correct, bool)[order]
    # The last example of each group of equal confidences.
    last = np.append(np.flatnonzero(np.diff(sure)), len(sure) - 1)
    accepted = last + 1
    return RiskCoverage(sure[last], accepted / len(sure), np.cumsum(wrong)[last] / accepted)

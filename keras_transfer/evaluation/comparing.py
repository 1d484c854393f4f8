"""Exact tests of two models on the same examples, and the spread of repeated runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest, t, wilcoxon

__all__ = ["distinct", "mcnemar", "signed_rank", "spread"]

MAX_EXACT = 50
"""Largest number of differences whose exact law is computed; SciPy's own limit."""


def distinct(true: np.ndarray, families: np.ndarray | None) -> np.ndarray:
    """Places of the examples that count in a test: copies with equal true values count once.

    Args:
        true: (n,) int or (n, units) float.
        families: (n,) int, equal for exact copies of an example; None: there are none.

    Returns:
        (m,) int64, ascending.
    """
    if families is None:
        return np.arange(len(true))
    # With the true value: copies with different labels are different cases.
    cases = np.column_stack([families, true])
    return np.sort(np.unique(cases, axis=0, return_index=True)[1])


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test of whether two models are equally often the only correct one.

    Args:
        first: (n,) bool, where the first model is right.
        second: (n,) bool, where the second model is right.

    Returns:
        ``only_first`` and ``only_second``, the number of examples that only this model predicts
        correctly, and ``p``, two-sided; 1 where both are 0.
    """
    only = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    # Exact, since the chi-square form is wrong for few disagreements.
    p = binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    return {"only_first": only[0], "only_second": only[1], "p": float(p)}


def signed_rank(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Wilcoxon's signed-rank test of whether two models have equally large errors.

    The null hypothesis: the differences of the absolute errors are symmetric around 0. Equal errors
    are left out. Up to 50 differences without ties the law of the rank sum is exact; otherwise it
    is the normal approximation.

    Args:
        first: (n,) float absolute errors of the first model.
        second: (n,) float absolute errors of the second model.

    Returns:
        ``closer_first`` and ``closer_second``, the number of examples to which this model is
        closer; ``p``, two-sided, 1 where all are equal; ``law``, "exact" or "normal".
    """
    difference = second - first
    # Left out as Wilcoxon did, since a zero has no sign.
    difference = difference[difference != 0]
    sizes = np.abs(difference)
    exact = len(sizes) <= MAX_EXACT and len(np.unique(sizes)) == len(sizes)
    p = 1.0
    # SciPy refuses an empty sample.
    if len(sizes):
        p = wilcoxon(difference, method="exact" if exact else "approx").pvalue
    return {
        "closer_first": int(np.sum(difference > 0)),
        "closer_second": int(np.sum(difference < 0)),
        "p": float(p),
        "law": "exact" if exact else "normal",
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean of two or more metrics, standard deviation (n - 1), and 95 % t interval of the mean."""
    numbers = np.asarray(values, float)
    mean, std = numbers.mean(), numbers.std(ddof=1)
    # Student's t, since a few seeds estimate the deviation badly.
    margin = t.ppf(0.975, len(numbers) - 1) * std / np.sqrt(len(numbers))
    return {
        "mean": float(mean),
        "std": float(std),
        "interval": [float(mean - margin), float(mean + margin)],
        "values": numbers.tolist(),
    }

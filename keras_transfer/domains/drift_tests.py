"""Two-sample tests of what a model says of old and new examples, with effect sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import ks_2samp, norm
from scipy.stats.contingency import association

from keras_transfer.domains.label_shift import label_shift_p_value

__all__ = ["POWER", "Drift", "confidence_drift", "detectable_share", "holm", "share_drift"]

POWER = 0.8


class Drift(NamedTuple):
    """A test, and how large the difference is.

    Attributes:
        p_value: In (0, 1].
        effect: 0 to 1: the statistic D of Kolmogorov and Smirnov, or Cramér's V.
    """

    p_value: float
    effect: float


def confidence_drift(source: np.ndarray, target: np.ndarray) -> Drift:
    """Compare confidences by the test of Kolmogorov and Smirnov.

    Its D is the largest difference of the two distribution functions.

    Args:
        source: (n, classes) float probabilities.
        target: (m, classes) float.
    """
    found = ks_2samp(source.max(axis=1), target.max(axis=1))
    return Drift(float(found.pvalue), float(found.statistic))


def share_drift(source: np.ndarray, target: np.ndarray, classes: int, *, seed: int = 0) -> Drift:
    """Compare shares of predicted classes by chi² with random exchanges, and Cramér's V.

    V is the root of chi² / (n + m) for two domains (Cramér 1946); 0 where one class is predicted.

    Args:
        source: (n,) int predicted classes.
        target: (m,) int.
        classes: Number of classes.
        seed: Of the exchanges.
    """
    p_value = label_shift_p_value(source, target, classes, seed=seed)
    table = np.stack([np.bincount(one, minlength=classes) for one in (source, target)])
    table = table[:, table.any(axis=0)]
    if table.shape[1] < 2:
        return Drift(p_value, 0.0)
    return Drift(p_value, float(association(table, method="cramer")))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values adjusted for their number (Holm 1979): one of three is small by chance more often.

    Args:
        p_values: By name.
    """
    order, found, worst = sorted(p_values, key=lambda name: p_values[name]), {}, 0.0
    for place, name in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - place) * p_values[name]))
        found[name] = worst
    return {name: found[name] for name in p_values}


def detectable_share(n: int, m: int, level: float) -> float:
    """The difference of a share of one half that n and m examples show in 4 of 5 cases.

    Args:
        n: Examples of one domain.
        m: Examples of the other.
        level: p-value up to which a difference counts.
    """
    z = norm.ppf(1 - level / 2) + norm.ppf(POWER)
    return float(min(1.0, z * np.sqrt(0.25 * (1 / n + 1 / m))))

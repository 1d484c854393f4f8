"""Isotonic calibration of labels: a rising curve from logits to probabilities for each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.isotonic import IsotonicRegression

__all__ = ["EACH", "GAP", "Curves", "fit_curves"]

EACH = 10
"""Positive, and negative, val examples below which a label has no curve."""

GAP = 0.001
"""Of knots that are nearer, in standard deviations of the logits, two stay, a quarter of it apart:
a format that computes these a little differently would else answer another probability."""


class Curves(NamedTuple):
    """A curve for each label; outside of its knots it is constant.

    Attributes:
        x: For each label (k,) float64 logits, rising.
        y: For each label (k,) float64 probabilities in (0, 1), not falling.
        fitted: (labels,) bool: the others keep their logits.
    """

    x: tuple[np.ndarray, ...]
    y: tuple[np.ndarray, ...]
    fitted: np.ndarray

    def apply(self, outputs: np.ndarray) -> np.ndarray:
        """(n, labels) float64 calibrated logits of (n, labels) logits."""
        found = np.array(outputs, float)
        for label in np.flatnonzero(self.fitted):
            chances = np.interp(found[:, label], self.x[label], self.y[label])
            found[:, label] = np.log(chances) - np.log1p(-chances)
        return found

    def ramps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The curves as sums of ramps.

        Returns:
            (labels,) first probabilities; and (labels, k) starts, widths and heights of ramps, of
            which those that a label does not need have no height.
        """
        k = max(1, max(len(x) for x in self.x) - 1)
        starts, widths, steps = (np.full((len(self.x), k), fill) for fill in (0.0, 1.0, 0.0))
        first = np.full(len(self.x), 0.5)
        for label in np.flatnonzero(self.fitted):
            x, y = self.x[label], self.y[label]
            used = len(x) - 1
            first[label], starts[label, :used] = y[0], x[:-1]
            widths[label, :used], steps[label, :used] = np.diff(x), np.diff(y)
        return first, starts, widths, steps


def fit_curves(outputs: np.ndarray, true: np.ndarray, gap: float = GAP) -> Curves:
    """Fit isotonic regression to each label (Zadrozny and Elkan 2002, KDD, section 3).

    The least squares fit of 0 and 1 that rises with the logit, by scikit-learn, and linear between
    its knots. Probabilities are kept within 1 / (n + 2) of 0 and 1: n examples show no more
    (Laplace), and a probability of 0 has an infinite log loss.

    Args:
        outputs: (n, labels) float logits, n > 0.
        true: (n, labels) 0 or 1.
        gap: Of knots that are nearer two stay, in standard deviations of the label's logits.

    Returns:
        Curves; a label with fewer than ``EACH`` positives or negatives has none.
    """
    positives = np.asarray(true).sum(axis=0)
    fitted = (positives >= EACH) & (len(true) - positives >= EACH)
    low = 1 / (len(true) + 2)
    xs, ys = [], []
    for label, wanted in enumerate(fitted):
        if not wanted:
            xs.append(np.zeros(1))
            ys.append(np.full(1, 0.5))
            continue
        logits = np.asarray(outputs, float)[:, label]
        found = IsotonicRegression(y_min=low, y_max=1 - low).fit(logits, np.asarray(true)[:, label])
        x, y = _joined(found.X_thresholds_, found.y_thresholds_, gap * logits.std())
        xs.append(x)
        ys.append(y)
    return Curves(tuple(xs), tuple(ys), fitted)


def _joined(x: np.ndarray, y: np.ndarray, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Knots of which, of those nearer than the gap, two stay: a jump becomes a short ramp.

    One knot, with their mean, would bend the plateaus on both sides into ramps.
    """
    starts = [0]
    for place in range(1, len(x)):
        # From the first knot of a group: a chain of near knots may be long.
        if x[place] - x[starts[-1]] >= gap:
            starts.append(place)
    firsts = np.array(starts)
    lasts = np.append(firsts[1:], len(x)) - 1
    several = firsts < lasts
    middle, half = (x[firsts] + x[lasts]) / 2, np.where(several, gap / 8, 0.0)
    # A quarter of the gap apart: as much lies at least between groups, whose firsts are a gap apart
    # and whose middles are less than half a gap after them.
    ends = np.stack([middle - half, middle + half], axis=1)
    used = np.stack([np.ones(len(firsts), bool), several], axis=1)
    return ends[used], np.stack([y[firsts], y[lasts]], axis=1)[used]

"""The learning rate range test: the loss while the rate grows (Smith 2015, arXiv:1506.01186)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from keras_transfer.errors import CheckFailed
from keras_transfer.tables import Table

__all__ = [
    "RULES",
    "STEPS",
    "Sweep",
    "diverged",
    "minimum",
    "rates",
    "smoothed",
    "steepest",
    "three_quarters",
]

LOWEST, HIGHEST = 1e-7, 10.0
STEPS = 100
SMOOTHING = 0.9
"""Weight of a step's neighbours relative to the step itself."""
DIVERGED = 4.0
"""A sweep stops when the moving average exceeds this multiple of its minimum, as in fastai."""
STILL = 10
"""First steps of a sweep, at rates too low to learn; they show the noise between batches."""


class Sweep(NamedTuple):
    """Results of a sweep, one value per step.

    Attributes:
        rates: (steps,) float, growing.
        losses: (steps,) float, finite.
    """

    rates: list[float]
    losses: list[float]

    @property
    def smoothed(self) -> np.ndarray:
        """(steps,) float64, the losses smoothed, where they are above twice the first ones cut off.

        How far a loss diverges says nothing of where to learn, and would reach into the fall.
        """
        if not self.losses:
            return np.zeros(0)
        return smoothed(np.minimum(self.losses, 2 * np.mean(self.losses[:STILL])))

    def suggestions(self) -> dict[str, float]:
        """The rate that each rule of ``RULES`` suggests, to three digits.

        Raises:
            CheckFailed: The loss fell at no rate by more than batches differ: no rule can hold.
        """
        curve, still = self.smoothed, self.losses[:STILL]
        chance = float(np.std(still)) if still else 0.0
        # At the first rates nothing is learned: a minimum there is noise.
        later = curve[STILL:]
        # Rounding of a constant loss is no decrease.
        if not len(later) or np.mean(still) - later.min() <= max(chance, 1e-6 * np.mean(still)):
            raise CheckFailed(
                f"The loss fell at no rate in the {len(curve)} steps of the sweep by more than "
                f"batches differ by chance ({chance:.2g}), so no rate can be suggested. Check the "
                "data and the head, use a larger --batch-size, or set --lr yourself."
            )
        tried = self.rates[STILL:]
        return {name: float(f"{rule(tried, later):.3g}") for name, rule in RULES.items()}


def rates(steps: int = STEPS, lowest: float = LOWEST, highest: float = HIGHEST) -> list[float]:
    """Geometrically spaced rates, both ends included."""
    return [float(rate) for rate in np.geomspace(lowest, highest, steps)]


def smoothed(losses: Sequence[float] | np.ndarray, weight: float = SMOOTHING) -> np.ndarray:
    """Average over the steps on both sides with exponentially decreasing weights.

    A moving average of the past alone lags, at fastai's 0.98 by decades, and the rules with it.

    Args:
        losses: (n,) loss of each step.
        weight: Of the next step on either side against the step itself, in [0, 1).

    Returns:
        (n,) float64.
    """
    place = np.arange(len(losses))
    weights = weight ** np.abs(place[:, None] - place)
    return weights @ np.asarray(losses, np.float64) / weights.sum(axis=1)


def diverged(losses: Sequence[float]) -> bool:
    """Whether the last loss is NaN, or the moving average exceeds ``DIVERGED`` times its minimum.

    Args:
        losses: (n,) loss of each step so far.
    """
    if not math.isfinite(losses[-1]):
        return True
    average, lowest = 0.0, math.inf
    for step, loss in enumerate(losses, 1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        # As in Adam: the average starts at 0, so the first values would be too low.
        unbiased = average / (1 - SMOOTHING**step)
        lowest = min(lowest, unbiased)
    return unbiased > DIVERGED * lowest


def three_quarters(rates: Sequence[float], curve: np.ndarray) -> float:
    """The lowest rate at which the smoothed loss has made three quarters of its decrease.

    A level is read off a noisy curve more surely than a slope: ``benchmarks/lr_find.py`` has both.

    Args:
        rates: (steps,) growing rates.
        curve: (steps,) float64, the smoothed loss at each.
    """
    start, lowest = float(np.mean(curve[:STILL])), float(np.min(curve))
    return float(rates[int(np.argmax(curve <= start - 0.75 * (start - lowest)))])


def steepest(rates: Sequence[float], curve: np.ndarray) -> float:
    """The rate where the smoothed loss falls fastest per decade, before its minimum.

    Args:
        rates: (steps,) growing rates.
        curve: (steps,) float64, the smoothed loss at each.
    """
    slopes = np.gradient(curve, np.log10(rates))[: int(np.argmin(curve)) + 1]
    return float(rates[int(np.argmin(slopes))])


def minimum(rates: Sequence[float], curve: np.ndarray) -> float:
    """A tenth of the rate where the smoothed loss is lowest.

    Args:
        rates: (steps,) growing rates.
        curve: (steps,) float64, the smoothed loss at each.
    """
    return float(rates[int(np.argmin(curve))]) / 10


RULES: Table[Callable[[Sequence[float], np.ndarray], float]] = Table(
    "rule", {"three quarters": three_quarters, "steepest": steepest, "minimum/10": minimum}
)
"""``--lr auto`` uses the first; the others have fastai's names."""

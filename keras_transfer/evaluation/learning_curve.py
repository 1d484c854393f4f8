"""Extrapolate the accuracy with more examples: a power law fitted to the errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import curve_fit
from scipy.stats import chi2

from keras_transfer.evaluation.paired import Aligned, resampled_metrics
from keras_transfer.evaluation.weighted import classification_metric

__all__ = ["doubling", "power_law"]

LEAST_SIZES = 4
TRAINING = 0.01
"""Standard deviation of the error over training sets of one size and over seeds."""
LIKELY = 0.001
"""Smallest p value of the chi-square goodness-of-fit test; a law below it is rejected."""
# Each resample is a curve fit, so there are fewer than elsewhere.
RESAMPLES = 200


def power_law(sizes: np.ndarray, errors: np.ndarray, examples: int) -> np.ndarray:
    """Fit error = a (n / largest n)^-b + c, with a and c in [0, 1] and b in [0.01, 2].

    Args:
        sizes: (k,) numbers of training examples.
        errors: (k,) share of wrong predictions.
        examples: Number of test examples; the fewer, the less weight an error near 0 has.

    Returns:
        (3,) float64 a, b, c. a + c is the error at the largest size.
    """
    deviations = _deviations(errors, examples)
    start = [max(errors[-1], 0.01) / 2, 0.5, errors[-1] / 2]
    # With b at 0 the first term would be a constant, which cannot be told from c.
    bounds = ([0, 0.01, 0], [1, 2, 1])
    # Scaled sizes: a is then an error, and has the same bounds for all data.
    return curve_fit(
        _law, sizes / sizes[-1], errors, p0=start, sigma=deviations, bounds=bounds, maxfev=5000
    )[0]


def _deviations(errors: np.ndarray, examples: int) -> np.ndarray:
    smooth = (errors * examples + 1) / (examples + 2)  # an error of 0 is not known exactly
    return np.sqrt(smooth * (1 - smooth) / examples)


def _describes(law: np.ndarray, sizes: np.ndarray, errors: np.ndarray, examples: int) -> bool:
    """Whether the errors fit the law within the chance of the test split and of training."""
    deviations = np.hypot(_deviations(errors, examples), TRAINING)
    missed = (errors - _law(sizes / sizes[-1], *law)) / deviations
    return bool(chi2.sf(np.sum(missed**2), len(sizes) - len(law)) > LIKELY)


def _law(n: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    return a * n**-b + c


def doubling(
    sizes: np.ndarray, aligned: Aligned, families: np.ndarray | None = None
) -> dict[str, Any]:
    """Extrapolate the gain in accuracy from twice the training examples.

    Args:
        sizes: (k,) numbers of training examples, ascending.
        aligned: Predictions of the same test examples after training on each size.
        families: (n,) int from 0, equal for exact copies of an example; None: there are none.

    Returns:
        Either ``refused``, the reason why not; or ``gain``, the accuracy that doubling the largest
        size would add, its 95 % ``interval`` over resampled test examples and runs, and the ``law``
        error = a n^-b + c with n in examples. The interval assumes that the power law still holds
        at twice the examples.
    """
    if len(sizes) < LEAST_SIZES:
        return {
            "refused": f"a power law has three unknowns, so it needs {LEAST_SIZES} sizes or more; "
            f"there are {len(sizes)}"
        }
    true = aligned.true
    errors = np.array(
        [np.mean([run.decided != true for run in runs], dtype=float) for runs in aligned.models]
    )
    if errors[-1] >= errors[0]:
        return {
            "refused": "the error is no lower at the largest size than at the smallest; no trend"
        }
    n = len(true) if families is None else len(np.unique(families))
    sizes = np.asarray(sizes, float)
    metric = {"accuracy": classification_metric("accuracy", len(aligned.names))}
    draws = resampled_metrics(aligned, metric, draws=RESAMPLES, families=families)["accuracy"]
    try:
        a, b, c = law = power_law(sizes, errors, n)
        if not _describes(law, sizes, errors, n):
            return {"refused": "no power law fits these errors; more seeds per size may help"}
        gains = [_gain(*power_law(sizes, 1 - row, n)) for row in np.stack(draws, axis=1)]
    # curve_fit raises it where it does not converge.
    except RuntimeError:
        return {"refused": "no power law can be fitted to these errors"}
    low, high = np.quantile(gains, [0.025, 0.975])
    return {
        "gain": float(_gain(a, b, c)),
        "interval": [float(low), float(high)],
        "law": {"a": float(a * sizes[-1] ** b), "b": float(b), "c": float(c)},
    }


def _gain(a: float, b: float, c: float) -> float:
    """Decrease of the error when the largest size is doubled."""
    return a * (1 - 2**-b)

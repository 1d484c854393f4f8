"""Extrapolate the accuracy with more images: a power law fitted to the errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import curve_fit
from scipy.stats import chi2

from keras_transfer.evaluation.comparing import resampled

__all__ = ["doubling", "power_law"]

LEAST_SIZES = 4
TRAINING = 0.01
"""Standard deviation of the error over training sets of one size and over seeds."""
LIKELY = 0.001
"""Smallest p value of the chi-square goodness-of-fit test; a law below it is rejected."""
# Each resample is a curve fit, so there are fewer than elsewhere.
RESAMPLES = 200


def power_law(sizes: np.ndarray, errors: np.ndarray, images: int) -> np.ndarray:
    """Fit error = a (n / largest n)^-b + c, with a and c in [0, 1] and b in [0.01, 2].

    Args:
        sizes: (k,) numbers of training images.
        errors: (k,) share of wrong predictions.
        images: Number of test images; the fewer, the less weight an error near 0 has.

    Returns:
        (3,) float64 a, b, c. a + c is the error at the largest size.
    """
    deviations = _deviations(errors, images)
    start = [max(errors[-1], 0.01) / 2, 0.5, errors[-1] / 2]
    # With b at 0 the first term would be a constant, which cannot be told from c.
    bounds = ([0, 0.01, 0], [1, 2, 1])
    # Scaled sizes: a is then an error, and has the same bounds for all data.
    return curve_fit(
        _law, sizes / sizes[-1], errors, p0=start, sigma=deviations, bounds=bounds, maxfev=5000
    )[0]


def _deviations(errors: np.ndarray, images: int) -> np.ndarray:
    smooth = (errors * images + 1) / (images + 2)  # an error of 0 is not known exactly
    return np.sqrt(smooth * (1 - smooth) / images)


def _describes(law: np.ndarray, sizes: np.ndarray, errors: np.ndarray, images: int) -> bool:
    """Whether the errors fit the law within the chance of the test split and of training."""
    deviations = np.hypot(_deviations(errors, images), TRAINING)
    missed = (errors - _law(sizes / sizes[-1], *law)) / deviations
    return bool(chi2.sf(np.sum(missed**2), len(sizes) - len(law)) > LIKELY)


def _law(n: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    return a * n**-b + c


def doubling(
    sizes: np.ndarray,
    true: np.ndarray,
    predicted: list[np.ndarray],
    classes: int,
    families: np.ndarray | None = None,
) -> dict[str, Any]:
    """Extrapolate the gain from twice the training images.

    Args:
        sizes: (k,) numbers of training images, ascending.
        true: (n,) int labels of the test images, the same for all sizes.
        predicted: For each size (runs, n) int predictions of its runs.
        classes: Number of classes.
        families: (n,) int from 0, equal for exact copies of an image; None: there are none.

    Returns:
        Either ``refused``, the reason why not; or ``gain``, the accuracy that doubling the largest
        size would add, its 95 % ``interval`` over resampled test images and runs, and the ``law``
        error = a n^-b + c with n in images. The interval assumes that the power law still holds
        at twice the images.
    """
    if len(sizes) < LEAST_SIZES:
        return {
            "refused": f"a power law has three unknowns, so it needs {LEAST_SIZES} sizes or more; "
            f"there are {len(sizes)}"
        }
    errors = np.array([np.mean(labels != true) for labels in predicted])
    if errors[-1] >= errors[0]:
        return {
            "refused": "the error is no lower at the largest size than at the smallest; no trend"
        }
    # Copies of a test image are no further evidence.
    n = len(true) if families is None else int(families.max()) + 1
    sizes = np.asarray(sizes, float)
    draws = [
        np.stack(draw["accuracy"], axis=1)
        for draw in resampled(true, predicted, classes, RESAMPLES, 0, families=families)
    ]
    try:
        a, b, c = law = power_law(sizes, errors, n)
        if not _describes(law, sizes, errors, n):
            return {"refused": "no power law fits these errors; more seeds per size may help"}
        gains = [_gain(*power_law(sizes, 1 - row, n)) for row in np.concatenate(draws)]
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

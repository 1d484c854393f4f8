"""Bootstrap intervals: examples are drawn with replacement, metrics are computed with weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

__all__ = [
    "CHUNK",
    "DRAWS",
    "bootstrap_interval",
    "draw_weights",
    "quantile_interval",
    "resamples",
    "wilson_interval",
]

CHUNK = 50
"""Resamples drawn at a time, so that memory holds this many times the examples."""
DRAWS = 1000


def draw_weights(
    rng: np.random.Generator, n: int, draws: int, families: np.ndarray | None = None
) -> np.ndarray:
    """Draw how often each example occurs in each resample.

    Args:
        rng: Random generator.
        n: Number of examples.
        draws: Number of resamples.
        families: (n,) any values; examples with equal values are drawn together, since copies of
            an example are not independent. None: every example by itself.

    Returns:
        (draws, n) float64 counts.
    """
    # Counts instead of drawn rows: a metric of all resamples is then one matrix product.
    if families is None:
        return rng.multinomial(n, np.full(n, 1 / n), draws).astype(float)
    # Whole families are drawn: copies are no further evidence.
    number = np.unique(families, return_inverse=True)[1]
    k = int(number.max()) + 1
    return rng.multinomial(k, np.full(k, 1 / k), draws).astype(float)[:, number]


def resamples(
    n: int, draws: int = DRAWS, seed: int = 0, families: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Yield (chunk, n) weights from ``draw_weights``, ``draws`` rows in total."""
    # A fixed seed: the same predictions always have the same interval.
    rng = np.random.default_rng(seed)
    for start in range(0, draws, CHUNK):
        yield draw_weights(rng, n, min(CHUNK, draws - start), families)


def quantile_interval(values: np.ndarray) -> list[float] | None:
    """The 2.5 % and 97.5 % quantiles of (draws,) values; NaN is left out; None if all are NaN."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    return [float(low), float(high)]


def bootstrap_interval(
    metric: Callable[[np.ndarray], np.ndarray],
    n: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    families: np.ndarray | None = None,
) -> list[list[float] | None]:
    """95 % percentile intervals of metrics over resampled examples (Efron 1979).

    Args:
        metric: From (chunk, n) weights to (chunk, metrics) values, NaN where undefined.
        n: Number of examples.
        draws: Number of resamples.
        seed: Seed of the draws.
        families: As for ``draw_weights``.

    Returns:
        For each metric [low, high], or None where no resample defines it.
    """
    values = np.concatenate([metric(weights) for weights in resamples(n, draws, seed, families)])
    return [quantile_interval(column) for column in values.T]


def wilson_interval(share: float, sizes: np.ndarray) -> list[float]:
    """95 % interval of a share (Wilson 1927).

    Args:
        share: Of the examples, 0 to 1.
        sizes: (families,) int, number of copies in each family of examples; ones where there are
            no copies. Copies are not independent, so n is (sum of sizes)^2 / sum of sizes^2 (Kish
            1965, Survey Sampling, section 8.2).
    """
    from scipy.stats import norm  # here: listing recipes must stay instant

    # Wilson's, because the normal interval of an accuracy of 1 has no width.
    n, z = sizes.sum() ** 2 / np.sum(sizes**2), norm.ppf(0.975)
    middle = share + z**2 / (2 * n)
    margin = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    bounds = (np.array([middle - margin, middle + margin]) / (1 + z**2 / n)).clip(0, 1)
    return [float(bound) for bound in bounds]

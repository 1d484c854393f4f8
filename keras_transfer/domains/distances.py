"""How far two domains are apart, by features of a frozen network.

All distances are symmetric and do not depend on the order of the rows. They need no labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from keras_transfer.domains.checks import feature_pair

__all__ = [
    "ADistance",
    "MmdTest",
    "coral_distance",
    "frechet_distance",
    "mmd",
    "proxy_a_distance",
]

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of the Gaussian kernels, as factors of the median squared distance."""
ROUNDING = 1e-12
"""Relative differences below this are rounding errors."""
STRENGTH = 0.01
"""C of the domain classifier, the inverse of its L2 penalty; features have unit variance."""


class MmdTest(NamedTuple):
    """Maximum mean discrepancy, and its test.

    Attributes:
        value: Unbiased estimate of MMD²; around 0, and often negative, for equal domains.
        p_value: Share of random exchanges of rows after which the domains are at least as far
            apart; small if the domains differ.
    """

    value: float
    p_value: float


class ADistance(NamedTuple):
    """Proxy A-distance.

    Attributes:
        value: 0 (the domains cannot be told apart) to 2 (always).
        error: Cross-validated error of the domain classifier, mean of both domains.
        low: Lower end of the 95 % interval of ``value`` over examples.
        high: Upper end.
    """

    value: float
    error: float
    low: float
    high: float


# On a machine with other work, threads of BLAS wait for each other, here and below.
@threadpool_limits.wrap(limits=1)
def mmd(
    source: np.ndarray, target: np.ndarray, *, permutations: int = 200, seed: int = 0
) -> MmdTest:
    """Squared maximum mean discrepancy (Gretton et al., JMLR 2012), with a permutation test.

    The unbiased estimate, a U-statistic,

        sum over i ≠ j of k(s_i, s_j) / (n (n - 1)) + sum over i ≠ j of k(t_i, t_j) / (m (m - 1))
        - 2 sum over i, j of k(s_i, t_j) / (n m)

    with the mean of Gaussian kernels k(x, y) = exp(-|x - y|² / b) (Long et al., ICML 2015,
    arXiv:1502.02791), where b is 1/4, 1/2, 1, 2, 4 times the median |x - y|² of all pairs of rows;
    so the value does not depend on the features' unit. The p-value is
    (1 + number of permutations with at least this value) / (1 + permutations).

    Memory holds several (n + m, n + m) float64 matrices: draw examples from large data.

    Args:
        source: (n, channels) float, n >= 2.
        target: (m, channels) float, m >= 2.
        permutations: Number of random exchanges of rows between the domains.
        seed: Random seed of the permutations.

    Raises:
        BadData: See ``feature_pair``.
        CheckFailed: A feature is NaN or infinite.
    """
    source, target = feature_pair(source, target)
    member = np.repeat([1.0, 0.0], [len(source), len(target)])
    orders = np.random.default_rng(seed).permuted(np.tile(member, (permutations, 1)), axis=1)
    kernel = _kernel(np.concatenate([source, target]))
    value, *exchanged = _unbiased(kernel, np.vstack([member, orders]).T)
    # Equal values, as of rows that all are the same, may differ by rounding.
    count = int((np.array(exchanged) >= value - ROUNDING).sum())
    return MmdTest(float(value), (1 + count) / (1 + permutations))


def _kernel(rows: np.ndarray) -> np.ndarray:
    """(n, n) mean of the Gaussian kernels, with 0 for a row and itself."""
    squares = euclidean_distances(rows - rows.mean(axis=0), squared=True)
    # So that equal rows, whose distance is a rounding error, do not make up the bandwidth.
    squares[squares < ROUNDING * (rows**2).sum(axis=1).max()] = 0
    pairs = squares[np.triu_indices(len(rows), 1)]
    bandwidth = np.median(pairs) or pairs.mean() or 1.0
    kernel = sum(np.exp(squares / (-factor * bandwidth)) for factor in BANDWIDTHS)
    np.fill_diagonal(kernel, 0)
    return kernel / len(BANDWIDTHS)


def _unbiased(kernel: np.ndarray, members: np.ndarray) -> np.ndarray:
    """(draws,) MMD² where (rows, draws) members are 1 for the rows of the source, else 0."""
    n = members[:, 0].sum()
    m = len(members) - n
    # One matrix product for all draws: the similarity of each row to the source.
    similarity = kernel @ members
    inside = (members * similarity).sum(axis=0)
    across = similarity.sum(axis=0) - inside
    outside = kernel.sum() - inside - 2 * across
    return inside / (n * (n - 1)) + outside / (m * (m - 1)) - 2 * across / (n * m)


@threadpool_limits.wrap(limits=1)
def coral_distance(source: np.ndarray, target: np.ndarray) -> float:
    """CORAL distance (Sun & Saenko, ECCV 2016 workshops, arXiv:1607.01719).

    |C_s - C_t|² / (4 channels²), with the Frobenius norm and the domains' covariances. It does
    not see a difference of the means.

    Args:
        source: (n, channels) float, n >= 2.
        target: (m, channels) float, m >= 2.

    Returns:
        0 or more, in the fourth power of the features' unit.

    Raises:
        BadData: See ``feature_pair``.
        CheckFailed: A feature is NaN or infinite.
    """
    source, target = feature_pair(source, target)
    a, b = _root(source), _root(target)
    # |C_s|² = tr(A'A A'A) = |A A'|², and so on: no matrix of channels by channels.
    squares = [((x @ y.T) ** 2).sum() for x, y in ((a, a), (b, b), (a, b))]
    difference = max(squares[0] + squares[1] - 2 * squares[2], 0.0)
    return float(difference / (4 * source.shape[1] ** 2))


@threadpool_limits.wrap(limits=1)
def frechet_distance(source: np.ndarray, target: np.ndarray) -> float:
    """Fréchet distance of two normal distributions (Dowson & Landau 1982), squared, as in FID.

    |mean_s - mean_t|² + tr(C_s + C_t - 2 (C_s C_t)^(1/2)) (Heusel et al., NeurIPS 2017,
    arXiv:1706.08500). With C_s = A'A and C_t = B'B the trace of the root is the sum of the
    singular values of A B': real for covariances that are singular too, where a matrix root is
    not.

    Few examples overestimate the distance: with 600 cats and dogs and 1,280 features of
    MobileNetV2 it is 114 without a shift and 230 for blurred images. Compare values for equal n and
    m only, and with that of two parts of the source.

    Args:
        source: (n, channels) float, n >= 2.
        target: (m, channels) float, m >= 2.

    Returns:
        0 or more, in the square of the features' unit.

    Raises:
        BadData: See ``feature_pair``.
        CheckFailed: A feature is NaN or infinite.
    """
    source, target = feature_pair(source, target)
    a, b = _root(source), _root(target)
    means = ((source.mean(axis=0) - target.mean(axis=0)) ** 2).sum()
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(means + (a**2).sum() + (b**2).sum() - 2 * overlap, 0.0))


def _root(rows: np.ndarray) -> np.ndarray:
    """A matrix A with the covariance A'A, of no more rows than channels."""
    centred = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    return np.linalg.qr(centred).R if len(rows) > rows.shape[1] else centred


@threadpool_limits.wrap(limits=1)
def proxy_a_distance(
    source: np.ndarray, target: np.ndarray, *, folds: int = 5, seed: int = 0
) -> ADistance:
    """Proxy A-distance 2 (1 - 2 error), from 0 to 2 (Ben-David et al., NeurIPS 2006; ML 2010).

    The error is that of logistic regression on standardized features, which learns to tell the
    domains apart, on held-out examples; the mean of both domains' errors, so that it is 1/2 by
    chance for domains of different sizes too. Its interval combines the Wilson intervals of both
    (Zou & Donner, Statistics in Medicine 2008): it is over examples, for classifiers as fitted.

    Leave out copies of examples first: the classifier recognises a copy of what it has learnt, so
    copies within one domain look like a shift.

    Args:
        source: (n, channels) float, n >= 2.
        target: (m, channels) float, m >= 2.
        folds: Number of folds of the cross-validation; fewer if a domain has fewer examples.
        seed: Random seed of the folds.

    Raises:
        BadData: See ``feature_pair``.
        CheckFailed: A feature is NaN or infinite.
    """
    source, target = feature_pair(source, target)
    domain = np.repeat([0, 1], [len(source), len(target)])
    splits = StratifiedKFold(min(folds, len(source), len(target)), shuffle=True, random_state=seed)
    classifier = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000),
    )
    rows = np.concatenate([source, target])
    wrong = cross_val_predict(classifier, rows, domain, cv=splits) != domain
    error, low, high = _mean_rate([wrong[domain == 0], wrong[domain == 1]])
    value, least, most = (float(np.clip(2 - 4 * x, 0, 2)) for x in (error, high, low))
    return ADistance(value, error, least, most)


def _mean_rate(events: list[np.ndarray]) -> tuple[float, float, float]:
    """Mean of the rates of two (n,) bool arrays, and its 95 % interval."""
    rates = [float(happened.mean()) for happened in events]
    ends = [
        binomtest(int(happened.sum()), len(happened)).proportion_ci(method="wilson")
        for happened in events
    ]
    # The distances from each rate to its own ends add up like standard deviations.
    below, above = (
        float(np.hypot(*(rate - end[side] for rate, end in zip(rates, ends, strict=True))) / 2)
        for side in (0, 1)
    )
    mean = sum(rates) / 2
    return mean, mean - below, mean + above

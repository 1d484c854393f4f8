"""Weights of source rows by which they stand for the target: density ratios by kernels.

They suit covariate shift, where target rows lie among the source rows. Where no source row lies
near the target no weights help.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.spatial.distance import pdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from keras_transfer.domains.base import DomainEstimator
from keras_transfer.errors import BadConfiguration, BadFeatures

__all__ = ["KLIEP", "KMM", "median_distance"]

MOST = 1000
"""Rows whose distances give a median."""
WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Widths that KLIEP chooses from, as multiples of the median distance."""
TINY = np.finfo("float64").tiny


class KMM(DomainEstimator):
    """Kernel mean matching (Huang et al., NeurIPS 2006).

    The weights b of the n source rows whose weighted mean in the kernel's feature space is nearest
    to the mean of the target rows:

        minimize 1/2 b' K b - k' b   with  0 <= b_i <= bound  and  |sum of b / n - 1| <= slack,

    K_ij = k(x_i, x_j) and k_i = n / n_target * sum over target rows of k(x_i, t_j), for the kernel
    exp(-|x - x'|² / (2 width²)). Needs memory for n² numbers.

    Args:
        width: Of the kernel; None: the median distance of rows of both domains.
        bound: Greatest weight, B in the paper.
        slack: How far the mean of the weights may be from 1, epsilon in the paper; None:
            (sqrt(n) - 1) / sqrt(n), as there.
        tolerance: How far from the minimum 1/2 |difference of the means|² may end.
        max_iter: Most steps of the solver, accelerated projected gradients (Beck and Teboulle
            2009) with restarts.

    Attributes:
        weights_: (n_source,) float64, in the order of the source rows.
        width_: Width of the kernel.
        n_iter_: Number of steps.
    """

    def __init__(
        self,
        width: float | None = None,
        *,
        bound: float = 1000.0,
        slack: float | None = None,
        tolerance: float = 1e-5,
        max_iter: int = 10_000,
    ):
        self.width = width
        self.bound = bound
        self.slack = slack
        self.tolerance = tolerance
        self.max_iter = max_iter

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, sample_domain: ArrayLike) -> KMM:
        """Find the weights of the source rows.

        Args:
            X: (n, channels) float features of both domains, in any order.
            y: Not read.
            sample_domain: (n,) int, positive for source rows, negative for target rows.

        Returns:
            The estimator.

        Raises:
            BadFeatures: Rows or domains that cannot be used; also a ValueError.
            BadConfiguration: A setting has no meaning.
        """
        rows, domain = self._fitting(X, sample_domain)
        source, target = rows[domain > 0], rows[domain < 0]
        n = len(source)
        slack = (math.sqrt(n) - 1) / math.sqrt(n) if self.slack is None else self.slack
        if not (self.bound >= 1 and slack >= 0):
            raise BadConfiguration(
                f"bound is {self.bound} and slack is {slack}: give a bound of 1 or more, since the "
                "mean of the weights is about 1, and a slack of 0 or more."
            )
        self.width_ = _width(self.width, rows)
        gamma = 1 / (2 * self.width_**2)
        sums = (n * max(1 - slack, 0.0), n * (1 + slack))
        self.weights_, self.n_iter_ = self._solved(
            rbf_kernel(source, gamma=gamma),
            n * rbf_kernel(source, target, gamma=gamma).mean(axis=1),
            sums,
        )
        return self

    def _solved(
        self, kernel: np.ndarray, linear: np.ndarray, sums: tuple[float, float]
    ) -> tuple[np.ndarray, int]:
        """Minimum of 1/2 b'Kb - k'b with 0 <= b <= bound and a sum in the range; steps."""
        n = len(linear)
        # A kernel is not negative: no eigenvalue is greater than the greatest sum of a row.
        step = 1 / kernel.sum(axis=1).max()
        weights = ahead = np.ones(n)
        momentum = 1.0
        for iteration in range(1, self.max_iter + 1):
            slope = kernel @ ahead - linear
            before, weights = weights, _projected(ahead - step * slope, self.bound, sums)
            if slope @ (weights - before) > 0:  # uphill: momentum has overshot
                momentum = 1.0
            faster = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead = weights + (momentum - 1) / faster * (weights - before)
            momentum = faster
            if iteration % 10 == 0:
                slope = kernel @ weights - linear
                # The objective is convex: no point is lower than its tangent's lowest.
                gap = slope @ (weights - _lowest(slope, self.bound, sums))
                if gap <= self.tolerance * n**2:
                    return weights, iteration
        warnings.warn(
            f"KMM has not converged in {self.max_iter} steps: its objective is within "
            f"{gap / n**2:.1g} of the minimum. Give a greater max_iter or tolerance, or a "
            "smaller width.",
            ConvergenceWarning,
            stacklevel=3,
        )
        return weights, iteration


class KLIEP(DomainEstimator):
    """Kullback-Leibler importance estimation (Sugiyama et al., NeurIPS 2007; AISM 2008).

    The density ratio target / source as w(x) = sum of a_l exp(-|x - c_l|² / (2 width²)) around
    target rows c_l, that

        maximizes  mean over target rows of log w
        with  a >= 0  and  mean over source rows of w = 1

    With b_l, the mean of kernel l over the source rows, and p_l = a_l b_l, these are mixture
    weights p of sum 1, and w a mixture of kernels / b_l: EM finds the maximum, and the greatest
    mean over target rows of kernel_l / (b_l w), less 1, bounds how far it is. The width with the
    highest mean of log w on held-out target rows is taken.

    Args:
        widths: Widths to choose from; None: multiples of the median distance of the rows.
        n_centers: Most target rows that are centres.
        cv: Folds of target rows; of one width none are made.
        tolerance: How far from the maximum, in nats per row, EM may end.
        max_iter: Most steps of EM.
        random_state: Of centres and folds.

    Attributes:
        weights_: (n_source,) float64, in the order of the source rows; their mean is 1.
        width_: The width that was chosen.
        scores_: (widths,) mean log w on held-out target rows; absent for one width.
        centers_: (centers, channels).
        coefficients_: (centers,) a.
    """

    def __init__(
        self,
        widths: Sequence[float] | None = None,
        *,
        n_centers: int = 100,
        cv: int = 5,
        tolerance: float = 1e-3,
        max_iter: int = 1000,
        random_state: int = 0,
    ):
        self.widths = widths
        self.n_centers = n_centers
        self.cv = cv
        self.tolerance = tolerance
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, sample_domain: ArrayLike) -> KLIEP:
        """Find the density ratio, and with it the weights of the source rows.

        Args:
            X: (n, channels) float features of both domains, in any order.
            y: Not read.
            sample_domain: (n,) int, positive for source rows, negative for target rows.

        Returns:
            The estimator.

        Raises:
            BadFeatures: Rows or domains that cannot be used, or no source row is near the target;
                also a ValueError.
            BadConfiguration: A setting has no meaning.
        """
        rows, domain = self._fitting(X, sample_domain)
        source, target = rows[domain > 0], rows[domain < 0]
        if self.widths is None:
            widths = list(median_distance(rows) * np.array(WIDTHS))
        else:
            widths = [_width(width, rows) for width in self.widths]
        if not widths or self.n_centers < 1 or self.cv < 2:
            raise BadConfiguration(
                "KLIEP needs a width, n_centers of 1 or more, and cv of 2 or more."
            )
        self.width_ = widths[0]
        if len(widths) > 1:
            self.scores_ = np.array([self._score(source, target, one) for one in widths])
            self.width_ = widths[int(np.argmax(self.scores_))]
        self.centers_, self.coefficients_ = self._ratio(source, target, self.width_)
        if not len(self.centers_):
            raise BadFeatures(
                "No source row is near any target row, so that no weights of source rows can stand "
                "for the target. Give greater widths, or another method than weights."
            )
        self.weights_ = self._weighted(source)
        return self

    def density_ratio(self, X: ArrayLike) -> np.ndarray:
        """w(x) of any rows, as of source rows held out for validation.

        Args:
            X: (m, channels) float features.

        Returns:
            (m,) float64, not negative.

        Raises:
            BadFeatures: Rows that cannot be used; also a ValueError.
        """
        check_is_fitted(self)
        return self._weighted(self._rows(X))

    def _weighted(self, rows: np.ndarray) -> np.ndarray:
        return _kernel(rows, self.centers_, self.width_) @ self.coefficients_

    def _score(self, source: np.ndarray, target: np.ndarray, width: float) -> float:
        """Mean log w on target rows that were held out."""
        folds = KFold(min(self.cv, len(target)), shuffle=True, random_state=self.random_state)
        logs = np.empty(len(target))
        with warnings.catch_warnings():
            # To choose a width, nearly converged will do.
            warnings.simplefilter("ignore", ConvergenceWarning)
            for train, held in folds.split(target):
                centers, coefficients = self._ratio(source, target[train], width)
                ratio = _kernel(target[held], centers, width) @ coefficients
                logs[held] = np.log(np.maximum(ratio, TINY))
        return float(logs.mean())

    def _ratio(
        self, source: np.ndarray, target: np.ndarray, width: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Centres and their coefficients; none where all kernels vanish on the source rows."""
        centers = target
        if len(target) > self.n_centers:
            chosen = np.random.default_rng(self.random_state).choice(
                len(target), self.n_centers, replace=False
            )
            centers = target[np.sort(chosen)]
        masses = _kernel(source, centers, width).mean(axis=0)
        centers, masses = centers[masses > TINY], masses[masses > TINY]
        if not len(centers):
            return centers, masses
        densities = _kernel(target, centers, width) / masses
        shares = np.full(len(centers), 1 / len(centers))
        for _ in range(self.max_iter):
            mixed = np.maximum(densities @ shares, TINY)
            gains = densities.T @ (1 / mixed) / len(target)
            if gains.max() - 1 <= self.tolerance:
                break
            shares = shares * gains
            shares /= shares.sum()
        else:
            warnings.warn(
                f"KLIEP has not converged in {self.max_iter} steps: mean log w is within "
                f"{gains.max() - 1:.1g} of the maximum. Give a greater max_iter or tolerance.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return centers, shares / masses


def median_distance(rows: np.ndarray) -> float:
    """Median Euclidean distance of different rows, of up to 1,000 evenly spaced ones.

    Args:
        rows: (n, channels) float64.

    Raises:
        BadFeatures: All rows are equal.
    """
    distances = pdist(rows[:: math.ceil(len(rows) / MOST)])
    apart = distances[distances > 0]
    if not len(apart):
        raise BadFeatures("All rows are equal: give features that vary.")
    return float(np.median(apart))


def _width(width: float | None, rows: np.ndarray) -> float:
    if width is None:
        return median_distance(rows)
    if not width > 0:
        raise BadConfiguration(f"A kernel has the width {width}: give a number above 0.")
    return width


def _kernel(rows: np.ndarray, centers: np.ndarray, width: float) -> np.ndarray:
    if not len(centers):
        return np.zeros((len(rows), 0))
    return rbf_kernel(rows, centers, gamma=1 / (2 * width**2))


def _projected(point: np.ndarray, bound: float, sums: tuple[float, float]) -> np.ndarray:
    """Nearest point with 0 <= b <= bound and a sum in the range."""

    def excess(shift: float, total: float) -> float:
        return float(np.clip(point - shift, 0, bound).sum()) - total

    total = min(max(excess(0, 0), sums[0]), sums[1])
    if abs(excess(0, total)) <= 1e-12 * len(point):
        return np.clip(point, 0, bound)
    ends = (float(point.min()) - bound, float(point.max()))
    return np.clip(point - brentq(excess, *ends, args=(total,), xtol=1e-14), 0, bound)


def _lowest(slope: np.ndarray, bound: float, sums: tuple[float, float]) -> np.ndarray:
    """Point with 0 <= b <= bound and a sum in the range where slope @ b is least."""
    order = np.argsort(slope)
    # Up to the greatest sum where that lowers the objective, else up to the least.
    filled = np.clip(sums[1] - bound * np.arange(len(slope)), 0, bound)
    needed = np.clip(sums[0] - bound * np.arange(len(slope)), 0, bound)
    result = np.empty_like(slope)
    result[order] = np.where(slope[order] < 0, filled, needed)
    return result

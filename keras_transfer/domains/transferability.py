"""How well features transfer to labelled data, estimated without training.

All scores are higher for features that transfer better. They compare networks on the same data;
their values on different data say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import weightedtau
from sklearn.covariance import ledoit_wolf_shrinkage

from keras_transfer.domains.decomposition import decomposed

__all__ = ["h_score", "leep", "log_me", "nce", "regularized_h_score", "weighted_tau"]

ITERATIONS, TOLERANCE = 100, 1e-6
"""Of the fixed point of LogME: most steps, and the relative change of its ratio that ends it."""
LEAST_RESIDUAL = 1e-8
"""Added to LogME's residual (by its authors: 1e-5): a perfect fit would have infinite evidence."""


def log_me(features: np.ndarray, labels: np.ndarray) -> float:
    """Logarithm of the maximum evidence, LogME (You et al., ICML 2021, arXiv:2102.11005).

    Each class c has a linear model y = F w + noise of its 0/1 labels, w ~ N(0, I / a) and noise
    ~ N(0, I / b). The score is the mean over classes of

        max over a, b of  log p(y | F, a, b) / n

    found by MacKay's fixed point: a = g / |m|², b = (n - g) / |y - F m|², where m is the mean of
    the posterior of w, and g = sum of s² / (s² + a / b) over the singular values s of F. One
    decomposition serves all classes and steps (You et al., JMLR 2022, arXiv:2110.10545).

    The evidence of F with fewer examples than columns is exact here; the authors' code adds terms
    for columns that the examples do not span, which shifts its value.

    Args:
        features: (n, channels) float.
        labels: (n,) int classes; a class without examples does not count.

    Returns:
        The score, in nats per example.
    """
    left, singular, _ = decomposed(np.asarray(features, "float64"))
    scores = [
        _evidence(left, singular**2, (labels == label).astype("float64"))
        for label in np.unique(labels)
    ]
    return float(np.mean(scores))


def _evidence(left: np.ndarray, squares: np.ndarray, targets: np.ndarray) -> float:
    """Maximum log evidence per example of (n,) targets, from F = left diag(sqrt(squares)) V."""
    n, tiny = len(targets), np.finfo("float64").tiny
    along = (left.T @ targets) ** 2
    across = max(float((targets**2).sum() - along.sum()), 0.0)
    # a / b, which has the scale of the squares: the score does not depend on the features' unit.
    ratio = squares.mean() if len(squares) else 1.0
    for _ in range(ITERATIONS):
        effective = (squares / (squares + ratio)).sum()
        length = (squares * along / (squares + ratio) ** 2).sum()
        residual = (along * (ratio / (squares + ratio)) ** 2).sum() + across + LEAST_RESIDUAL
        noise = (n - effective) / residual
        before, ratio = ratio, max(effective / max(length, tiny) / noise, tiny)
        if abs(ratio - before) <= TOLERANCE * before:
            break
    # Of the last ratio the best b has a closed form.
    misfit = (along * ratio / (squares + ratio)).sum() + across + LEAST_RESIDUAL
    precision = n / misfit
    spread = np.log(ratio / (squares + ratio)).sum()
    return float((n * np.log(precision / (2 * np.pi)) - n + spread) / (2 * n))


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """H-score (Bao et al., ICIP 2019): tr(cov(f)⁺ cov(E[f | y])).

    The share of the features' variance that lies between the classes, summed over all directions
    that the examples span; it does not change under invertible linear maps. At most classes - 1,
    and exactly that where there are no more examples than channels: use ``regularized_h_score``
    for few examples.

    Args:
        features: (n, channels) float.
        labels: (n,) int classes.

    Returns:
        The score, 0 to classes - 1.
    """
    left, _, _ = decomposed(_centred(features))
    return float(_between(left, labels).sum())


def regularized_h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """H-score with Ledoit and Wolf's covariance (Ibrahim et al., ECML 2022, arXiv:2110.06893).

    tr(S⁻¹ (1 - d) cov(E[f | y])) with S = (1 - d) cov(f) + d tr(cov(f)) / channels I and the
    shrinkage d of Ledoit and Wolf (2004); for d = 0 it is the H-score.

    Args:
        features: (n, channels) float.
        labels: (n,) int classes.

    Returns:
        The score, 0 to classes - 1.
    """
    centred = _centred(features)
    left, singular, _ = decomposed(centred)
    shrinkage = ledoit_wolf_shrinkage(centred, assume_centered=True)
    own = (1 - shrinkage) * singular**2
    isotropic = shrinkage * (singular**2).sum() / centred.shape[1]
    return float((_between(left, labels) * own / (own + isotropic)).sum())


def leep(source: np.ndarray, labels: np.ndarray) -> float:
    """Log expected empirical prediction, LEEP (Nguyen et al., ICML 2020, arXiv:2002.12462).

    1/n sum over i of log(sum over z of p(y_i | z) q_iz), with q_iz the probability that the
    source classifier gives class z on example i, and p(y | z) = p(y, z) / p(z) from the empirical
    joint p(y, z) = 1/n sum of q_iz over the examples i of class y.

    Args:
        source: (n, source classes) float probabilities, each row of sum 1.
        labels: (n,) int classes.

    Returns:
        The score, at most 0.
    """
    return float(np.log((_conditional(source, labels) * source).sum(axis=1)).mean())


def nce(source: np.ndarray, labels: np.ndarray) -> float:
    """Negative conditional entropy, NCE (Tran et al., ICCV 2019, arXiv:1908.08142).

    -H(Y | Z) = 1/n sum over i of log p(y_i | z_i), where z_i is the source class with the highest
    probability and p(y | z) the share of class y among the examples of source class z.

    Args:
        source: (n, source classes) float probabilities.
        labels: (n,) int classes.

    Returns:
        The score, at most 0; 0 where the source class determines the label.
    """
    hard = np.eye(source.shape[1])[source.argmax(axis=1)]
    return leep(hard, labels)


def weighted_tau(measured: Sequence[float], scores: Sequence[float]) -> float:
    """Agreement of two rankings, weighted Kendall's tau (Vigna, WWW 2015), as TLlib computes it.

    Pairs that involve highly ranked networks count more.

    Args:
        measured: Accuracy of each network.
        scores: Score of each network.

    Returns:
        -1 to 1; NaN for fewer than two networks, or where all have the same value.
    """
    # SciPy warns of so few instead.
    return float(weightedtau(measured, scores).statistic) if len(scores) > 1 else float("nan")


def _centred(features: np.ndarray) -> np.ndarray:
    wide = np.asarray(features, "float64")
    return wide - wide.mean(axis=0)


def _between(left: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(rank,) share of the variance between classes along each singular direction."""
    member = (labels == np.unique(labels)[:, None]).astype("float64")
    return ((member @ left) ** 2 / member.sum(axis=1, keepdims=True)).sum(axis=0)


def _conditional(source: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n, source classes) p(y_i | z) of each example's own class; 0 where z has no mass."""
    classes, place = np.unique(labels, return_inverse=True)
    joint = np.zeros((len(classes), source.shape[1]))
    np.add.at(joint, place, source)
    mass = joint.sum(axis=0)
    return (joint / np.where(mass > 0, mass, 1))[place]

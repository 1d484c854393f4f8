"""Whether, and how far, the classes have other shares in the target than in the source.

Label shift means that examples of a class look alike in both domains, p(x | y), and only the shares
of the classes differ, p(y). Predictions of a classifier tell these shares without target labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from keras_transfer.domains.checks import check_classes
from keras_transfer.evaluation.intervals import CHUNK, DRAWS, quantile_interval

__all__ = ["LabelShift", "estimate_shares", "label_shift_p_value"]

SINGULAR = 1e-6
"""Singular values of a confusion matrix below this share of the largest count as 0."""


class LabelShift(NamedTuple):
    """Shares of the classes in both domains; each is (classes,).

    Attributes:
        source_shares: float, of the source's labels; sum 1.
        target_shares: float, estimated; sum 1.
        low: float, lower end of the 95 % interval of ``target_shares``; 0 where not determined.
        high: float, upper end; 1 where not determined.
        weights: float, ``target_shares`` / ``source_shares``: importance weights of the source's
            examples; 0 for a class that the source lacks.
        determined: bool, whether the predictions tell the share of this class. They do not where
            the confusion matrix is singular, as for a class that is never predicted, or one that
            the source lacks. The shares are then, of all that explain the predictions equally
            well, those nearest to the source's.
    """

    source_shares: np.ndarray
    target_shares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    weights: np.ndarray
    determined: np.ndarray


# For the same reason as in `distances`: pseudo-inverses take 10 times as long with waiting threads.
@threadpool_limits.wrap(limits=1)
def estimate_shares(
    true: np.ndarray,
    predicted: np.ndarray,
    target_predicted: np.ndarray,
    classes: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> LabelShift:
    """Black box shift estimation, BBSE (Lipton et al., ICML 2018, arXiv:1802.03916), hard labels.

    Solves C w = u, where C_ij = p(predicted i, true j) on the source, u_i = p(predicted i) on the
    target and w_j = q_j / p_j is the ratio of the shares of class j. Here in terms of the
    conditional confusion K_ij = C_ij / p_j, which does not get worse with a rare class:

        q = p + K⁺ (u - K p),   clipped at 0, divided by its sum

    which is K⁻¹ u for an invertible K; the pseudo-inverse leaves the shares as they are where the
    predictions do not tell. The intervals are percentiles over resampled target predictions, and
    source predictions resampled in each class.

    It assumes label shift. If the images of a class look different in the target, the result
    explains that by other shares. A class that the source lacks is outside the method: its share
    stays 0, and examples of it in the target count for other classes.

    Args:
        true: (n,) int, labels of source examples that the classifier was not trained on.
        predicted: (n,) int, their predicted classes.
        target_predicted: (m,) int, predicted classes of target examples.
        classes: Number of classes; those of the arrays are from 0 on.
        draws: Number of resamples; each needs an SVD of a (classes, classes) matrix.
        seed: Random seed of the resamples.

    Raises:
        BadData: An array is empty, or has another class.
    """
    joint = _confusion(true, predicted, classes)
    target_predicted = check_classes("predicted classes of the target", target_predicted, classes)
    sizes = joint.sum(axis=0)
    shares, confusion = sizes / sizes.sum(), joint / np.maximum(sizes, 1)
    target = np.bincount(target_predicted, minlength=classes) / len(target_predicted)
    estimated = _solve(confusion, target, shares)

    told = np.diagonal(np.linalg.pinv(confusion, rcond=SINGULAR) @ confusion)
    determined = told > 1 - SINGULAR
    resampled = _resampled(confusion, target, (sizes, len(target_predicted)), (draws, seed))
    low, high = np.transpose([quantile_interval(column) for column in resampled.T])
    return LabelShift(
        shares,
        estimated,
        np.where(determined, low, 0.0),
        np.where(determined, high, 1.0),
        np.divide(estimated, shares, out=np.zeros(classes), where=shares > 0),
        determined,
    )


def _confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(predicted, true) number of examples."""
    true = check_classes("source labels", true, classes)
    predicted = check_classes("predicted classes of the source", predicted, classes)
    if len(true) != len(predicted):
        raise ValueError(f"{len(true)} labels and {len(predicted)} predicted classes")
    counts = np.zeros((classes, classes), "int64")
    np.add.at(counts, (predicted, true), 1)
    return counts


def _solve(confusion: np.ndarray, target: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(..., classes) shares from (..., classes, classes) confusion and (..., classes) target."""
    unexplained = target - confusion @ shares
    change = (np.linalg.pinv(confusion, rcond=SINGULAR) @ unexplained[..., None])[..., 0]
    positive = np.maximum(shares + change, 0)
    total = positive.sum(axis=-1, keepdims=True)
    # Predictions that contradict the confusion matrix may leave nothing.
    return np.where(total > 0, positive / np.where(total > 0, total, 1), shares)


def _resampled(
    confusion: np.ndarray,
    target: np.ndarray,
    sizes: tuple[np.ndarray, int],
    draws: tuple[int, int],
) -> np.ndarray:
    """(draws, classes) estimates, from the number of examples and from draws and seed."""
    (source_sizes, target_size), (total, seed) = sizes, draws
    shares = source_sizes / source_sizes.sum()
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, total, CHUNK):
        drawn = min(CHUNK, total - start)
        # In each class by itself: no class gets lost, and the result depends on no other draw.
        columns = [
            rng.multinomial(size, column, drawn) / max(size, 1)
            for size, column in zip(source_sizes, confusion.T, strict=True)
        ]
        predicted = rng.multinomial(target_size, target, drawn) / target_size
        found.append(_solve(np.stack(columns, axis=-1), predicted, shares))
    return np.concatenate(found)


def label_shift_p_value(
    predicted: np.ndarray,
    target_predicted: np.ndarray,
    classes: int,
    *,
    permutations: int = 1000,
    seed: int = 0,
) -> float:
    """Test whether both domains have the same shares of predicted classes.

    Under label shift with an invertible confusion matrix, the shares of predicted classes are equal
    exactly where the shares of true classes are (Lipton et al. 2018, section 4). The statistic is
    Pearson's chi² of the (2, classes) table of counts, and its distribution that of random
    exchanges of examples between the domains, which is right for rare classes too.

    A small value alone does not prove label shift: predictions also change if images of a class
    look different in the target.

    Args:
        predicted: (n,) int, predicted classes of source examples not trained on.
        target_predicted: (m,) int, predicted classes of target examples.
        classes: Number of classes.
        permutations: Number of random exchanges.
        seed: Random seed of the exchanges.

    Returns:
        (1 + number of exchanges with at least this chi²) / (1 + permutations).

    Raises:
        BadData: An array is empty, or has another class.
    """
    source, target = (
        np.bincount(check_classes(f"predicted classes of the {name}", given, classes))
        for name, given in (("source", predicted), ("target", target_predicted))
    )
    counts = np.zeros((2, classes), "int64")
    counts[0, : len(source)], counts[1, : len(target)] = source, target
    both = counts.sum(axis=0)
    rng = np.random.default_rng(seed)
    exchanged = rng.multivariate_hypergeometric(
        both, int(source.sum()), permutations, method="marginals"
    )
    statistic, *others = _chi_squared(np.vstack([counts[:1], exchanged]), both)
    # Equal tables may differ by rounding.
    more = int((np.array(others) >= statistic * (1 - 1e-9)).sum())
    return (1 + more) / (1 + permutations)


def _chi_squared(source: np.ndarray, both: np.ndarray) -> np.ndarray:
    """(draws,) chi² of (draws, classes) counts of the source, out of those of both domains."""
    seen = both > 0
    share = source[0].sum() / both.sum()
    excess = source[:, seen] - both[seen] * share
    # The excess of the target is the same with the other sign.
    return (excess**2 / (both[seen] * share * (1 - share))).sum(axis=1)

"""Accuracy on a target domain without its labels, from the probabilities of a classifier.

No estimate is right for every shift, so report several. If a classifier stays calibrated, the
difference of confidences is exact, and average thresholded confidence exaggerates the change: with
three simulated classes 0.33 (entropy) and 0.43 (confidence) instead of 0.60, from 0.74 on the
source. If it becomes overconfident, the difference of confidences is too high.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import entr

from keras_transfer.domains.checks import check_labelled, check_probabilities
from keras_transfer.evaluation.intervals import CHUNK, DRAWS, draw_weights, quantile_interval

__all__ = [
    "Estimate",
    "Score",
    "agreement",
    "average_thresholded_confidence",
    "difference_of_confidences",
    "mean_entropy",
    "row_entropies",
]

Score = Literal["negative_entropy", "max_confidence"]


class Estimate(NamedTuple):
    """A number and its 95 % interval over resampled examples.

    Attributes:
        value: float.
        low: float, lower end.
        high: float, upper end.
    """

    value: float
    low: float
    high: float


def average_thresholded_confidence(
    source_probabilities: np.ndarray,
    source_labels: np.ndarray,
    target_probabilities: np.ndarray,
    *,
    score: Score = "negative_entropy",
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Average thresholded confidence, ATC (Garg et al., ICLR 2022, arXiv:2201.04234).

    The share of target examples whose score is at least t, where on the source the share of
    examples with a score below t is the share of wrong predictions:

        accuracy = 1/m #{s(target) >= t},   1/n #{s(source) < t} = 1/n #{predicted ≠ label}

    t is a score of the source (the smallest one above as many others as there are errors), or
    above all scores; with equal scores the one with the nearest share. The interval is over
    examples of both domains.

    Args:
        source_probabilities: (n, classes) float, of examples that were not trained on.
        source_labels: (n,) int.
        target_probabilities: (m, classes) float.
        score: ``"negative_entropy"``, sum of p log p, or ``"max_confidence"``, the largest p.
        draws: Number of resamples.
        seed: Random seed of the resamples.

    Returns:
        Estimated accuracy on the target, 0 to 1.

    Raises:
        BadData: There are no examples, or classes differ.
        CheckFailed: Rows are no probabilities.
    """
    source, wrong, target = _checked(source_probabilities, source_labels, target_probabilities)
    of_source, of_target = (
        -row_entropies(table) if score == "negative_entropy" else table.max(axis=1)
        for table in (source, target)
    )
    order, target_order = of_source.argsort(kind="stable"), of_target.argsort(kind="stable")
    thresholds = np.append(np.unique(of_source), np.inf)
    below = np.searchsorted(of_source[order], thresholds)
    target_below = np.searchsorted(of_target[target_order], thresholds)

    def accuracy(weights: np.ndarray, target_weights: np.ndarray) -> np.ndarray:
        share_below = _cumulated(weights[:, order])[:, below]
        chosen = abs(share_below - (weights @ wrong)[:, None]).argmin(axis=1)
        rejected = _cumulated(target_weights[:, target_order])[:, target_below]
        return 1 - rejected[np.arange(len(chosen)), chosen] / len(target)

    return _estimate(accuracy, (len(source), len(target)), draws, seed)


def difference_of_confidences(
    source_probabilities: np.ndarray,
    source_labels: np.ndarray,
    target_probabilities: np.ndarray,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Difference of confidences, DoC (Guillory et al., ICCV 2021, arXiv:2107.03315).

    accuracy on the source - (mean confidence on the source - mean confidence on the target), where
    the confidence is the largest probability: the accuracy falls as much as the confidence. The
    paper's regression over many known shifts is left out. The interval is over examples of both
    domains.

    Args:
        source_probabilities: (n, classes) float, of examples that were not trained on.
        source_labels: (n,) int.
        target_probabilities: (m, classes) float.
        draws: Number of resamples.
        seed: Random seed of the resamples.

    Returns:
        Estimated accuracy on the target, clipped to 0 to 1.

    Raises:
        BadData: There are no examples, or classes differ.
        CheckFailed: Rows are no probabilities.
    """
    source, wrong, target = _checked(source_probabilities, source_labels, target_probabilities)
    gap, confidence = 1 - wrong - source.max(axis=1), target.max(axis=1)

    def accuracy(weights: np.ndarray, target_weights: np.ndarray) -> np.ndarray:
        known = weights @ gap / len(gap)
        return np.clip(known + target_weights @ confidence / len(confidence), 0, 1)

    return _estimate(accuracy, (len(source), len(target)), draws, seed)


def agreement(
    first: np.ndarray, second: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """Share of examples that two classifiers give the same class (Jiang et al., ICLR 2022).

    Two networks that were trained with different seeds agree about as often as each is right
    (arXiv:2106.13799), if they are calibrated together. Heads on one frozen backbone share its
    mistakes, and then the share is above the accuracy.

    Args:
        first: (n, classes) float probabilities.
        second: (n, classes) float probabilities for the same examples.
        draws: Number of resamples.
        seed: Random seed of the resamples.

    Returns:
        0 to 1.

    Raises:
        BadData: There are no examples, or classes differ.
        CheckFailed: Rows are no probabilities.
    """
    one = check_probabilities("first classifier", first, None)
    other = check_probabilities("second classifier", second, one.shape[1])
    if len(one) != len(other):
        raise ValueError(f"{len(one)} and {len(other)} predictions, of the same examples")
    return _mean((one.argmax(axis=1) == other.argmax(axis=1)).astype(float), draws, seed)


def mean_entropy(probabilities: np.ndarray, *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Mean over examples of the entropy -sum of p log p.

    Args:
        probabilities: (n, classes) float.
        draws: Number of resamples.
        seed: Random seed of the resamples.

    Returns:
        In nats, from 0 (certain) to log(classes).

    Raises:
        BadData: There are no examples.
        CheckFailed: Rows are no probabilities.
    """
    return _mean(row_entropies(check_probabilities("classifier", probabilities, None)), draws, seed)


def _checked(
    source: np.ndarray, labels: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source probabilities, (n,) float 1 where the prediction is wrong, target probabilities."""
    source, labels = check_labelled("source", source, labels)
    target = check_probabilities("target", target, source.shape[1])
    return source, (source.argmax(axis=1) != labels).astype(float), target


def row_entropies(probabilities: np.ndarray) -> np.ndarray:
    """Entropy -sum of p log p over the last axis, in nats.

    Args:
        probabilities: (..., classes) float.

    Returns:
        (...) float.
    """
    return entr(probabilities).sum(axis=-1)


def _cumulated(weights: np.ndarray) -> np.ndarray:
    """(draws, n + 1) sums of the first 0, 1, ..., n weights."""
    return np.cumsum(np.pad(weights, ((0, 0), (1, 0))), axis=1)


def _mean(values: np.ndarray, draws: int, seed: int) -> Estimate:
    n = len(values)
    return _estimate(lambda weights: weights @ values / n, (n,), draws, seed)


def _estimate(
    metric: Callable[..., np.ndarray], sizes: tuple[int, ...], draws: int, seed: int
) -> Estimate:
    """Value and interval of a metric of independent samples.

    Args:
        metric: From (chunk, n) weights of each sample to (chunk,) values.
        sizes: n of each sample.
        draws: Number of resamples.
        seed: Random seed of the resamples.
    """
    rng = np.random.default_rng(seed)
    chunks = [min(CHUNK, draws - start) for start in range(0, draws, CHUNK)]
    drawn = [metric(*(draw_weights(rng, n, chunk) for n in sizes)) for chunk in chunks]
    low, high = quantile_interval(np.concatenate(drawn)) or (np.nan, np.nan)
    return Estimate(float(metric(*(np.ones((1, n)) for n in sizes))[0]), low, high)

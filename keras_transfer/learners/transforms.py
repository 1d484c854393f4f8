"""Features of two domains brought together before a classical learner is fitted to the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from keras_transfer.data.memory import fits
from keras_transfer.domains.base import DomainEstimator
from keras_transfer.domains.subspaces import CORAL, PerDomainStandardization, SubspaceAlignment
from keras_transfer.domains.tca import JDA, TCA
from keras_transfer.domains.weighting import KLIEP, KMM
from keras_transfer.errors import BadData, CheckFailed
from keras_transfer.learners.examples import Examples
from keras_transfer.learners.fitting import standard_of
from keras_transfer.learners.heads import FeatureMap, Standard

__all__ = ["Adapted", "adapt", "with_target"]

LIGHTEST = 1e-6
"""Least weight of a source example that is learnt from, where their mean is 1."""


TINY = np.finfo("float32").tiny


class Adapted(NamedTuple):
    """Two domains, adapted.

    Attributes:
        examples: Those of the source to learn from: transformed, or with other weights.
        target: (m, components) float32 features of the target, transformed.
        map: From features of any example, taken for one of the target, to transformed ones.
        source: From (k, channels) float32 features of other source examples to (k, components).
        weights: (n,) float64 factors of the source's weights, of mean 1; None where all count.
    """

    examples: Examples
    target: np.ndarray
    map: FeatureMap
    source: Callable[[np.ndarray], np.ndarray]
    weights: np.ndarray | None = None

    @property
    def effective(self) -> float:
        """The number of equally weighted examples that would vary as much as the weighted ones."""
        weights = self.examples.weights
        return float(weights.sum() ** 2 / (weights**2).sum())


# One thread, as in fit_learner.
@threadpool_limits.wrap(limits=1)
def adapt(
    estimator: DomainEstimator,
    examples: Examples,
    target: np.ndarray,
    *,
    blocks: Sequence[int] = (),
) -> Adapted:
    """Fit an estimator to both domains, and transform or weight the source's examples.

    The estimator is fitted to the clean view; the others are transformed likewise.

    Args:
        estimator: Of ``keras_transfer.domains``; it is fitted.
        examples: Of the source.
        target: (m, channels) float32 features of the target.
        blocks: As for ``fit_learner``.

    Raises:
        BadConfiguration: A setting does not suit the features.
        BadData: The features cannot be used, or the weights leave no two classes.
        CheckFailed: There is too little memory.
    """
    n = len(examples.labels)
    _check_memory(estimator, n, target.shape[1])
    standard = _standard(estimator, examples, blocks)

    def given(features: np.ndarray) -> np.ndarray:
        return features if standard is None else standard(features)

    def of_source(features: np.ndarray) -> np.ndarray:
        ours = np.ones(len(features), int)
        return estimator.transform(given(features), sample_domain=ours).astype("float32")

    estimator.fit(
        given(np.concatenate([examples.features[0], target])),
        # Labels of the target are not read.
        np.concatenate([examples.labels, np.full(len(target), -1)]),
        sample_domain=np.repeat([1, -1], [n, len(target)]),
    )
    if isinstance(estimator, KMM | KLIEP):
        return _weighted(examples, target, estimator.weights_)
    return Adapted(
        examples._replace(features=np.stack([of_source(view) for view in examples.features])),
        estimator.transform(given(target)).astype("float32"),
        _map_of(estimator, standard),
        of_source,
    )


def with_target(
    examples: Examples, features: np.ndarray, labels: np.ndarray, copies: np.ndarray
) -> Examples:
    """Examples of the source, and labelled ones of the target, which weigh as much on average.

    Args:
        examples: Of the source, as ``adapt`` gives them.
        features: (m, components) float32 of the target.
        labels: (m,) int classes.
        copies: (m,) int: examples with the same number stay in one fold.
    """
    views = len(examples.features)
    return Examples(
        np.concatenate([examples.features, np.tile(features, (views, 1, 1))], axis=1),
        np.concatenate([examples.labels, labels]),
        np.concatenate([examples.weights, np.full(len(labels), examples.weights.mean())]),
        np.concatenate([examples.families, examples.families.max() + 1 + copies]),
    )


def _standard(
    estimator: DomainEstimator, examples: Examples, blocks: Sequence[int]
) -> Standard | None:
    """Standardisation of the features that an estimator is given."""
    if isinstance(estimator, CORAL | PerDomainStandardization):
        return None  # they give the same with it
    if not isinstance(estimator, TCA):  # JDA is one
        return standard_of(examples, blocks)
    if len(blocks) < 2:
        return None  # it scales rows to unit length, as the papers do
    starts = np.cumsum([0, *blocks[:-1]])
    squares = (examples.features[0].astype("float64") ** 2).mean(axis=0)
    # Of several networks each gets as much of that length as the others.
    lengths = np.sqrt(np.add.reduceat(squares, starts))
    return Standard(np.zeros(len(squares)), np.repeat(np.maximum(lengths, TINY), blocks))


def _weighted(examples: Examples, target: np.ndarray, weights: np.ndarray) -> Adapted:
    weights = weights / weights.mean()
    used = np.flatnonzero(weights > LIGHTEST)
    few = examples.take(used)
    if len(np.unique(few.labels)) < 2:
        raise BadData(
            f"Only {len(used):,} of {len(weights):,} source examples, all of one class, lie near "
            "the target. Weights do not help there: use a method that changes features, such as "
            "coral."
        )
    weighted = few._replace(weights=few.weights * weights[used])
    return Adapted(weighted, target, FeatureMap(), lambda features: features, weights)


def _map_of(estimator: DomainEstimator, standard: Standard | None) -> FeatureMap:
    """What the estimator does to a row of the target, behind the standardisation."""
    if isinstance(estimator, TCA):  # JDA is one
        kernel = estimator.components_.T
        return FeatureMap(standard, estimator.normalize, kernel, isinstance(estimator, JDA))
    if isinstance(estimator, SubspaceAlignment):
        assert standard is not None
        centred = standard.then(estimator.target_mean_)
        return FeatureMap(centred, kernel=estimator.target_components_.T)
    if isinstance(estimator, PerDomainStandardization):
        scaler = estimator.scalers_[-1]
        return FeatureMap(Standard(scaler.mean_, scaler.scale_))
    return FeatureMap()  # of CORAL: the target stays as it is


def _check_memory(estimator: DomainEstimator, n: int, channels: int) -> None:
    """Refuse matrices of all channels, or of all examples, that do not fit."""
    size = n if isinstance(estimator, KMM) else channels if isinstance(estimator, CORAL) else 0
    if fits(5 * 8 * size**2):
        return
    cure = "--limit, or method = kliep" if isinstance(estimator, KMM) else "pooling = avg"
    raise CheckFailed(
        f"{type(estimator).__name__} needs {40 * size**2 / 1e9:.0f} GB of memory for {n:,} source "
        f"examples with {channels:,} features. Use {cure}."
    )

"""A linear head that a solver computes from stored features, instead of epochs of training.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_transfer.data.copies import related
from keras_transfer.data.memory import SHARE, fits
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData, CheckFailed
from keras_transfer.features.store import Table
from keras_transfer.learners.examples import Examples
from keras_transfer.learners.logistic import LinearHead, fit_logistic
from keras_transfer.networks.network import Network
from keras_transfer.workflows.imbalance import ImbalanceStrategy

__all__ = ["labelled_features", "logits_layer", "solvable", "solve_head", "weighted_examples"]

logger = logging.getLogger("keras_transfer")

MAX_PRODUCTS = 1e10
"""Most examples x channels x classes for ``solver = auto``: some minutes on one core."""


def logits_layer(network: Network) -> keras.layers.Layer:
    """The last Dense layer of a network with one head."""
    return next(layer for layer in network.model.layers if layer.name.endswith("logits"))


def solvable(network: Network, n: int) -> bool:
    """Whether the linear head of a network can be solved for n examples in memory and minutes."""
    channels, classes = logits_layer(network).kernel.shape
    return n * channels * classes <= MAX_PRODUCTS and fits(_bytes(n * channels), 2 * SHARE)


def solve_head(
    head: keras.Model,
    views: Sequence[Table | None],
    train: Samples,
    strategy: ImbalanceStrategy,
    seed: int,
) -> None:
    """Solve a softmax classifier, and write it into the only layer of a head that trains.

    Args:
        head: From (batch, channels) features to (batch, classes) logits.
        views: Features of the train split in each view, the clean one first; None: no room.
        train: The train split.
        strategy: Gives the weights of examples.
        seed: Random seed of the folds.

    Raises:
        CheckFailed: The features do not fit into memory.
        BadData: Less than two classes have examples with a weight above 0.
    """
    began = time.perf_counter()
    kernel, bias = head.trainable_variables
    examples = labelled_features(views, train, strategy.example_weights(train))
    solved = fit_logistic(examples, len(train.classes), seed)
    kernel.assign(solved.kernel)
    bias.assign(solved.bias)
    _report(solved, len(examples.labels), time.perf_counter() - began)


def labelled_features(
    views: Sequence[Table | None], train: Samples, weights: np.ndarray
) -> Examples:
    """The examples of the train split with a weight above 0.

    Args:
        views: Features of the train split in each view, the clean one first; None: no room.
        train: The train split.
        weights: (n,) float, 0 or more.

    Raises:
        CheckFailed: The features do not fit into memory.
        BadData: Less than two classes have examples with a weight above 0.
    """
    return _examples(lambda used: _features(views, used), train, weights)


def weighted_examples(features: np.ndarray, train: Samples, weights: np.ndarray) -> Examples:
    """The examples of the train split with a weight above 0, as ``labelled_features``.

    Args:
        features: (views, n, channels) float32 of the train split.
        train: The train split.
        weights: (n,) float, 0 or more.

    Raises:
        BadData: Less than two classes have examples with a weight above 0.
    """
    return _examples(lambda used: features[:, used], train, weights)


def _examples(
    features: Callable[[np.ndarray], np.ndarray], train: Samples, weights: np.ndarray
) -> Examples:
    used = np.flatnonzero(weights)
    if len(set(train.labels[used])) < 2:
        raise BadData("There are no training examples of two classes with a weight above 0.")
    return Examples(
        features(used),
        train.labels[used],
        weights[used].astype("float64"),
        related(train.digests[used], train.groups[used]),
    )


def _features(views: Sequence[Table | None], used: np.ndarray) -> np.ndarray:
    """(views, n, channels) float32 features of the rows ``used``."""
    tables = [table for table in views if table is not None]
    if len(tables) < len(views):
        raise CheckFailed("The cache has no room for the features. Raise KT_CACHE_GB.")
    size = _bytes(len(views) * len(used) * int(np.prod(tables[0].shape)))
    if not fits(size, 2 * SHARE):
        raise CheckFailed(
            f"The features of {len(used):,} examples would need {size / 1e9:.1f} GB of memory. Use "
            "Classify without solver: an optimizer takes them batch by batch."
        )
    return np.stack([table.take(used).reshape(len(used), -1) for table in tables])


def _bytes(numbers: int) -> int:
    """The features, their standardised copy, and what the solver makes of it."""
    return 3 * 4 * numbers


def _report(solved: LinearHead, n: int, seconds: float) -> None:
    if solved.log_loss is None:
        how = "no class has two independent examples, so there is no cross-validation"
    else:
        rows = "" if solved.rows == n else f" on {solved.rows:,} of {n:,} examples"
        how = f"by {solved.folds}-fold cross-validation{rows}, log loss {solved.log_loss:.4g}"
    logger.info("Logistic regression: C = %.3g %s (%.1f s)", solved.c, how, seconds)
    if not solved.converged:
        logger.warning("Warning: the solver stopped before it reached its tolerance.")

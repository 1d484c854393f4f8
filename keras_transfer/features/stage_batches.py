"""The batches of a stage: examples for the full network, or stored features."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import keras
import tensorflow as tf

from keras_transfer.data.batches import (
    Augmenter,
    Columns,
    Loading,
    evaluation_batches,
    label_columns,
    training_batches,
)
from keras_transfer.data.memory import held
from keras_transfer.data.samples import Samples
from keras_transfer.errors import CheckFailed
from keras_transfer.features.batches import evaluation_features, training_features
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.features.store import Table
from keras_transfer.features.views import View

__all__ = ["Split", "StageBatches", "from_examples", "from_features"]

Resample = Callable[[Table, Samples], tuple[Table, Samples, Columns]]
"""Resamples a table of features with its samples and columns (SMOTE)."""

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True, eq=False)
class Split:
    """Samples with their targets.

    Attributes:
        samples: n of them.
        columns: Their targets and weights.
    """

    samples: Samples
    columns: Columns

    @classmethod
    def labelled(cls, samples: Samples) -> Split:
        """Samples whose target is their label."""
        return cls(samples, label_columns(samples))


@dataclass(frozen=True, eq=False)
class StageBatches:
    """Model and batches of a stage.

    Attributes:
        model: What takes these batches where they hold features of a frozen part instead of
            examples: it shares with the network all layers that train. None: the network's model.
        train: From the number of the first epoch, from 0, to the batches of all epochs from it on.
        val: Validation batches of each epoch.
        evaluation: From samples to their batches, in order.
        measure: Further metrics of an epoch by name; None: there are none.
    """

    model: keras.Model | None
    train: Callable[[int], tf.data.Dataset]
    val: tf.data.Dataset
    evaluation: Callable[[Samples], tf.data.Dataset]
    measure: Callable[[], dict[str, float]] | None = None


def from_examples(
    train: Split,
    val: Split,
    loading: Loading,
    *,
    augment: Augmenter | None,
    epochs: int,
    **more: Any,
) -> StageBatches:
    """Batches for training the full network; examples are cached in memory if they fit.

    Args:
        train: The train split.
        val: The validation split.
        loading: Settings of batch loading.
        augment: Augmentation of the train split in every epoch.
        epochs: Epochs of the stage.
        more: Further arguments of ``training_batches``.
    """
    kept_train = cache(partial(_kept, train.samples, loading, epochs))

    def batches(first_epoch: int) -> tf.data.Dataset:
        how = {"epochs": epochs, "first_epoch": first_epoch, "augment": augment, **more}
        return training_batches(kept_train(), loading, train.columns, **how)

    def evaluation(samples: Samples, columns: Columns | None = None) -> tf.data.Dataset:
        kept = held(samples, loading) if epochs > 1 else samples
        return evaluation_batches(kept, loading, columns)

    return StageBatches(None, batches, evaluation(val.samples, val.columns), evaluation)


def from_features(
    extractor: FeatureExtractor,
    train: Split,
    val: Split,
    views: Sequence[View],
    *,
    epochs: int,
    augment: Augmenter | None,
    resample: Resample | None = None,
    **more: Any,
) -> StageBatches:
    """Batches of stored features, for the trainable part of a network.

    Features are streamed where there is no room for them, and where no views are given.

    Args:
        extractor: Computes the features.
        train: The train split.
        val: The validation split.
        views: How its examples are seen, in turn; none: augmented differently in every epoch.
        epochs: Epochs of the stage.
        augment: Changes streamed examples, unless the only view is the clean one.
        resample: Resamples features (SMOTE); for one view only.
        more: Further arguments of ``training_batches``.
    """
    loading = extractor.loading
    clean = len(views) == 1 and views[0].augment is None

    # Once: they are asked for by the choice of precision, by a sweep, and by the training.
    stored = cache(partial(_stored, extractor, train, views, resample))
    kept_train = cache(partial(_kept, train.samples, loading, epochs))

    def batches(first_epoch: int) -> tf.data.Dataset:
        tables, samples, columns = stored()
        if tables:
            return training_features(
                tables,
                samples,
                loading,
                columns,
                epochs=epochs,
                first_epoch=first_epoch,
                sides=extractor.sides(samples),
                **more,
            )
        how = {"epochs": epochs, "first_epoch": first_epoch, **more}
        # A stage that asks for clean features gets clean examples when they are streamed too.
        fresh = None if clean else augment
        examples = training_batches(kept_train(), loading, train.columns, augment=fresh, **how)
        return extractor.stream(examples)

    def evaluation(samples: Samples, columns: Columns | None = None) -> tf.data.Dataset:
        table = extractor.table(samples)
        if table is not None:
            sides = extractor.sides(samples)
            return evaluation_features(table, samples, loading, columns, sides)
        return extractor.stream(evaluation_batches(samples, loading, columns))

    return StageBatches(
        extractor.cut.trainable, batches, evaluation(val.samples, val.columns), evaluation
    )


def _stored(
    extractor: FeatureExtractor, train: Split, views: Sequence[View], resample: Resample | None
) -> tuple[list[Table], Samples, Columns]:
    """Features of the train split, perhaps resampled; no table where there is no room."""
    tables = _tables(extractor, train.samples, views)
    if resample is not None:
        return _resampled(tables, train.samples, resample)
    if not tables:
        logger.info("The frozen layers run in every epoch")
    return tables, train.samples, train.columns


def _kept(samples: Samples, loading: Loading, epochs: int) -> Samples:
    """Examples that are used again stay in memory if they fit."""
    return held(samples, loading) if epochs > 1 else samples


def _tables(extractor: FeatureExtractor, samples: Samples, views: Sequence[View]) -> list[Table]:
    """A table for each view; none if one of them does not fit into the cache."""
    if len(views) > 1:  # each of them decodes the examples
        samples = held(samples, extractor.loading)
    tables = []
    for view in views:
        table = extractor.table(samples, view)
        if table is None:
            return []
        tables.append(table)
    return tables


def _resampled(
    views: list[Table], train: Samples, resample: Resample
) -> tuple[list[Table], Samples, Columns]:
    if not views:
        raise CheckFailed(
            "smote needs the features of all training images, and the cache has no room for them. "
            "Raise KT_CACHE_GB, or use --imbalance oversample."
        )
    table, samples, columns = resample(views[0], train)
    return [table], samples, columns

"""What a stage is fed with: pixels for a whole network, features for the part that trains."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_transfer.data.batches import (
    Augmenter,
    Loading,
    evaluation_batches,
    training_batches,
)
from keras_transfer.data.memory import held
from keras_transfer.data.samples import Samples
from keras_transfer.errors import CheckFailed
from keras_transfer.features.batches import evaluation_features, training_features
from keras_transfer.features.extractor import FeatureExtractor, View
from keras_transfer.features.store import Table

__all__ = ["Feed", "Supply", "feed_features", "feed_pixels"]

Batches = Callable[[int], tf.data.Dataset]
Resample = Callable[[Table, Samples], tuple[Table, Samples]]

logger = logging.getLogger("keras_transfer")


class Supply(NamedTuple):
    """What a stage fits, and on what.

    Attributes:
        train: From the number of the first epoch (from 0) to the batches of all epochs from it
            on.
        val: Batches that are gone through after each epoch; their labels are (batch,) class
            numbers, or (batch, classes) shares where those of ``train`` are such.
        part: What takes these batches where they hold features of a frozen part instead of
            pixels: it shares with the whole model all layers that train. None: the whole model.
        focal_gamma: Gamma of the focal loss (Lin et al. 2017), which takes labels as shares of
            classes; 0: cross-entropy.
    """

    train: Batches
    val: tf.data.Dataset
    part: keras.Model | None = None
    focal_gamma: float = 0.0


@dataclass(frozen=True, eq=False)
class Feed:
    """Batches for one stage.

    Attributes:
        part: What takes them; None: the whole network.
        train: From the number of the first epoch to the batches from it on.
        evaluation: From samples to their batches, in order.
    """

    part: keras.Model | None
    train: Callable[[int], tf.data.Dataset]
    evaluation: Callable[[Samples], tf.data.Dataset]

    def supply(self, val: Samples) -> Supply:
        """For ``Trainer.stage``, with these images for validation."""
        return Supply(self.train, self.evaluation(val), self.part)


def feed_pixels(
    train: Samples, loading: Loading, *, augment: Augmenter | None, epochs: int, **more: Any
) -> Feed:
    """Feed a whole network; decoded images stay in memory if they fit and are used again.

    Args:
        train: The train split.
        loading: How images become batches.
        augment: Changes the train split anew in every epoch.
        epochs: Of the stage.
        more: As ``training_batches`` takes it.
    """
    again = epochs > 1

    def batches(first_epoch: int) -> tf.data.Dataset:
        samples = held(train, loading) if again else train
        return training_batches(
            samples, loading, epochs=epochs, first_epoch=first_epoch, augment=augment, **more
        )

    def evaluation(samples: Samples) -> tf.data.Dataset:
        return evaluation_batches(held(samples, loading) if again else samples, loading)

    return Feed(None, batches, evaluation)


def feed_features(
    extractor: FeatureExtractor,
    train: Samples,
    views: Sequence[View],
    *,
    epochs: int,
    augment: Augmenter | None,
    resample: Resample | None = None,
    **more: Any,
) -> Feed:
    """Feed what comes after a frozen part with stored features, or with streamed ones.

    They are streamed where there is no room for them, and where no views are given.

    Args:
        extractor: Makes the features.
        train: The train split.
        views: How its images are seen, in turn; none: augmented anew in every epoch.
        epochs: Of the stage.
        augment: Changes streamed images, unless the only view is the clean one.
        resample: Makes another table of features, and the samples to it; for one view.
        more: As ``training_batches`` takes it.
    """
    loading = extractor.loading
    clean = len(views) == 1 and views[0].augment is None

    def tables() -> list[Table]:
        images = train if clean else held(train, loading)
        found = []
        for view in views:
            table = extractor.table(images, view)
            if table is None:
                return []
            found.append(table)
        return found

    def batches(first_epoch: int) -> tf.data.Dataset:
        found, samples = _resampled(tables(), train, resample)
        if found:
            return training_features(
                found, samples, loading, epochs=epochs, first_epoch=first_epoch, **more
            )
        logger.info("The frozen part runs in every epoch, ahead of the training")
        fresh = None if clean else augment
        pixels = feed_pixels(train, loading, augment=fresh, epochs=epochs, **more)
        return extractor.stream(pixels.train(first_epoch))

    def evaluation(samples: Samples) -> tf.data.Dataset:
        table = extractor.table(samples)
        if table is not None:
            return evaluation_features(table, samples, loading)
        return extractor.stream(evaluation_batches(samples, loading))

    return Feed(extractor.cut.trainable, batches, evaluation)


def _resampled(
    views: list[Table], train: Samples, resample: Resample | None
) -> tuple[list[Table], Samples]:
    if resample is None:
        return views, train
    if not views:
        raise CheckFailed(
            "smote needs the features of all training images, and there is no room for them. "
            "Raise KT_CACHE_GB, or take --imbalance oversample."
        )
    table, samples = resample(views[0], train)
    return [table], samples

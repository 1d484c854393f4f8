"""Batches of features instead of pixels, for the same images in the same order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import (
    Loading,
    Mixer,
    as_written,
    epoch_fold,
    epoch_order,
    evaluation_table,
    training_table,
)
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import Sampling
from keras_transfer.features.engines import Engine
from keras_transfer.features.store import Table

__all__ = ["evaluation_features", "streamed", "training_features"]


def training_features(  # noqa: PLR0913
    views: Sequence[Table],
    samples: Samples,
    loading: Loading,
    *,
    epochs: int,
    first_epoch: int = 0,
    seeds: tuple[int, int] = (0, 0),
    class_weights: np.ndarray | None = None,
    mix: Mixer | None = None,
    sampling: Sampling | None = None,
) -> tf.data.Dataset:
    """What ``data.pipeline.training_batches`` gives, with stored features in the pixels' place.

    Each image goes through its views in turn, one an epoch, from a view drawn by the seed on:
    in as many epochs as there are views it shows each of them once.

    Args:
        views: One table of the features of ``samples`` for each view.
        samples: The train split.
        loading: Size of batches.
        epochs: Number of the last epoch, counted from 1.
        first_epoch: Number of the first epoch, counted from 0.
        seeds: Of the order of the images and of their views.
        class_weights: (classes,) float32 factors of the samples' own weights.
        mix: As for ``training_batches``: it draws what it would draw there, and mixes features.
        sampling: As for ``training_batches``; an image that an epoch draws again is in its next
            view.

    Returns:
        Dataset of (batch, ...) float32 features, (batch,) int32 labels (or (batch, classes)
        float32, of ``mix``), (batch,) float32 weights.
    """
    n = len(samples)
    columns = training_table(samples, loading, class_weights, sampling)
    labels, weights, factors = map(tf.constant, columns)
    first_view = np.random.default_rng(seeds[1]).integers(len(views), size=n)

    def take(positions: np.ndarray, times: np.ndarray, epoch: np.ndarray) -> np.ndarray:
        view = (first_view[positions] + times + epoch) % len(views)
        features = np.empty((len(positions), *views[0].shape), "float32")
        for number in np.unique(view):
            here = view == number
            features[here] = views[number].take(positions[here])
        return features

    @as_written
    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = epoch_order(n, loading, seeds[0], epoch, sampling)
        batches = tf.data.Dataset.from_tensor_slices(order).batch(loading.batch_size)
        return batches.map(as_written(lambda *drawn: load(*drawn, epoch)), 2)

    @as_written
    def load(positions: tf.Tensor, times: tf.Tensor, places: tf.Tensor, epoch: tf.Tensor) -> tuple:
        features = tf.numpy_function(take, [positions, times, epoch], tf.float32, stateful=False)
        weight = tf.gather(weights, positions) * tf.gather(factors, places)
        features = tf.ensure_shape(features, (None, *views[0].shape))
        batch = features, tf.gather(labels, positions), weight
        if mix is None:
            return batch
        seed = tf.stack(
            [epoch_fold(seeds[1], epoch), tf.cast(positions[0] + n * times[0], tf.int32)]
        )
        return mix(*batch, seed, epoch)

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return batches.prefetch(tf.data.AUTOTUNE)


def evaluation_features(table: Table, samples: Samples, loading: Loading) -> tf.data.Dataset:
    """What ``data.pipeline.evaluation_batches`` gives, with stored features for pixels."""
    order, labels, weights = evaluation_table(samples, loading)

    @as_written
    def load(positions: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tuple:
        features = tf.numpy_function(table.take, [positions], tf.float32, stateful=False)
        return tf.ensure_shape(features, (None, *table.shape)), labels, weights

    rows = tf.data.Dataset.from_tensor_slices((order, labels, weights))
    return rows.batch(loading.batch_size).map(load, 2).prefetch(tf.data.AUTOTUNE)


def streamed(engine: Engine, batches: tf.data.Dataset, shape: Sequence[int]) -> tf.data.Dataset:
    """Send the pixels of batches through an engine on their way, ahead of who takes them.

    Args:
        engine: Runs the frozen part.
        batches: Of (pixels, labels, weights).
        shape: Of one image's features.

    Returns:
        Dataset of (features, labels, weights); the engine works while the training does.
    """

    def generate() -> Iterator[tuple[Any, ...]]:
        beside: deque[tuple[Any, ...]] = deque()

        def pixels() -> Iterator[np.ndarray]:
            for batch, *others in batches.as_numpy_iterator():
                beside.append(tuple(others))
                yield batch

        for features in engine(pixels()):
            yield (features, *beside.popleft())

    _, *others = batches.element_spec
    signature = (tf.TensorSpec((None, *shape), tf.float32), *others)
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(4)

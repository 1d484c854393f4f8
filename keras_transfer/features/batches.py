"""Batches of features instead of examples, for the same examples in the same order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import (
    Columns,
    Loading,
    Mixer,
    Tensors,
    as_written,
    epoch_fold,
    epoch_order,
    evaluation_table,
    gathered,
    training_table,
)
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import Sampling
from keras_transfer.features.engines import Batch, Engine
from keras_transfer.features.store import Table
from keras_transfer.networks.cutting import FEATURES, Cut

__all__ = ["evaluation_features", "given", "streamed", "training_features"]


def training_features(  # noqa: PLR0913
    views: Sequence[Table],
    samples: Samples,
    loading: Loading,
    columns: Columns,
    *,
    epochs: int,
    first_epoch: int = 0,
    seeds: tuple[int, int] = (0, 0),
    mix: Mixer | None = None,
    sampling: Sampling | None = None,
    sides: Mapping[str, np.ndarray] | None = None,
) -> tf.data.Dataset:
    """Like ``data.batches.training_batches``, with stored features instead of inputs.

    Each example goes through its views in turn, one per epoch, from a view drawn by the seed on:
    in as many epochs as there are views it shows each of them once.

    Args:
        views: One table of the features of ``samples`` for each view.
        samples: The train split.
        loading: Size of batches.
        columns: Targets and weights of the samples.
        epochs: Number of the last epoch, counted from 1.
        first_epoch: Number of the first epoch, counted from 0.
        seeds: For the order of the examples and for their views.
        mix: As for ``training_batches``, with the same random draws; it mixes features.
        sampling: As for ``training_batches``; an example that an epoch draws again is in its next
            view.
        sides: (n, ...) further inputs of the part that trains, such as a padding mask.

    Returns:
        Dataset of ({"features": (batch, ...) float32, ...}, targets, weights).
    """
    side_inputs = {name: tf.constant(values) for name, values in (sides or {}).items()}
    n, table = len(samples), training_table(len(samples), loading, columns, sampling)
    # Each example starts at a view of its own, so that an epoch mixes all views.
    first_view = np.random.default_rng(seeds[1]).integers(len(views), size=n)

    def take(positions: np.ndarray, times: np.ndarray, epoch: np.ndarray) -> np.ndarray:
        view = (first_view[positions] + times + epoch) % len(views)
        features = np.empty((len(positions), *views[0].shape), "float32")
        for number in np.unique(view):
            mask = view == number
            features[mask] = views[number].take(positions[mask])
        return features

    @as_written
    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = epoch_order(n, loading, seeds[0], epoch, sampling)
        batches = tf.data.Dataset.from_tensor_slices(order).batch(loading.batch_size)
        return batches.map(as_written(lambda *drawn: load(*drawn, epoch)), 2)

    @as_written
    def load(positions: tf.Tensor, times: tf.Tensor, places: tf.Tensor, epoch: tf.Tensor) -> tuple:
        features = tf.numpy_function(take, [positions, times, epoch], tf.float32, stateful=False)
        # numpy_function forgets shapes, and Keras builds layers by them.
        features = tf.ensure_shape(features, (None, *views[0].shape))
        inputs = {FEATURES: features} | {
            name: tf.gather(values, positions) for name, values in side_inputs.items()
        }
        batch = inputs, *gathered(table, positions, places)
        if mix is None:
            return batch
        # The seed of the batch's first example, as training_batches takes it: the same mixes.
        seed = tf.stack(
            [epoch_fold(seeds[1], epoch), tf.cast(positions[0] + n * times[0], tf.int32)]
        )
        return mix(*batch, seed, epoch)

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return batches.prefetch(tf.data.AUTOTUNE)


def evaluation_features(
    table: Table,
    samples: Samples,
    loading: Loading,
    columns: Columns | None = None,
    sides: Mapping[str, np.ndarray] | None = None,
) -> tf.data.Dataset:
    """Like ``data.batches.evaluation_batches``, with stored features instead of inputs."""
    order, targets, weights = evaluation_table(samples, loading, columns)
    side_inputs = {name: tf.constant(values) for name, values in (sides or {}).items()}

    @as_written
    def load(positions: tf.Tensor, targets: Tensors, weights: Tensors) -> tuple:
        features = tf.numpy_function(table.take, [positions], tf.float32, stateful=False)
        inputs = {FEATURES: tf.ensure_shape(features, (None, *table.shape))} | {
            name: tf.gather(values, positions) for name, values in side_inputs.items()
        }
        return inputs, targets, weights

    rows = tf.data.Dataset.from_tensor_slices((order, targets, weights))
    return rows.batch(loading.batch_size).map(load, 2).prefetch(tf.data.AUTOTUNE)


def given(batch: Mapping[str, np.ndarray], names: Sequence[str]) -> Batch:
    """The inputs of a batch for an engine: one array, or one for each name.

    Args:
        batch: (batch, ...) arrays by the name of the input.
        names: Names of the engine's inputs, in its order.
    """
    arrays = tuple(batch[name] for name in names)
    return arrays if len(arrays) > 1 else arrays[0]


def streamed(
    engine: Engine, batches: tf.data.Dataset, shape: Sequence[int], cut: Cut
) -> tf.data.Dataset:
    """Run the inputs of batches through an engine, prefetching for training.

    Args:
        engine: Runs the frozen part.
        batches: Batches of (inputs, targets, weights).
        shape: Shape of one example's features.
        cut: Says which inputs the engine takes, and which are passed along.

    Returns:
        Dataset of ({"features": ...}, targets, weights); the engine works while the training does.
    """

    def generate() -> Iterator[tuple[Any, ...]]:
        # An engine may read several batches ahead; their targets wait here in the same order.
        pending: deque[tuple[Any, ...]] = deque()

        def examples() -> Iterator[Batch]:
            for inputs, *rest in batches.as_numpy_iterator():
                sides = {name: inputs[name] for name in cut.passthrough}
                pending.append((sides, *rest))
                yield given(inputs, cut.inputs)

        for features in engine(examples()):
            sides, *rest = pending.popleft()
            yield ({FEATURES: features, **sides}, *rest)

    inputs, *rest = batches.element_spec
    sides = {name: inputs[name] for name in cut.passthrough}
    signature = ({FEATURES: tf.TensorSpec((None, *shape), tf.float32), **sides}, *rest)
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(4)

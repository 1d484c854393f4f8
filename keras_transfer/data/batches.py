"""From a table of samples to batches of named tensors on tf.data.

A batch is (inputs, targets, weights), each a dict: inputs by the name of a network's input, targets
and weights by the name of its output, as ``keras.Model.fit`` takes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.data.sampling import Sampling

__all__ = [
    "Augmenter",
    "Columns",
    "Loading",
    "Mixer",
    "Prepared",
    "Preparer",
    "Tensors",
    "epoch_fold",
    "epoch_order",
    "evaluation_batches",
    "evaluation_table",
    "gathered",
    "label_columns",
    "plain_batches",
    "training_batches",
    "training_table",
]

Tensors = dict[str, tf.Tensor]
Augmenter = Callable[[Tensors, tf.Tensor], Tensors]
"""Maps the inputs of a batch and (batch, 2) int32 seeds to changed inputs."""

Batch = tuple[Tensors, Tensors, Tensors]
Mixer = Callable[[Tensors, Tensors, Tensors, tf.Tensor, tf.Tensor], Batch]

as_written = tf.autograph.experimental.do_not_convert
"""Marks functions without Python's ifs and loops: AutoGraph would take a second to see that."""


class Preparer(Protocol):
    """Turns raw examples into network inputs; see ``inputs.base.BoundInput``."""

    def load(self, raw: tf.Tensor) -> Tensors:
        """Prepare a raw example, () string or (height, width, 3) uint8 pixels, inside a graph."""
        ...

    def collate(self, batch: Tensors) -> Tensors:
        """Turn a batch of loaded examples, (batch, ...) by name, into network inputs."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A store whose examples are prepared already."""

    def prepared(self, row: tf.Tensor) -> Tensors:
        """Example number ``row``, () int64, as ``Preparer.load`` returns it, inside a graph."""
        ...


@dataclass(frozen=True)
class Loading:
    """Settings of batch loading, the same for every split.

    Attributes:
        input: Prepares examples.
        batch_size: Examples per batch, over all replicas.
        replicas: Devices that share a batch.
    """

    input: Any
    batch_size: int = 32
    replicas: int = 1

    def padding(self, n: int) -> int:
        """Examples to repeat, at weight 0, so that the last batch divides among the replicas."""
        return -(n % self.batch_size) % self.replicas

    def steps(self, n: int) -> int:
        """Batches of one pass over n examples."""
        return -(-n // self.batch_size)

    def example(self, samples: Samples, row: tf.Tensor) -> Tensors:
        """Read and load example ``row``, () int64: for images {"pixels": (size, size, 3) uint8}."""
        if isinstance(samples.store, Prepared):
            return samples.store.prepared(row)
        return self.input.load(samples.store.read(row))


class Columns(NamedTuple):
    """Targets and loss weights of n examples, by output.

    Attributes:
        targets: (n, ...) arrays.
        weights: (n,) float32 arrays; 0 where an example has no target.
    """

    targets: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]


def label_columns(samples: Samples, class_weights: np.ndarray | None = None) -> Columns:
    """The labels as targets; weights are those of the samples times their class's.

    Args:
        samples: n of them.
        class_weights: (classes,) float32; 1 for all if None.
    """
    factors = 1 if class_weights is None else class_weights[samples.labels]
    weights = (samples.weights * factors).astype("float32")
    return Columns({LABEL: samples.labels}, {LABEL: weights})


def training_batches(  # noqa: PLR0913
    samples: Samples,
    loading: Loading,
    columns: Columns,
    *,
    epochs: int,
    first_epoch: int = 0,
    seeds: tuple[int, int] = (0, 0),
    augment: Augmenter | None = None,
    mix: Mixer | None = None,
    sampling: Sampling | None = None,
) -> tf.data.Dataset:
    """Batches of all epochs of a stage in sequence, for ``fit(steps_per_epoch=)``.

    What an epoch holds depends on the seeds and its number only, not on the epochs before it:
    a run that is resumed at epoch 2 sees the examples, in the order and with the augmentation,
    that it would have seen without an interruption.

    Args:
        samples: The train split.
        loading: Settings of batch loading.
        columns: Targets and weights of the samples.
        epochs: Number of the last epoch, counted from 1.
        first_epoch: Number of the first epoch, counted from 0.
        seeds: For the order of the examples and for their augmentation.
        augment: Changes inputs by (batch, 2) int32 seeds.
        mix: As ``data.mixing.Mixing``: comes after ``augment``, and makes targets soft.
        sampling: Which examples an epoch draws; all, once each, if None. An example that is drawn
            again gets another seed for its augmentation.

    Returns:
        Dataset of (inputs, targets, weights): for images {"pixels": (batch, size, size, 3)
        float32 in [0, 255]}; targets as in ``columns`` or as ``mix`` makes them; (batch,) float32
        weights; ``loading.steps(len(sampling or samples))`` batches per epoch.
    """
    n = len(samples)
    rows, table = tf.constant(samples.rows), training_table(n, loading, columns, sampling)

    @as_written
    def load(position: tf.Tensor, time: tf.Tensor, slot: tf.Tensor, epoch: tf.Tensor) -> tuple:
        inputs = loading.example(samples, rows[position])
        seed = tf.stack([epoch, tf.cast(position + n * time, tf.int32)])
        return inputs, *gathered(table, position, slot), seed

    @as_written
    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = epoch_order(n, loading, seeds[0], epoch, sampling)
        fold = epoch_fold(seeds[1], epoch)
        loaded = tf.data.Dataset.from_tensor_slices(order).map(
            as_written(lambda *drawn: load(*drawn, fold)), num_parallel_calls=tf.data.AUTOTUNE
        )
        return loaded.batch(loading.batch_size).map(as_written(lambda *batch: (*batch, epoch)))

    @as_written
    def finish(
        inputs: Tensors, targets: Tensors, weights: Tensors, seeds: tf.Tensor, epoch: tf.Tensor
    ) -> tuple:
        inputs = loading.input.collate(inputs)
        batch = (augment(inputs, seeds) if augment else inputs), targets, weights
        return mix(*batch, seeds[0], epoch) if mix else batch

    # flat_map takes one epoch after the other, so no batch holds examples of two.
    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def epoch_order(
    n: int, loading: Loading, seed: int, epoch: tf.Tensor, sampling: Sampling | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """In which order an epoch takes n examples; its first ones pad the end.

    Returns:
        Three of (examples + padding,) int64: place in the table, how often this epoch has drawn
        the example before, and place in the epoch.
    """
    if sampling is None:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        # Not Dataset.shuffle, whose order depends on the epochs that came before.
        order = tf.random.experimental.stateless_shuffle(tf.range(n, dtype=tf.int64), seed=key)
        times = tf.zeros_like(order)
    else:
        draw = as_written(lambda epoch: sampling.draw(seed, int(epoch)))
        order, times = tf.numpy_function(draw, [epoch], [tf.int64, tf.int64], stateful=False)
        n = len(sampling)
        order, times = tf.ensure_shape(order, [n]), tf.ensure_shape(times, [n])
    at = tf.range(n + loading.padding(n), dtype=tf.int64)
    return tf.gather(order, at % n), tf.gather(times, at % n), at


def epoch_fold(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Scalar int32: offset of an epoch, added to the seed of each example."""
    key = [tf.constant(seed, tf.int64), epoch]
    return tf.random.stateless_uniform([], key, 0, 2**31 - 1, tf.int32)


Table = tuple[Tensors, Tensors, tf.Tensor]


def training_table(
    n: int, loading: Loading, columns: Columns, sampling: Sampling | None = None
) -> Table:
    """Columns of training as tensors, for ``gathered``.

    Returns:
        Targets and weights by example, and (drawn + padding,) float32 factors by place in the
        epoch that make a padded last batch count as the unpadded one would.
    """
    drawn = n if sampling is None else len(sampling)
    factors = _last_batch(drawn, loading.padding(drawn), loading)
    targets = {name: tf.constant(values) for name, values in columns.targets.items()}
    weights = {name: tf.constant(values) for name, values in columns.weights.items()}
    return targets, weights, tf.constant(factors)


def gathered(table: Table, positions: tf.Tensor, places: tf.Tensor) -> tuple[Tensors, Tensors]:
    """Targets, (batch, ...), and weights, (batch,) float32, of examples in training.

    ``positions`` in the table and ``places`` in the epoch are (batch,) int64, or () for one.
    """
    targets, weights, factors = table
    factor = tf.gather(factors, places)
    return (
        {name: tf.gather(column, positions) for name, column in targets.items()},
        {name: tf.gather(column, positions) * factor for name, column in weights.items()},
    )


def _last_batch(n: int, pad: int, loading: Loading) -> np.ndarray:
    """(n + pad,) float32 factors that make a padded last batch count as the unpadded one would.

    The loss of a batch is the sum of weighted losses over its length. The last batch of r
    examples is padded to r' by examples of weight 0, so the others count r'/r.
    """
    factors = np.ones(n + pad, "float32")
    if pad:
        last = n % loading.batch_size
        factors[n - last : n] = (last + pad) / last
        factors[n:] = 0
    return factors


def evaluation_batches(
    samples: Samples, loading: Loading, columns: Columns | None = None
) -> tf.data.Dataset:
    """Batches in the order of the table, never shuffled, never augmented.

    Args:
        samples: Any split.
        loading: Settings of batch loading.
        columns: Targets, and weights of 1, or 0 where an example has no target; the labels if
            None.

    Returns:
        Dataset of (inputs, targets, weights) as ``training_batches`` gives them. Weights are
        equal, but 0 for the examples that pad the last batch, and such that means over all batches
        are means over the samples.
    """
    order, targets, weights = evaluation_table(samples, loading, columns)

    @as_written
    def load(row: tf.Tensor, targets: Tensors, weights: Tensors) -> tuple:
        return loading.example(samples, row), targets, weights

    loaded = tf.data.Dataset.from_tensor_slices((samples.rows[order], targets, weights)).map(
        load, num_parallel_calls=tf.data.AUTOTUNE
    )
    batches = loaded.batch(loading.batch_size)
    finish = as_written(lambda x, y, w: (loading.input.collate(x), y, w))
    return batches.map(finish).prefetch(tf.data.AUTOTUNE)


def evaluation_table(
    samples: Samples, loading: Loading, columns: Columns | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Columns of evaluation, padded by ``loading.padding`` so that devices can share each batch.

    Returns:
        (n + padding,) int64 places in the table; (n + padding, ...) targets and (n + padding,)
        float32 weights by output.
    """
    targets, given = columns or Columns({LABEL: samples.labels}, {})
    n, pad = len(samples), loading.padding(len(samples))
    order = np.arange(n + pad) % n
    equal = np.r_[np.full(n, (n + pad) / n), np.zeros(pad)].astype("float32")
    weights = {name: equal * given[name][order] if name in given else equal for name in targets}
    return order, {name: values[order] for name, values in targets.items()}, weights


def plain_batches(
    samples: Samples,
    loading: Loading,
    augment: Augmenter | None = None,
    seeds: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Batches of inputs alone, in the order of the table.

    Args:
        samples: The examples.
        loading: Settings of loading; the last batch may be smaller.
        augment: As for ``training_batches``.
        seeds: (n, 2) int32 for ``augment``, one per example.

    Returns:
        Dataset of inputs, e.g. {"pixels": (batch, size, size, 3) float32 in [0, 255]}.
    """
    if seeds is None:
        seeds = np.zeros((len(samples), 2), "int32")
    rows = tf.data.Dataset.from_tensor_slices((samples.rows, seeds))
    load = as_written(lambda row, seed: (loading.example(samples, row), seed))
    cores = os.cpu_count() or 1
    loaded = rows.map(load, num_parallel_calls=cores)

    @as_written
    def finish(inputs: Tensors, seeds: tf.Tensor) -> Tensors:
        inputs = loading.input.collate(inputs)
        return augment(inputs, seeds) if augment else inputs

    batches = loaded.batch(loading.batch_size).map(finish, num_parallel_calls=cores).prefetch(4)
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread would hold up the end of the iterator for seconds
    return batches.with_options(options)

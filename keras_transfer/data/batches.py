"""From a table of samples to batches of pixels on tf.data."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_transfer.data import decode
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import Sampling

__all__ = [
    "Loading",
    "epoch_fold",
    "epoch_order",
    "evaluation_batches",
    "evaluation_table",
    "plain_batches",
    "training_batches",
    "training_table",
]

Augmenter = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Batch = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
Mixer = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], Batch]

as_written = tf.autograph.experimental.do_not_convert
"""Marks functions without Python's ifs and loops: AutoGraph would take a second to see that."""


@dataclass(frozen=True)
class Loading:
    """How images become batches, the same for every split of the data.

    Attributes:
        size: Side of the square that images are resized to, in pixels.
        resize: A row of ``decode.RESIZE``.
        batch_size: Images a batch, over all replicas.
        replicas: Devices that share a batch; divides ``batch_size``.
    """

    size: int
    resize: str = "stretch"
    batch_size: int = 32
    replicas: int = 1

    def padding(self, n: int) -> int:
        """Images to repeat, at weight 0, so that the last batch divides among the replicas."""
        return -(n % self.batch_size) % self.replicas

    def steps(self, n: int) -> int:
        """Batches of one pass over n images."""
        return -(-n // self.batch_size)

    def pixels(self, samples: Samples, row: tf.Tensor) -> tf.Tensor:
        """Load image ``row``: (size, size, 3) uint8."""
        image = samples.image(row, self.size, self.resize)
        return decode.resize(image, self.size, self.resize)


def training_batches(  # noqa: PLR0913
    samples: Samples,
    loading: Loading,
    *,
    epochs: int,
    first_epoch: int = 0,
    seeds: tuple[int, int] = (0, 0),
    class_weights: np.ndarray | None = None,
    augment: Augmenter | None = None,
    mix: Mixer | None = None,
    sampling: Sampling | None = None,
) -> tf.data.Dataset:
    """Batches of all epochs of a stage, one epoch after the other, for ``fit(steps_per_epoch=)``.

    What an epoch holds depends on the seeds and its number only, not on the epochs before it:
    a run that is taken up at epoch 2 sees the images, in the order and with the
    augmentation, that it would have seen had it never stopped.

    Args:
        samples: The train split.
        loading: How images become batches.
        epochs: Number of the last epoch, counted from 1.
        first_epoch: Number of the first epoch, counted from 0.
        seeds: Of the order of the images and of their augmentation.
        class_weights: (classes,) float32 factors of the samples' own weights.
        augment: Maps (batch, size, size, 3) float32 pixels and (batch, 2) int32 seeds to pixels.
        mix: As ``data.mixing.Mixing``: comes after ``augment``, and makes labels soft.
        sampling: Which images an epoch draws; all, once each, if None. An image that is drawn
            again gets another seed for its augmentation.

    Returns:
        Dataset of (batch, size, size, 3) float32 pixels in [0, 255], (batch,) int32 labels (or
        (batch, classes) float32, of ``mix``) and (batch,) float32 weights;
        ``loading.steps(len(sampling or samples))`` batches an epoch.
    """
    n = len(samples)
    columns = (samples.rows, *training_table(samples, loading, class_weights, sampling))
    rows, labels, weights, factors = (tf.constant(column) for column in columns)

    @as_written
    def load(position: tf.Tensor, time: tf.Tensor, place: tf.Tensor, epoch: tf.Tensor) -> tuple:
        pixels = loading.pixels(samples, rows[position])
        seed = tf.stack([epoch, tf.cast(position + n * time, tf.int32)])
        return pixels, labels[position], weights[position] * factors[place], seed

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
        pixels: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, seeds: tf.Tensor, epoch: tf.Tensor
    ) -> tuple:
        pixels = tf.cast(pixels, tf.float32)
        batch = (augment(pixels, seeds) if augment else pixels), labels, weights
        return mix(*batch, seeds[0], epoch) if mix else batch

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def epoch_order(
    n: int, loading: Loading, seed: int, epoch: tf.Tensor, sampling: Sampling | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """In which order an epoch takes n images; its first ones pad the end.

    Returns:
        Three of (images + padding,) int64: place in the table, for the how manieth time in this
        epoch (from 0), and place in the epoch.
    """
    if sampling is None:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
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
    """Scalar int32: what an epoch adds to the seed of each of its images."""
    key = [tf.constant(seed, tf.int64), epoch]
    return tf.random.stateless_uniform([], key, 0, 2**31 - 1, tf.int32)


def training_table(
    samples: Samples,
    loading: Loading,
    class_weights: np.ndarray | None,
    sampling: Sampling | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns of training: labels and weights by image, factors by place in the epoch.

    Returns:
        (n,) int32 labels; (n,) float32 weights, those of the samples times their class's;
        (drawn + padding,) float32 factors that make a padded last batch count as unpadded.
    """
    weights = samples.weights * (1 if class_weights is None else class_weights[samples.labels])
    drawn = len(samples if sampling is None else sampling)
    factors = _last_batch(drawn, loading.padding(drawn), loading)
    return samples.labels, weights.astype("float32"), factors


def _last_batch(n: int, pad: int, loading: Loading) -> np.ndarray:
    """(n + pad,) float32 factors that make a padded last batch count as the unpadded one would.

    The loss of a batch is the sum of weighted losses over its length. The last batch of r
    images is padded to r' by images of weight 0, so the others count r'/r.
    """
    factors = np.ones(n + pad, "float32")
    if pad:
        last = n % loading.batch_size
        factors[n - last : n] = (last + pad) / last
        factors[n:] = 0
    return factors


def evaluation_batches(samples: Samples, loading: Loading) -> tf.data.Dataset:
    """Batches in the order of the table, never shuffled, never augmented.

    Returns:
        Dataset of (batch, size, size, 3) float32 pixels in [0, 255], (batch,) int32 labels and
        (batch,) float32 weights: equal, but 0 for the images that pad the last batch, and
        such that means over all batches are means over the samples.
    """
    order, labels, weights = evaluation_table(samples, loading)
    columns = (samples.rows[order], labels, weights)

    @as_written
    def load(row: tf.Tensor, label: tf.Tensor, weight: tf.Tensor) -> tuple:
        return loading.pixels(samples, row), label, weight

    loaded = tf.data.Dataset.from_tensor_slices(columns).map(
        load, num_parallel_calls=tf.data.AUTOTUNE
    )
    batches = loaded.batch(loading.batch_size)
    finish = as_written(lambda x, y, w: (tf.cast(x, tf.float32), y, w))
    return batches.map(finish).prefetch(tf.data.AUTOTUNE)


def evaluation_table(
    samples: Samples, loading: Loading
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns of evaluation, padded to whole batches: places in the table, labels, weights."""
    n, pad = len(samples), loading.padding(len(samples))
    order = np.arange(n + pad) % n
    weights = np.r_[np.full(n, (n + pad) / n), np.zeros(pad)].astype("float32")
    return order, samples.labels[order], weights


def plain_batches(
    samples: Samples,
    loading: Loading,
    augment: Augmenter | None = None,
    seeds: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Batches of pixels alone, in the order of the table.

    Args:
        samples: The images.
        loading: How they become batches; the last one is as short as it comes.
        augment: As for ``training_batches``.
        seeds: (n, 2) int32 for ``augment``, one an image.

    Returns:
        Dataset of (batch, size, size, 3) float32 pixels in [0, 255].
    """
    if seeds is None:
        seeds = np.zeros((len(samples), 2), "int32")
    rows = tf.data.Dataset.from_tensor_slices((samples.rows, seeds))
    load = as_written(lambda row, seed: (loading.pixels(samples, row), seed))
    cores = os.cpu_count() or 1
    loaded = rows.map(load, num_parallel_calls=cores)

    @as_written
    def finish(pixels: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(pixels, tf.float32)
        return augment(pixels, seeds) if augment else pixels

    batches = loaded.batch(loading.batch_size).map(finish, num_parallel_calls=cores).prefetch(4)
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread would hold up the end of the iterator for seconds
    return batches.with_options(options)

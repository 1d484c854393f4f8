"""From a table of samples to batches of pixels on tf.data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_transfer.data import decode
from keras_transfer.data.samples import Samples

__all__ = ["Loading", "evaluation_batches", "training_batches"]

Augmenter = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Loading:
    """How pictures become batches, the same for every part of the data.

    Attributes:
        size: Side of the square that pictures are resized to, in pixels.
        resize: A row of ``decode.RESIZE``.
        batch_size: Pictures a batch, over all replicas.
        replicas: Devices that share a batch; divides ``batch_size``.
    """

    size: int
    resize: str = "stretch"
    batch_size: int = 32
    replicas: int = 1

    def padding(self, n: int) -> int:
        """Pictures to repeat, at weight 0, so that the last batch divides among the replicas."""
        return -(n % self.batch_size) % self.replicas

    def steps(self, n: int) -> int:
        """Batches of one pass over n pictures."""
        return -(-n // self.batch_size)

    def pixels(self, samples: Samples, row: tf.Tensor) -> tf.Tensor:
        """Load picture ``row``: (size, size, 3) uint8."""
        return decode.resize(samples.store.decode(row), self.size, self.resize)


def training_batches(
    samples: Samples,
    loading: Loading,
    *,
    epochs: int,
    first_epoch: int = 0,
    seeds: tuple[int, int] = (0, 0),
    class_weights: np.ndarray | None = None,
    augment: Augmenter | None = None,
) -> tf.data.Dataset:
    """Batches of all epochs of a stage, one epoch after the other, for ``fit(steps_per_epoch=)``.

    What an epoch holds depends on the seeds and its number only, not on the epochs before it:
    a run that is taken up at epoch 2 sees the pictures, in the order and with the
    augmentation, that it would have seen had it never stopped.

    Args:
        samples: The train part.
        loading: How pictures become batches.
        epochs: Number of the last epoch, counted from 1.
        first_epoch: Number of the first epoch, counted from 0.
        seeds: Of the order of the pictures and of their augmentation.
        class_weights: (classes,) float32 factors of the samples' own weights.
        augment: Maps (batch, size, size, 3) float32 pixels and (batch, 2) int32 seeds to pixels.

    Returns:
        Dataset of (batch, size, size, 3) float32 pixels in [0, 255], (batch,) int32 labels and
        (batch,) float32 weights; ``loading.steps(len(samples))`` batches an epoch.
    """
    n, pad = len(samples), loading.padding(len(samples))
    weights = samples.weights * (1 if class_weights is None else class_weights[samples.labels])
    columns = (samples.rows, samples.labels, np.float32(weights), _last_batch(n, pad, loading))
    rows, labels, weights, factors = (tf.constant(column) for column in columns)

    def load(position: tf.Tensor, place: tf.Tensor, epoch: tf.Tensor) -> tuple:
        pixels = loading.pixels(samples, rows[position])
        seed = tf.stack([epoch, tf.cast(position, tf.int32)])
        return pixels, labels[position], weights[position] * factors[place], seed

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seeds[0], tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(n, dtype=tf.int64), seed=key)
        order = tf.gather(order, tf.range(n + pad) % n)  # the padding repeats the first ones
        fold = tf.random.stateless_uniform(
            [], [tf.constant(seeds[1], tf.int64), epoch], 0, 2**31 - 1, tf.int32
        )
        places = tf.data.Dataset.from_tensor_slices((order, tf.range(n + pad, dtype=tf.int64)))
        loaded = places.map(lambda p, at: load(p, at, fold), num_parallel_calls=tf.data.AUTOTUNE)
        return loaded.batch(loading.batch_size)

    def finish(pixels: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, seeds: tf.Tensor) -> tuple:
        pixels = tf.cast(pixels, tf.float32)
        return (augment(pixels, seeds) if augment else pixels), labels, weights

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _last_batch(n: int, pad: int, loading: Loading) -> np.ndarray:
    """(n + pad,) float32 factors that make a padded last batch count as the unpadded one would.

    The loss of a batch is the sum of weighted losses over its length. The last batch of r
    pictures is padded to r' by pictures of weight 0, so the others count r'/r.
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
        (batch,) float32 weights: equal, but 0 for the pictures that pad the last batch, and
        such that means over all batches are means over the samples.
    """
    n, pad = len(samples), loading.padding(len(samples))
    order = np.arange(n + pad) % n
    weights = np.r_[np.full(n, (n + pad) / n), np.zeros(pad)].astype("float32")
    columns = (samples.rows[order], samples.labels[order], weights)

    def load(row: tf.Tensor, label: tf.Tensor, weight: tf.Tensor) -> tuple:
        return loading.pixels(samples, row), label, weight

    loaded = tf.data.Dataset.from_tensor_slices(columns).map(
        load, num_parallel_calls=tf.data.AUTOTUNE
    )
    batches = loaded.batch(loading.batch_size)
    return batches.map(lambda x, y, w: (tf.cast(x, tf.float32), y, w)).prefetch(tf.data.AUTOTUNE)

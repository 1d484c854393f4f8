"""Soft labels: label smoothing, MixUp and CutMix, on batches of pixels or of features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.data.stateless_seeds import StatelessSeedGenerator, fold_in

__all__ = ["Mixing"]

Batch = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


class Mixing:
    """Turns class numbers into shares of classes, and blends each input with another of its batch.

    An image's weight is its own times the sum of ``share * class weight`` over its classes.
    Pixels, shares and weights of two images are blended in one proportion, so that each of
    them counts by as much as is seen of it.

    Of the two ways to blend, a batch takes one; which one is drawn evenly where both are asked for.

    Args:
        classes: How many there are.
        mixup: Alpha of Zhang et al. 2017: proportions are drawn from Beta(alpha, alpha); 0: none;
            otherwise at least 0.05, below which Keras's float32 makes many of them 1/2.
        cutmix: Alpha of Yun et al. 2019, at most 1, likewise; for batches of pixels only.
        label_smoothing: Share of a label that all classes divide evenly.
        off_epoch: In how many first epochs inputs are blended; None: in all.
    """

    def __init__(
        self,
        classes: int,
        *,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        label_smoothing: float = 0.0,
        off_epoch: int | None = None,
    ):
        self.classes, self.smoothing, self.off_epoch = classes, label_smoothing, off_epoch
        asked = ((mixup, _mixup), (cutmix, _cutmix))
        self.ways = [make(alpha) for alpha, make in asked if alpha]

    def class_weights(self, weights: np.ndarray) -> np.ndarray:
        """Weight of an image by its class, (classes,): sum of ``share * class weight``."""
        return (1 - self.smoothing) * weights + self.smoothing * weights.mean()

    def __call__(
        self,
        inputs: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
        seed: tf.Tensor,
        epoch: tf.Tensor,
    ) -> Batch:
        """Smooth and blend a batch.

        Args:
            inputs: (batch, ...) float32.
            labels: (batch,) int32.
            weights: (batch,) float32, by ``class_weights``.
            seed: (2,) int32: the same seed draws the same.
            epoch: Scalar, counted from 0.

        Returns:
            (batch, ...) inputs, (batch, classes) shares that sum to 1, (batch,) weights; all
            float32.
        """
        hot = tf.one_hot(labels, self.classes)
        batch = (inputs, (1 - self.smoothing) * hot + self.smoothing / self.classes, weights)
        if not self.ways:
            return batch
        if self.off_epoch is None:
            return self._blended(batch, seed)
        blending = tf.cast(epoch, tf.int64) < self.off_epoch
        return tf.cond(blending, lambda: self._blended(batch, seed), lambda: batch)

    def judged(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Batches of validation, (inputs, labels, weights), with labels as plain one-hot rows."""
        hot = tf.autograph.experimental.do_not_convert(lambda y: tf.one_hot(y, self.classes))
        return batches.map(lambda x, y, weights: (x, hot(y), weights))

    def _blended(self, batch: Batch, seed: tf.Tensor) -> Batch:
        # Not the seed itself: the augmentation of an image has drawn from that.
        ways = [lambda way=way: way(*batch, fold_in(seed, -1)) for way in self.ways]
        if len(ways) == 1:
            return ways[0]()
        return tf.cond(tf.random.stateless_uniform([], fold_in(seed, -2)) < 0.5, *ways)


Way = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], Batch]


def _mixup(alpha: float) -> Way:
    layer = keras.layers.MixUp(alpha, dtype="float32")

    def blend(inputs: tf.Tensor, shares: tf.Tensor, weights: tf.Tensor, key: tf.Tensor) -> Batch:
        flat = tf.reshape(inputs, [tf.shape(inputs)[0], -1, 1, 1])  # features have any shape
        drawn = layer.get_random_transformation(flat, seed=StatelessSeedGenerator(key))
        mixed = tf.reshape(layer.transform_images(flat, drawn), tf.shape(inputs))
        return tf.ensure_shape(mixed, inputs.shape), *_labelled(layer, drawn, shares, weights)

    return blend


def _cutmix(alpha: float) -> Way:
    layer = keras.layers.CutMix((alpha, alpha), dtype="float32")

    def blend(pixels: tf.Tensor, shares: tf.Tensor, weights: tf.Tensor, key: tf.Tensor) -> Batch:
        drawn = layer.get_random_transformation(pixels, seed=StatelessSeedGenerator(key))
        # Keras takes the area before it is rounded to whole pixels; what counts is what is seen.
        pasted = tf.cast(drawn["batch_masks"], tf.float32)
        drawn["mix_weight"] = 1 - tf.reduce_mean(pasted, axis=(1, 2, 3))
        mixed = tf.ensure_shape(layer.transform_images(pixels, drawn), pixels.shape)
        return mixed, *_labelled(layer, drawn, shares, weights)

    return blend


def _labelled(
    layer: Any, drawn: dict[str, tf.Tensor], shares: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Shares and weights, blended as the inputs are."""
    blended = layer.transform_labels(weights[:, None], drawn)[:, 0]
    return layer.transform_labels(shares, drawn), blended

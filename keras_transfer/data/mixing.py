"""Soft targets: label smoothing, MixUp and CutMix, on batches of pixels or of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import Tensors
from keras_transfer.data.stateless_seeds import StatelessSeedGenerator, fold_in

__all__ = ["Mixing", "Soften", "smoothed", "smoothed_weights"]

Batch = tuple[Tensors, Tensors, Tensors]

Soften = Callable[[tf.Tensor], tf.Tensor]
"""Maps (batch, ...) targets to (batch, k) float32 that may be blended."""


def smoothed(classes: int, label_smoothing: float = 0.0) -> Soften:
    """Turn class numbers into shares of classes, which sum to 1.

    Args:
        classes: Number of classes.
        label_smoothing: Share of a label that all classes divide evenly.
    """

    def soften(labels: tf.Tensor) -> tf.Tensor:
        hot = tf.one_hot(labels, classes)
        return (1 - label_smoothing) * hot + label_smoothing / classes

    return soften


def smoothed_weights(weights: np.ndarray, label_smoothing: float) -> np.ndarray:
    """Weight of an example by its class, (classes,): sum of ``share * class weight``."""
    return (1 - label_smoothing) * weights + label_smoothing * weights.mean()


class Mixing:
    """Makes targets soft, and blends each example with another of its batch.

    The weight of an example is its own times the sum of ``share * class weight`` over its
    classes. Inputs, targets and weights of two examples are blended in one proportion, so that
    each counts in proportion to its share of the mix.

    A batch gets either MixUp or CutMix, with equal probability where both are enabled.

    Args:
        soften: For each target, the function that makes it float and smooth.
        mixup: Alpha of Zhang et al. 2017 (arXiv:1710.09412): proportions are drawn from
            Beta(alpha, alpha); 0: none; otherwise at least 0.05, below which Keras's float32 makes
            many of them 1/2.
        cutmix: Alpha of Yun et al. 2019 (arXiv:1905.04899), at most 1; for batches of pixels only.
        off_epoch: Number of first epochs in which inputs are blended; None: all.
    """

    def __init__(
        self,
        soften: Mapping[str, Soften],
        *,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        off_epoch: int | None = None,
    ):
        self.soften, self.off_epoch = dict(soften), off_epoch
        requested = ((mixup, _mixup), (cutmix, _cutmix))
        self.ways = [make(alpha) for alpha, make in requested if alpha]

    def __call__(
        self, inputs: Tensors, targets: Tensors, weights: Tensors, seed: tf.Tensor, epoch: tf.Tensor
    ) -> Batch:
        """Soften and blend a batch.

        Args:
            inputs: One (batch, ...) float32 tensor by its name.
            targets: (batch, ...) by name.
            weights: (batch,) float32 by name.
            seed: (2,) int32: the same seed draws the same.
            epoch: Scalar, counted from 0.

        Returns:
            (batch, ...) inputs, (batch, k) targets, (batch,) weights; all float32.
        """
        soft = {name: self.soften[name](target) for name, target in targets.items()}
        batch = (inputs, soft, weights)
        if not self.ways:
            return batch
        if self.off_epoch is None:
            return self._blended(batch, seed)
        blending = tf.cast(epoch, tf.int64) < self.off_epoch
        return tf.cond(blending, lambda: self._blended(batch, seed), lambda: batch)

    def _blended(self, batch: Batch, seed: tf.Tensor) -> Batch:
        # Not the seed itself: the augmentation of an example has drawn from that.
        # way=way, because a closure would see the last way in all of them.
        ways = [lambda way=way: way(*batch, fold_in(seed, -1)) for way in self.ways]
        if len(ways) == 1:
            return ways[0]()
        return tf.cond(tf.random.stateless_uniform([], fold_in(seed, -2)) < 0.5, *ways)


Way = Callable[[Tensors, Tensors, Tensors, tf.Tensor], Batch]


def _mixup(alpha: float) -> Way:
    # float32 under any policy: half precision would round pixels and shares of labels.
    layer = keras.layers.MixUp(alpha, dtype="float32")

    def blend(inputs: Tensors, targets: Tensors, weights: Tensors, key: tf.Tensor) -> Batch:
        ((name, values),) = inputs.items()
        flat = tf.reshape(values, [tf.shape(values)[0], -1, 1, 1])  # features have any shape
        drawn = layer.get_random_transformation(flat, seed=StatelessSeedGenerator(key))
        mixed = tf.reshape(layer.transform_images(flat, drawn), tf.shape(values))
        mixed = tf.ensure_shape(mixed, values.shape)
        return {name: mixed}, *_labelled(layer, drawn, targets, weights)

    return blend


def _cutmix(alpha: float) -> Way:
    layer = keras.layers.CutMix((alpha, alpha), dtype="float32")

    def blend(inputs: Tensors, targets: Tensors, weights: Tensors, key: tf.Tensor) -> Batch:
        ((name, pixels),) = inputs.items()
        drawn = layer.get_random_transformation(pixels, seed=StatelessSeedGenerator(key))
        # Keras uses the area before rounding to full pixels; this is the area after it.
        pasted = tf.cast(drawn["batch_masks"], tf.float32)
        drawn["mix_weight"] = 1 - tf.reduce_mean(pasted, axis=(1, 2, 3))
        mixed = tf.ensure_shape(layer.transform_images(pixels, drawn), pixels.shape)
        return {name: mixed}, *_labelled(layer, drawn, targets, weights)

    return blend


def _labelled(
    layer: Any, drawn: dict[str, tf.Tensor], targets: Tensors, weights: Tensors
) -> tuple[Tensors, Tensors]:
    """Targets and weights, blended as the inputs are."""
    return (
        {name: layer.transform_labels(target, drawn) for name, target in targets.items()},
        {
            name: layer.transform_labels(weight[:, None], drawn)[:, 0]
            for name, weight in weights.items()
        },
    )

"""Colour jitter, RandAugment, AugMix and random erasing, made of Keras's layers.

Keras's own RandAugment and AugMix choose their operations once per batch, or (AugMix, in a
graph) once for good, and rotate by half a turn at their default strength. Here every image draws
from its own seed, and the operations have the ranges of the papers (arXiv:1909.13719, 1912.02781).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_transfer.data.stateless_seeds import StatelessSeedGenerator, fold_in
from keras_transfer.inputs.images.augment import Augmenter

__all__ = ["COLOURS", "Augmentation", "operations"]

Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps (1, height, width, 3) float32 pixels 0..255 and a (2,) int32 key to pixels."""

OPERATIONS_A_IMAGE = 2
CHAINS, DEPTH = 3, 3

COLOURS = ("brightness", "color", "contrast", "sharpness")
"""Operations that AugMix leaves out: they are what robustness is measured by (ImageNet-C)."""


class Augmentation:
    """All random changes to single images, in sequence: ``augmentation(pixels, seeds)``.

    Args:
        color_jitter: Brightness, contrast and saturation change by up to this share.
        randaugment: Magnitude of two operations that are drawn for each image, 0..1; 0: none.
        augmix: Magnitude of the operations in the three chains that are blended, 0..1; 0: none.
        random_erasing: Share of the images in which a rectangle is replaced by noise.
        ranges: Arguments of ``Augmenter``, which is applied first.
    """

    def __init__(
        self,
        *,
        color_jitter: float = 0.0,
        randaugment: float = 0.0,
        augmix: float = 0.0,
        random_erasing: float = 0.0,
        **ranges: Any,
    ):
        self.augmenter = Augmenter(**ranges)
        requested = {
            _jitter: color_jitter,
            _randaugment: randaugment,
            _augmix: augmix,
            _erasing: random_erasing,
        }
        # By its place here each step draws from a key of its own, whatever others there are.
        self.steps = [
            (number, make(amount))
            for number, (make, amount) in enumerate(requested.items())
            if amount
        ]
        self.one_by_one = tf.function(self._one_by_one, autograph=False)

    @property
    def changes_nothing(self) -> bool:
        """Whether no setting has an effect."""
        return not self.steps and not self.augmenter.draw(tf.zeros([1, 2], tf.int32), 1, 1)

    def __call__(self, pixels: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Change each image by its seed.

        Args:
            pixels: (batch, height, width, 3), any real type, 0..255.
            seeds: (batch, 2) int32, one seed an image: the same seed draws the same.

        Returns:
            (batch, height, width, 3) float32, 0..255.
        """
        pixels = self.augmenter(pixels, seeds)
        return self.one_by_one(pixels, seeds) if self.steps else pixels

    def _one_by_one(self, pixels: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        shape = pixels.shape[1:]

        def change(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            image, seed = pair[0][None], pair[1]
            for number, step in self.steps:
                image = step(image, fold_in(seed, number))
            return tf.ensure_shape(image[0], shape)

        signature = tf.TensorSpec(shape, tf.float32)
        return tf.map_fn(change, (pixels, seeds), fn_output_signature=signature)


def operations(magnitude: float) -> dict[str, Step]:
    """The operations of RandAugment, which do nothing at magnitude 0 (the first three apart).

    Args:
        magnitude: 0..1; at 1 images turn by up to 30 degrees and lose half of their bits.
    """
    m, layers = magnitude, keras.layers
    edge = {"fill_mode": "nearest", "dtype": "float32"}
    return {
        "identity": lambda image, key: image,
        "autocontrast": _drawn(layers.AutoContrast(dtype="float32")),
        "equalize": _drawn(layers.Equalization(dtype="float32")),
        "posterize": _drawn(layers.RandomPosterization(8 - round(4 * m), dtype="float32")),
        "solarize": _solarize(m),
        "rotate": _drawn(layers.RandomRotation(m * 30 / 360, **edge)),
        "shear": _drawn(layers.RandomShear(0.3 * m, 0.3 * m, **edge)),
        "translate": _drawn(layers.RandomTranslation(0.3 * m, 0.3 * m, **edge)),
        "brightness": _drawn(layers.RandomBrightness(0.5 * m, dtype="float32")),
        "color": _drawn(layers.RandomColorDegeneration(0.9 * m, dtype="float32")),
        "contrast": _drawn(layers.RandomContrast(0.9 * m, dtype="float32")),
        "sharpness": _drawn(layers.RandomSharpness(_around_half(0.9 * m), dtype="float32")),
    }


def _drawn(layer: Any) -> Step:
    """Apply a layer with random numbers from a key."""

    def step(image: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        drawn = layer.get_random_transformation(
            image, training=True, seed=StatelessSeedGenerator(key)
        )
        changed = layer.transform_images(image, drawn, training=True)
        return tf.ensure_shape(tf.cast(changed, tf.float32), image.shape)

    return step


def _solarize(magnitude: float) -> Step:
    """Invert pixels above a threshold, which is 255 at magnitude 0, and 0..255 at 1."""
    layer = keras.layers.Solarization(dtype="float32")

    def step(image: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        # Of a range of thresholds Keras scales the upper end only.
        threshold = 255 * (1 - magnitude * tf.random.stateless_uniform([], key))
        return layer.transform_images(image, {"additions": 0.0, "thresholds": threshold + 1e-3})

    return step


def _around_half(width: float) -> tuple[float, float]:
    """Keras's factors from 0 to 1, where 0.5 leaves an image unchanged."""
    return (1 - width) / 2, (1 + width) / 2


def _one_of(steps: list[Step]) -> Step:
    def step(image: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        choice = tf.random.stateless_uniform([], fold_in(key, 0), 0, len(steps), tf.int32)
        inner = fold_in(key, 1)
        ways = [lambda way=way: way(image, inner) for way in steps]
        return tf.ensure_shape(tf.switch_case(choice, ways), image.shape)

    # Traced once and called for every draw; AugMix has nine.
    return tf.function(step, autograph=False)


def _jitter(amount: float) -> Step:
    layers = keras.layers
    steps = [
        _drawn(layers.RandomBrightness(amount, dtype="float32")),
        _drawn(layers.RandomContrast(amount, dtype="float32")),
        # The range is that of saturations, which Keras cuts off, not that of pixels.
        _drawn(layers.RandomSaturation(_saturations(amount), (0, 1), dtype="float32")),
    ]

    def step(image: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        for number, operation in enumerate(steps):
            image = operation(image, fold_in(key, number))
        return image

    return step


def _saturations(amount: float) -> tuple[float, float]:
    """Keras's factors whose f / (1 - f) runs from 1 - amount to 1 + amount."""
    low, high = 1 - amount, 1 + amount
    return low / (1 + low), high / (1 + high)


def _randaugment(magnitude: float) -> Step:
    operation = _one_of(list(operations(magnitude).values()))

    def step(image: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        for number in range(OPERATIONS_A_IMAGE):
            image = operation(image, fold_in(key, number))
        return image

    return step


def _augmix(magnitude: float) -> Step:
    """Blend the image with three chains of one to three operations, with uniform random shares."""
    found = operations(magnitude)
    one = _one_of([way for name, way in found.items() if name not in ("identity", *COLOURS)])

    def chain(image: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        depth = tf.random.stateless_uniform([], fold_in(key, -1), 1, DEPTH + 1, tf.int32)
        for number in range(DEPTH):
            further = lambda now=image, at=number: one(now, fold_in(key, at))  # noqa: E731
            image = tf.cond(number < depth, further, lambda now=image: now)
        return image

    def step(image: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        waits = -tf.math.log(1 - tf.random.stateless_uniform([CHAINS], fold_in(key, -1)))
        shares = waits / tf.reduce_sum(waits)  # Dirichlet(1, ..., 1); Beta(1, 1) is even
        own = tf.random.stateless_uniform([], fold_in(key, -2))
        chains = [chain(image, fold_in(key, number)) for number in range(CHAINS)]
        mixed = sum(shares[number] * one for number, one in enumerate(chains))
        return own * image + (1 - own) * mixed

    return step


def _erasing(share: float) -> Step:
    return _drawn(keras.layers.RandomErasing((share, share), dtype="float32"))

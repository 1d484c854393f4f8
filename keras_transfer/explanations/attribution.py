"""Methods: from images and the asked units to what each pixel contributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_transfer.explanations.grad_cam import Value, grad_cam, grad_cam_plus_plus
from keras_transfer.explanations.subject import BATCH, FILL, Subject
from keras_transfer.tables import Table

__all__ = ["METHODS", "Attribution", "Method", "as_heat", "patches"]

STEPS, MAX_STEPS = 32, 512
TOLERANCE = 0.05
"""Largest share of f(x) - f(baseline) that the sum of attributions may miss."""


class Attribution(NamedTuple):
    """What each pixel contributes.

    Attributes:
        pixels: (n, size, size) float32, signed; only their order counts for Grad-CAM.
        reference: (n,) float64 value of the image that integrated gradients start from; None for
            other methods.
    """

    pixels: np.ndarray
    reference: np.ndarray | None = None


Attribute = Callable[[np.ndarray, np.ndarray], Attribution]
"""From (n, size, size, 3) float32 images and (n,) int32 units; traces its graph once."""

Maker = Callable[[Subject], Attribute]


class Method(NamedTuple):
    """A way to attribute a value to pixels.

    Attributes:
        make: From a subject to the function that attributes.
        gradient: Whether it needs a gradient.
        top: Quantile of the positive attributions that is heat 1; those above it are cut off.
        rough: As ``make``, for maps that are only compared with each other; None: the same.
    """

    make: Maker
    gradient: bool = True
    top: float = 1.0
    rough: Maker | None = None


def _by_maps(formula: Callable[[tf.Tensor, Value], tf.Tensor]) -> Maker:
    """Grad-CAM, of the output before its activation, as in the export's ``explain``."""

    def make(subject: Subject) -> Attribute:
        parts = subject.halves
        signature = [subject.pixels_spec, tf.TensorSpec([None], tf.int32)]

        @tf.function(input_signature=signature, autograph=False)
        def heat(pixels: tf.Tensor, units: tf.Tensor) -> tf.Tensor:
            maps, tokens = parts.maps({"pixels": pixels})

            def value(maps: tf.Tensor) -> tf.Tensor:
                found = parts.outputs(maps, tokens)[subject.output]
                return tf.gather(tf.cast(found, tf.float32), units, batch_dims=1)

            found = formula(maps, value)[..., tf.newaxis]
            return tf.image.resize(found, (subject.size, subject.size))[..., 0]

        def attribute(images: np.ndarray, units: np.ndarray) -> Attribution:
            parts = range(0, len(units), BATCH)
            found = [heat(images[i : i + BATCH], units[i : i + BATCH]).numpy() for i in parts]
            return Attribution(np.concatenate(found))

        return attribute

    return make


def _integrated_gradients(subject: Subject, max_steps: int) -> Attribute:
    """(x - b) times the mean gradient between b and x (Sundararajan et al. 2017).

    https://arxiv.org/abs/1703.01365, equation 3, by the midpoint rule. The baseline b is an image
    of the mean colour of ImageNet. The attributions sum to f(x) - f(b), completeness, up to the
    error of the rule: the number of steps is doubled until it is 5 % or less, or ``max_steps``.
    """

    @tf.function(
        input_signature=[subject.pixels_spec, tf.TensorSpec([None], tf.int32)], autograph=False
    )
    def gradient(pixels: tf.Tensor, units: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            values = subject.value(subject.logits(pixels)[0], units)
        return tape.gradient(values, pixels)

    def mean_gradient(image: np.ndarray, base: np.ndarray, unit: int, steps: int) -> np.ndarray:
        shares = ((np.arange(steps) + 0.5) / steps).astype("float32")
        total = np.zeros(image.shape)
        for start in range(0, steps, BATCH):
            share = shares[start : start + BATCH, None, None, None]
            points = base + share * (image - base)
            units = np.full(len(share), unit, "int32")
            total += gradient(points, units).numpy().sum(axis=0, dtype="float64")
        return total / steps

    def attribute(images: np.ndarray, units: np.ndarray) -> Attribution:
        base = np.broadcast_to(FILL, images.shape[1:])
        values, _ = subject.run(images, units)
        references, _ = subject.run(np.broadcast_to(base, images.shape), units)
        found = []
        for image, unit, change in zip(images, units, values - references, strict=True):
            steps, total = STEPS, np.zeros(0)
            while steps <= max_steps:
                total = ((image - base) * mean_gradient(image, base, int(unit), steps)).sum(axis=-1)
                if abs(total.sum() - change) <= TOLERANCE * abs(change):
                    break
                steps *= 2
            found.append(total)
        return Attribution(np.stack(found).astype("float32"), references)

    return attribute


def patches(size: int) -> Iterator[tuple[slice, slice]]:
    """Overlapping squares that cover an image: an eighth of its side, half of that apart."""
    side = max(1, round(size / 8))
    starts = sorted({*range(0, size - side + 1, max(1, side // 2)), size - side})
    for top in starts:
        for left in starts:
            yield slice(top, top + side), slice(left, left + side)


def _occlusion(subject: Subject) -> Attribute:
    """What the value loses where a square is covered by the mean colour of ImageNet.

    Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901, section 4.2. A pixel has the mean of
    all squares that cover it.
    """
    squares = [*patches(subject.size)]

    def one(image: np.ndarray, unit: int, value: float) -> np.ndarray:
        total, count = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
        for start in range(0, len(squares), BATCH):
            batch = squares[start : start + BATCH]
            covered = np.repeat(image[np.newaxis], len(batch), axis=0)
            for number, square in enumerate(batch):
                covered[number][square] = FILL
            values, _ = subject.run(covered, np.full(len(batch), unit, "int32"))
            for square, left in zip(batch, values, strict=True):
                total[square] += value - left
                count[square] += 1
        return total / count

    def attribute(images: np.ndarray, units: np.ndarray) -> Attribution:
        values, _ = subject.run(images, units)
        found = [
            one(image, int(unit), value)
            for image, unit, value in zip(images, units, values, strict=True)
        ]
        return Attribution(np.stack(found).astype("float32"))

    return attribute


METHODS: Table[Method] = Table(
    "method",
    {
        "grad_cam": Method(_by_maps(grad_cam)),
        "grad_cam++": Method(_by_maps(grad_cam_plus_plus)),
        # Single pixels are far above all others, which would be dark.
        "integrated_gradients": Method(
            partial(_integrated_gradients, max_steps=MAX_STEPS),
            top=0.99,
            rough=partial(_integrated_gradients, max_steps=STEPS),
        ),
        "occlusion": Method(_occlusion, gradient=False),
    },
)


def as_heat(attributions: np.ndarray, top: float = 1.0) -> np.ndarray:
    """(n, size, size) float32 heat, 0..1, of signed attributions: what is positive.

    Args:
        attributions: (n, size, size) float.
        top: Quantile of the positive ones that becomes 1.
    """
    positive = np.maximum(np.nan_to_num(attributions), 0)
    heat = np.zeros(positive.shape, "float32")
    for number, one in enumerate(positive):
        if (one > 0).any():
            heat[number] = np.minimum(one / np.quantile(one[one > 0], top), 1)
    return heat

"""Whether a stage trains in half precision: what that gains, and what it changes."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.checksums import sha256_of_document
from keras_transfer.features.engines import computes_bfloat16
from keras_transfer.features.memory import Memory, machine
from keras_transfer.training.precision import computing_in

__all__ = ["Comparison", "choose_precision", "compare_steps", "fast_precision"]

logger = logging.getLogger("keras_transfer")

Step = Callable[[Any], tuple[tf.Tensor, list[tf.Tensor]]]
"""From a batch to its loss and the gradients of all trainable weights."""

LEAST_SECONDS, LEAST_STEPS = 60.0, 40
"""Stages that take less in float32, or have fewer steps, are not worth the measurement."""

GAIN = 1.2
"""How many times as fast as float32 half precision must be, so that noise does not decide."""

COSINE, LOSS = 0.99, 0.01
"""Least cosine of the mean gradients; largest difference of the mean losses, see Comparison."""

BATCHES, TURNS = 3, 2
"""Batches whose gradients are compared, and rounds of timing."""

LOSS_SCALE = 4096.0
"""Factor of the loss while gradients are computed in float16, where small ones would vanish."""


class Comparison(NamedTuple):
    """Two precisions on the same batches, with the same weights.

    Attributes:
        cosine: Between the mean gradients; NaN if one of them is zero or not finite.
        loss: Difference between the mean losses, divided by that in float32 where it exceeds 1:
            after a stage of training a loss may be so small that any rounding is much of it.
        seconds: Of a step, by precision.
    """

    cosine: float
    loss: float
    seconds: dict[str, float]

    @property
    def agrees(self) -> bool:
        """Whether the first updates are alike."""
        return self.cosine >= COSINE and abs(self.loss) <= LOSS


def choose_precision(
    fitted: keras.Model, batches: tf.data.Dataset, steps: int, memory: Memory
) -> str:
    """Choose the precision in which a stage trains.

    Half precision is taken if the machine has instructions for it, the stage is long, its steps
    are ``GAIN`` times as fast, and the first updates agree. Nothing of the model changes.

    Args:
        fitted: Compiled model of the stage, computing in float32.
        batches: As for ``fit``.
        steps: Training steps of the stage.
        memory: Keeps the seconds of a step for later runs.

    Returns:
        "float32", "mixed_bfloat16" or "mixed_float16".
    """
    half = fast_precision()
    # A look takes two steps, a measurement ten.
    if half is None or steps < LEAST_STEPS or tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return "float32"
    # Batches of texts differ in length: the longest says most of the time that a stage takes.
    some = sorted(islice(batches, BATCHES), key=_size, reverse=True)
    key = _key(fitted, some[0], half)
    known = memory.recall(key)
    seconds = {"float32": _rough_seconds(fitted, some[0])} if known is None else known
    if not _worthwhile(seconds, half, steps):
        return "float32"
    found = compare_steps(fitted, some, half)
    if known is None:
        memory.remember(key, found.seconds)
    # Again, by the steps that later runs will find: the first look was a rough one.
    seconds = known or found.seconds
    gain = seconds["float32"] / seconds[half]
    if not _worthwhile(seconds, half, steps):
        logger.debug("Training in %s would be %.2f times as fast as in float32", half, gain)
        return "float32"
    logger.info(
        "Training in %s is %.1f times as fast as in float32; first updates %s (cosine of the "
        "gradients %.4f, loss %+.2g)",
        *(half, gain, "agree" if found.agrees else "differ, so it stays in float32"),
        *(found.cosine, found.loss),
    )
    return half if found.agrees else "float32"


def compare_steps(fitted: keras.Model, batches: list[Any], half: str) -> Comparison:
    """Compare losses, gradients and their time with those in float32.

    They are those of inference: dropout and statistics of batches would change the model.

    Args:
        fitted: Compiled, computing in float32.
        batches: (inputs, targets, weights) as ``fit`` takes them.
        half: "mixed_bfloat16" or "mixed_float16".
    """
    steps = {name: _Measured(fitted, name) for name in ("float32", half)}
    for batch in batches:
        for step in steps.values():
            step.take(batch)
    for _ in range(TURNS):  # in turn, so that other load on the machine hits both
        for step in steps.values():
            step.time(batches[0])
    exact, rounded = steps["float32"], steps[half]
    length = np.linalg.norm(exact.gradient) * np.linalg.norm(rounded.gradient)
    cosine = float(exact.gradient @ rounded.gradient / length) if length else math.nan
    loss, other = np.mean(exact.losses), np.mean(rounded.losses)
    seconds = {name: step.seconds for name, step in steps.items()}
    return Comparison(cosine, float(other - loss) / max(abs(float(loss)), 1.0), seconds)


def fast_precision() -> str | None:
    """The half precision that this machine has instructions for; None: it has none."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "mixed_bfloat16" if computes_bfloat16() else None
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    # Tensor cores came with compute capability 7.0.
    have_tensor_cores = all(one.get("compute_capability", (0, 0)) >= (7, 0) for one in details)
    return "mixed_float16" if have_tensor_cores else None


class _Measured:
    """Steps in one precision: their losses, the sum of their gradients, the time of the fastest."""

    def __init__(self, fitted: keras.Model, precision: str):
        self.fitted, self.precision = fitted, precision
        self.graph = tf.function(_step(fitted, precision))
        self.losses: list[float] = []
        self.gradient: Any = 0.0
        self.seconds = math.inf

    def take(self, batch: Any) -> None:
        """Make a step; the first one of a shape traces, which fixes the precision."""
        with computing_in(self.fitted, self.precision):
            loss, gradients = self.graph(batch)
        self.losses.append(float(loss))
        self.gradient = self.gradient + np.concatenate([np.ravel(x.numpy()) for x in gradients])

    def time(self, batch: Any) -> None:
        """Time a step on a batch whose shape has been traced."""
        began = time.perf_counter()
        loss, gradients = self.graph(batch)
        loss.numpy(), gradients[0].numpy()  # a GPU answers before it is done
        self.seconds = min(self.seconds, time.perf_counter() - began)


def _rough_seconds(fitted: keras.Model, batch: Any) -> float:
    """Seconds of a step in float32, not traced, which would take longer than it is worth."""
    step = _step(fitted, "float32")
    step(batch)[0].numpy()  # what is done once, such as choosing kernels
    began = time.perf_counter()
    step(batch)[0].numpy()
    return time.perf_counter() - began


def _worthwhile(seconds: Mapping[str, float], half: str, steps: int) -> bool:
    """Whether a stage is long and half precision fast, as far as that is known."""
    if seconds["float32"] * steps < LEAST_SECONDS:
        return False
    return half not in seconds or seconds["float32"] >= GAIN * seconds[half]


def _size(batch: Any) -> int:
    return sum(math.prod(tensor.shape) for tensor in _tensors(batch))


def _tensors(batch: Any) -> list[Any]:
    return [tensor for tensor in keras.tree.flatten(batch) if tensor is not None]


def _step(fitted: keras.Model, precision: str) -> Step:
    scale = LOSS_SCALE if precision == "mixed_float16" else 1.0

    def step(batch: Any) -> tuple[tf.Tensor, list[tf.Tensor]]:
        inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(batch)
        with tf.GradientTape() as tape:
            outputs = fitted(inputs, training=False)
            loss = fitted.compute_loss(inputs, targets, outputs, weights, training=False) * scale
        found = tape.gradient(loss, fitted.trainable_weights)
        # Embeddings have sparse gradients; what the loss does not depend on has none.
        dense = [tf.convert_to_tensor(one) for one in found if one is not None]
        return loss / scale, [one / scale for one in dense]

    return step


def _key(fitted: keras.Model, batch: Any, half: str) -> str:
    """What the speed of a step depends on."""
    layers = [
        [type(layer).__name__, layer.trainable, [list(weight.shape) for weight in layer.weights]]
        for layer in fitted._flatten_layers()
    ]
    # By powers of two: how long the longest of three batches of texts is depends on their order.
    shapes = [[size.bit_length() for size in tensor.shape] for tensor in _tensors(batch)]
    return "; ".join((sha256_of_document([layers, shapes]), machine(), half))

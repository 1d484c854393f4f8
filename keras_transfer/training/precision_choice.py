"""Whether a stage trains in half precision: what that gains, and what it changes."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
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

LEAST_SECONDS = 30.0
"""Stages that take less in float32 are not worth the measurement."""

GAIN = 1.2
"""How many times as fast as float32 half precision must be, so that noise does not decide."""

COSINE, LOSS = 0.99, 0.01
"""Least cosine of the mean gradients, and largest relative difference of the mean losses."""

BATCHES, TURNS = 4, 3
"""Batches whose gradients are compared, and rounds of timing."""

LOSS_SCALE = 4096.0
"""Factor of the loss while gradients are computed in float16, where small ones would vanish."""


class Comparison(NamedTuple):
    """Two precisions on the same batches, with the same weights.

    Attributes:
        cosine: Between the mean gradients; NaN if one of them is zero or not finite.
        loss: Difference between the mean losses, relative to that in float32.
    """

    cosine: float
    loss: float

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
    if half is None or tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return "float32"
    some = [*islice(batches, BATCHES)]
    seconds = _step_seconds(fitted, some[0], half, steps, memory)
    if seconds["float32"] * steps < LEAST_SECONDS:
        return "float32"
    gain = seconds["float32"] / seconds[half]
    if gain < GAIN:
        logger.debug("Training in %s would be %.2f times as fast as in float32", half, gain)
        return "float32"
    found = compare_steps(fitted, some, half)
    logger.info(
        "Training in %s is %.1f times as fast as in float32; first updates %s (cosine of the "
        "gradients %.4f, loss %+.2g %%)",
        *(half, gain, "agree" if found.agrees else "differ, so it stays in float32"),
        *(found.cosine, 100 * found.loss),
    )
    return half if found.agrees else "float32"


def compare_steps(fitted: keras.Model, batches: list[Any], precision: str) -> Comparison:
    """Compare losses and gradients in half precision with those in float32.

    They are those of inference: dropout and statistics of batches would change the model.

    Args:
        fitted: Compiled, computing in float32.
        batches: (inputs, targets, weights) as ``fit`` takes them.
        precision: "mixed_bfloat16" or "mixed_float16".
    """
    loss, gradient = _mean_step(fitted, batches, "float32")
    other, rounded = _mean_step(fitted, batches, precision)
    length = np.linalg.norm(gradient) * np.linalg.norm(rounded)
    cosine = float(gradient @ rounded / length) if length else math.nan
    return Comparison(cosine, (other - loss) / max(abs(loss), 1e-9))


def fast_precision() -> str | None:
    """The half precision that this machine has instructions for; None: it has none."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "mixed_bfloat16" if computes_bfloat16() else None
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    # Tensor cores came with compute capability 7.0.
    have_tensor_cores = all(one.get("compute_capability", (0, 0)) >= (7, 0) for one in details)
    return "mixed_float16" if have_tensor_cores else None


def _step_seconds(
    fitted: keras.Model, batch: Any, half: str, steps: int, memory: Memory
) -> dict[str, float]:
    """Seconds of a step by precision; of float32 alone, roughly, where the stage is short."""
    key = _key(fitted, batch, half)
    known = memory.recall(key)
    if known is not None:
        return known
    began = time.perf_counter()
    _step(fitted, "float32")(batch)  # not traced, which would take longer
    rough = time.perf_counter() - began
    if rough * steps < LEAST_SECONDS:
        return {"float32": rough}
    best = {"float32": math.inf, half: math.inf}
    graphs = {}
    for precision in best:
        with computing_in(fitted, precision):  # tracing fixes the precision
            graphs[precision] = tf.function(_step(fitted, precision))
            graphs[precision](batch)
    for _ in range(TURNS):
        for precision, graph in graphs.items():
            began = time.perf_counter()
            loss, gradients = graph(batch)
            loss.numpy(), gradients[0].numpy()  # a GPU answers before it is done
            best[precision] = min(best[precision], time.perf_counter() - began)
    memory.remember(key, best)
    return best


def _mean_step(fitted: keras.Model, batches: list[Any], precision: str) -> tuple[float, np.ndarray]:
    """Mean loss, and mean gradient of all weights in one row."""
    losses, total, step = [], None, _step(fitted, precision)
    with computing_in(fitted, precision):
        for batch in batches:
            loss, gradients = step(batch)
            row = np.concatenate([np.ravel(one.numpy()) for one in gradients])
            losses.append(float(loss))
            total = row if total is None else total + row
    assert total is not None
    return float(np.mean(losses)), total / len(batches)


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
    shapes = [list(tensor.shape) for tensor in keras.tree.flatten(batch) if tensor is not None]
    return "; ".join((sha256_of_document([layers, shapes]), machine(), half))

"""Makes several devices train as one does: clipping of gradients and batch normalisation."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

__all__ = ["clipping_the_sum", "counted_examples", "synchronized_batch_norm"]

_batch = threading.local()  # each replica is traced in a thread of its own


def clipping_the_sum(optimizer: Any) -> Any:
    """Make an optimizer class that clips the gradient of a batch, not the shares of devices.

    Keras clips the gradient of each replica and then adds them up. Two shares that are clipped to
    a norm of 1 sum up to a norm of 2, and to another direction than that of the clipped sum.

    Args:
        optimizer: A class of ``keras.optimizers``.

    Returns:
        A subclass; on one device it does the same as the class.
    """

    class ClippingTheSum(optimizer):
        def _clip_gradients(self, grads: list[Any]) -> list[Any]:
            return grads  # these are the shares

        def _all_reduce_sum_gradients(
            self, grads_and_vars: Iterable[tuple[Any, Any]]
        ) -> list[tuple[Any, Any]]:
            grads, variables = zip(*super()._all_reduce_sum_gradients(grads_and_vars), strict=True)
            return list(zip(super()._clip_gradients(list(grads)), variables, strict=True))

    ClippingTheSum.__name__ = optimizer.__name__
    return ClippingTheSum


@contextmanager
def synchronized_batch_norm(model: keras.Model) -> Iterator[None]:
    """Let batch normalisation see the batch of all devices, in what is traced inside.

    Without it each device normalises its share by the statistics of that share. Keras has
    ``synchronized=True``, but subtracts the square of the mean from the mean of the squares, which
    loses all digits where values vary little around a large mean, and counts the examples that pad
    the last batch. On one device nothing changes.

    Args:
        model: Its layers that train are changed, and restored at the end.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    changed = [
        layer
        for layer in model._flatten_layers()
        if several and isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    for layer in changed:
        layer._moments = partial(_moments, layer)
    try:
        yield
    finally:
        for layer in changed:
            del layer._moments


@contextmanager
def counted_examples(weights: Mapping[str, tf.Tensor] | None) -> Iterator[None]:
    """Tell batch normalisation which examples of a replica's share count.

    Args:
        weights: (batch,) weights by output. An example of weight 0 for all outputs pads the batch,
            and does not count.
    """
    counts = [tf.not_equal(weight, 0) for weight in (weights or {}).values()]
    _batch.counted = tf.reduce_any(counts, axis=0) if counts else None
    try:
        yield
    finally:
        _batch.counted = None


def _moments(
    layer: keras.layers.BatchNormalization, inputs: tf.Tensor, mask: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """(channels,) mean and variance over the examples of all replicas, in two passes."""
    replicas, axes = tf.distribute.get_replica_context(), layer._reduction_axes

    def summed(values: tf.Tensor) -> tf.Tensor:
        return replicas.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(values, axes))

    weights = tf.ones_like(inputs)
    if mask is not None:
        weights *= tf.cast(mask, inputs.dtype)[..., None]
    counted = getattr(_batch, "counted", None)
    if counted is not None:
        shape = [-1] + [1] * (len(inputs.shape) - 1)
        weights *= tf.reshape(tf.cast(counted, inputs.dtype), shape)
    count = tf.maximum(summed(weights), 1)
    mean = summed(weights * inputs) / count
    broadcast = [1 if axis in axes else -1 for axis in range(len(inputs.shape))]
    return mean, summed(weights * tf.square(inputs - tf.reshape(mean, broadcast))) / count

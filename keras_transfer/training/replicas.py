"""Makes several devices train as one does: clipping of gradients and batch normalisation."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

__all__ = [
    "accumulating",
    "clipping_the_sum",
    "counted_examples",
    "loss_scaling",
    "synchronized_batch_norm",
]

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


def accumulating(optimizer: Any) -> Any:
    """Make an optimizer class that accumulates gradients over several devices too.

    Keras sums the gradients of the devices inside a condition, which TensorFlow refuses. Here the
    sums of each batch are accumulated, outside of it, so that all devices hold the same; an update
    is a step of all devices inside of a condition.

    Args:
        optimizer: A class of ``keras.optimizers``, without ``clipping_the_sum``.

    Returns:
        A subclass; on one device it does the same as the class.
    """

    class Accumulating(optimizer):
        def _backend_apply_gradients(self, grads: list[Any], trainable_variables: Any) -> None:
            if not isinstance(tf.distribute.get_strategy(), tf.distribute.MirroredStrategy):
                super()._backend_apply_gradients(grads, trainable_variables)
                return
            values = [variable.value for variable in trainable_variables]
            dense = map(tf.convert_to_tensor, grads)  # that of an embedding has some rows only
            summed = super()._all_reduce_sum_gradients(zip(dense, values, strict=True))
            tf.distribute.get_replica_context().merge_call(
                self._accumulate, args=([grad for grad, _ in summed], trainable_variables)
            )
            if self.use_ema:
                self._update_model_variables_moving_average(self._trainable_variables)

        def _accumulate(self, devices: Any, grads: list[Any], variables: Any) -> None:
            """Add a batch; where it is the last one, update. Outside of the single replicas."""
            places = [self._get_variable_index(variable) for variable in variables]
            for place, grad in zip(places, grads, strict=True):
                sums = self._accumulated_gradients[place].value
                devices.extended.update(sums, lambda var, grad: var.assign_add(grad), args=(grad,))
            last = (self._iterations + 1) % self.gradient_accumulation_steps == 0

            def update() -> None:
                devices.extended.call_for_each_replica(self._update, args=(variables,))

            tf.cond(last, update, lambda: None)

        def _update(self, variables: Any) -> None:
            """Update by the mean of the batches. Each device has the sum of all devices."""
            count = (
                self.gradient_accumulation_steps * self._distribution_strategy.num_replicas_in_sync
            )
            sums = [self._accumulated_gradients[self._get_variable_index(v)] for v in variables]
            grads = self._clip_gradients([each / count for each in sums])
            self._apply_weight_decay(variables)
            self._backend_update_step(grads, variables, self.learning_rate)
            self._backend_reset_gradient_accumulators()

    Accumulating.__name__ = optimizer.__name__
    return Accumulating


def loss_scaling(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Scale the loss for float16, so that small gradients do not vanish.

    Keras leaves out an update if the gradient of the first replica overflows. If that of another
    one does, its infinity goes into the weights. Here each replica hears of it.

    Args:
        optimizer: Of float32 gradients.

    Returns:
        The optimizer that ``compile`` would make of it; over several devices the mended one.
    """
    return _SharedLossScale(optimizer)


class _SharedLossScale(keras.optimizers.LossScaleOptimizer):
    def apply(self, grads: list[Any], trainable_variables: Any = None) -> None:
        """Apply the gradients, or none of them if those of any replica are not finite."""
        overflown = tf.cast(tf.logical_not(self.check_finite(grads)), tf.float32)
        replicas = tf.distribute.get_replica_context()
        any_overflown = replicas.all_reduce(tf.distribute.ReduceOp.SUM, overflown) > 0
        factor = tf.where(any_overflown, float("nan"), 1.0)
        spread = [None if grad is None else keras.ops.multiply(grad, factor) for grad in grads]
        super().apply(spread, trainable_variables)


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

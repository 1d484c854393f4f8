"""Maps of what raises a value, by its gradient at the last maps of a network.

Both weigh each channel of the maps, and keep what the weighted sum has above 0. They run inside
graphs, of exports too, with batches of any size.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

__all__ = ["Value", "grad_cam", "grad_cam_plus_plus"]

Value = Callable[[tf.Tensor], tf.Tensor]
"""From (n, height, width, channels) maps to (n,) float32 values, each of its own maps alone."""


def grad_cam(maps: tf.Tensor, value: Value) -> tf.Tensor:
    """Grad-CAM: the weight of a channel is the mean of its gradient over all places.

    Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391, equations 1 and 2.

    Args:
        maps: (n, height, width, channels) float.
        value: What is explained.

    Returns:
        (n, height, width) float32, 0..1: divided by the maximum; 0 where nothing is positive.
    """
    maps, gradient = _gradient(maps, value)
    return _positive(maps, tf.reduce_mean(gradient, (1, 2), keepdims=True))


def grad_cam_plus_plus(maps: tf.Tensor, value: Value) -> tf.Tensor:
    """Grad-CAM++: the weight of a channel is a sum of its positive gradients g, each times alpha.

    alpha = g^2 / (2 g^2 + g^3 sum(A)), where A is the channel's map: the second and third
    derivatives of exp(value) by the maps, from whose ratio exp(value) cancels (Chattopadhay et al.
    2018, https://arxiv.org/abs/1710.11063, equations 10 to 12 and 19). Where a gradient is 0, so
    is alpha.

    Takes and returns what ``grad_cam`` does.
    """
    maps, gradient = _gradient(maps, value)
    total = tf.reduce_sum(maps, (1, 2), keepdims=True)
    # g^2 is divided out of alpha. The paper's maps are not negative; where a sum of ours is, the
    # term counts as 0, so that alpha has no pole.
    alpha = tf.where(gradient != 0.0, 1.0 / (2.0 + tf.nn.relu(gradient * total)), 0.0)
    return _positive(maps, tf.reduce_sum(alpha * tf.nn.relu(gradient), (1, 2), keepdims=True))


def _gradient(maps: tf.Tensor, value: Value) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.GradientTape() as tape:
        # A tape watches variables only unless it is told.
        tape.watch(maps)
        values = value(maps)
    gradient = tape.gradient(values, maps)
    return tf.cast(maps, tf.float32), tf.cast(gradient, tf.float32)


def _positive(maps: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1))
    # A map without positive places has the maximum 0.
    return tf.math.divide_no_nan(heat, tf.reduce_max(heat, (1, 2), keepdims=True))

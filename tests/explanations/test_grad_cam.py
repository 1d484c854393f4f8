"""Grad-CAM and Grad-CAM++: maps worked out by hand, eagerly and in graphs of any batch size."""

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.explanations.grad_cam import grad_cam, grad_cam_plus_plus

MAPS = np.float32(
    [
        [[[1, 0], [0, 2]], [[3, 1], [0, 0]]],
        [[[0, 5], [4, 0]], [[2, 0], [0, 1]]],
    ]
)
"""Two images, 2 x 2 places, two channels."""


def in_graph(formula, value):
    spec = tf.TensorSpec([None, None, None, 2], tf.float32)
    return tf.function(lambda maps: formula(maps, value), input_signature=[spec])


def pooled(weights):
    """A linear head on mean pooling: its gradient is weights / 4 at each place."""
    return lambda maps: tf.linalg.matvec(tf.reduce_mean(maps, (1, 2)), tf.constant(weights))


@pytest.mark.parametrize("graph", [False, True])
def test_grad_cam_of_a_linear_head_is_the_class_activation_map(graph):
    """CAM (Zhou et al. 2016): relu(sum of weight times map), over its maximum."""
    weights = np.float32([2, -1])
    formula = lambda maps: grad_cam(maps, lambda x: pooled(weights[None])(x)[:, 0])  # noqa: E731
    if graph:
        formula = in_graph(grad_cam, lambda x: pooled(weights[None])(x)[:, 0])

    found = formula(tf.constant(MAPS))

    # 2 a - b: [[2, -2], [5, 0]] and [[-5, 8], [4, -1]].
    wanted = [[[0.4, 0], [1, 0]], [[0, 1], [0.5, 0]]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("graph", [False, True])
def test_grad_cam_plus_plus_of_a_linear_head(graph):
    """g = w / 4 everywhere, so alpha = 1 / (2 + g sum(A)), and a channel weighs 4 alpha relu(g)."""
    weights = np.float32([2, 1])
    value = lambda x: pooled(weights[None])(x)[:, 0]  # noqa: E731
    formula = in_graph(grad_cam_plus_plus, value) if graph else None
    found = formula(tf.constant(MAPS)) if graph else grad_cam_plus_plus(tf.constant(MAPS), value)

    # Sums of the channels: (4, 3) and (6, 6); g = (1/2, 1/4).
    first = np.array([4 * 0.5 / (2 + 0.5 * 4), 4 * 0.25 / (2 + 0.25 * 3)])
    second = np.array([4 * 0.5 / (2 + 0.5 * 6), 4 * 0.25 / (2 + 0.25 * 6)])
    wanted = np.stack([MAPS[0] @ first, MAPS[1] @ second])
    wanted /= wanted.max((1, 2), keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_what_speaks_against_a_class_is_no_heat():
    """A negative weight raises nothing, and a map without positive places is 0, not NaN."""
    for formula in (grad_cam, grad_cam_plus_plus):
        found = formula(tf.constant(MAPS), lambda x: pooled(np.float32([[-1, -1]]))(x)[:, 0])
        np.testing.assert_array_equal(found, np.zeros((2, 2, 2)))


def test_alpha_is_0_where_the_gradient_is():
    """Channel 0 is seen at one place, channel 1 at three, which share the gradient of a maximum."""
    maps = np.zeros((1, 3, 3, 2), "float32")
    maps[0, 0, 0, 0] = 1
    maps[0, 2, :, 1] = 1
    maps[0, 1, 1] = 0.5, 0.25  # less than the maximum, so without gradient
    value = lambda x: tf.reduce_sum(tf.reduce_max(x, (1, 2)), axis=1)  # noqa: E731

    found = grad_cam_plus_plus(tf.constant(maps), value).numpy()[0]

    # g is 1 at one place, and 1/3 at three; sums of the channels are 1.5 and 3.25.
    weights = np.array([1 / (2 + 1.5), 3 * (1 / 3) / (2 + 3.25 / 3)])
    wanted = maps[0] @ weights
    np.testing.assert_allclose(found, wanted / wanted.max(), rtol=1e-5)

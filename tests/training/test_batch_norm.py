"""Batch normalization with the statistics of a target domain."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.training.batch_norm import adapt_batch_norm


def network():
    """A frozen network within another one; two batch normalizations, and dropout before each."""
    keras.utils.set_random_seed(0)
    x = given = keras.Input((4,))
    x = layers.Dropout(0.5)(x)
    x = layers.BatchNormalization(name="first", epsilon=1e-5)(x)
    backbone = keras.Model(given, layers.Dense(3, activation="relu", name="dense")(x))
    backbone.trainable = False
    pixels = keras.Input((4,), name="pixels")
    x = layers.Dropout(0.5)(backbone(pixels))
    x = layers.BatchNormalization(name="second", epsilon=1e-5)(x)
    model = keras.Model({"pixels": pixels}, {"label": layers.Dense(2)(x)})
    return model, backbone.get_layer("first"), model.get_layer("second"), backbone


def target(rows=60):
    return np.float32(np.random.default_rng(1).normal(3, 2, size=(rows, 4)))


def batches(x, size):
    return tf.data.Dataset.from_tensor_slices({"pixels": x}).batch(size)


def wanted(x, backbone):
    """Means and variances of both layers, layer by layer, in numpy."""
    kernel, bias = backbone.get_layer("dense").get_weights()
    standard = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    hidden = np.maximum(standard @ kernel + bias, 0)
    return (x.mean(0), x.var(0)), (hidden.mean(0), hidden.var(0))


def test_one_batch_gives_the_exact_statistics_of_both_layers():
    model, first, second, backbone = network()
    x = target()

    assert adapt_batch_norm(model, batches(x, 60)) == 2
    for layer, (mean, variance) in zip((first, second), wanted(x, backbone), strict=True):
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-4)


def test_several_batches_are_combined_by_their_sizes():
    """Batches of 25, 25 and 10; the first layer is exact, the second one nearly."""
    model, first, second, backbone = network()
    x = target()
    adapt_batch_norm(model, batches(x, 25))
    (mean, variance), (second_mean, second_variance) = wanted(x, backbone)

    np.testing.assert_allclose(first.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(first.moving_variance, variance, rtol=1e-5)
    np.testing.assert_allclose(second.moving_mean, second_mean, atol=0.15)
    np.testing.assert_allclose(second.moving_variance, second_variance, rtol=0.35)


def test_nothing_else_changes():
    model, first, second, _ = network()
    flags = [[w.trainable for w in layer.weights] for layer in model._flatten_layers()]
    others = [w for w in model.weights if "moving" not in w.path]
    before = [keras.ops.convert_to_numpy(w).copy() for w in others]
    adapt_batch_norm(model, batches(target(), 60))

    assert [[w.trainable for w in layer.weights] for layer in model._flatten_layers()] == flags
    assert (first.trainable, second.trainable) == (False, True)
    for weight, value in zip(others, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    # The layers act as before: predictions do not depend on what else is in a batch.
    x = target()
    alone = model.predict({"pixels": x[:1]}, verbose=0)["label"]
    together = model.predict({"pixels": x}, verbose=0)["label"]
    np.testing.assert_allclose(alone, together[:1], rtol=1e-4, atol=1e-6)


def test_images_are_measured_over_all_places():
    pixels = keras.Input((5, 5, 2))
    model = keras.Model(pixels, layers.BatchNormalization(name="norm")(pixels))
    x = np.float32(np.random.default_rng(2).normal(1, 3, size=(30, 5, 5, 2)))
    adapt_batch_norm(model, [x[:20], x[20:]])

    norm = model.get_layer("norm")
    np.testing.assert_allclose(norm.moving_mean, x.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, x.var((0, 1, 2)), rtol=1e-4)


def test_a_network_without_batch_normalization_is_refused():
    pixels = keras.Input((4,))
    model = keras.Model(pixels, layers.Dense(2)(pixels))
    with pytest.raises(BadConfiguration, match="has no batch normalization"):
        adapt_batch_norm(model, [target()])


def test_no_examples_are_refused():
    model, *_ = network()
    with pytest.raises(BadData, match="no examples"):
        adapt_batch_norm(model, [])

"""Gradient reversal with a schedule, domain classifiers and products of features and classes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.networks.domain_layers import MultilinearMap, decode, discriminate
from keras_transfer.networks.layers import GradientReversal, ScheduledGradientReversal


def gradient(layer, training=False):
    x = tf.constant([[1.0, -2.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x, training=training) * [3.0, 5.0])
    return tape.gradient(total, x).numpy()[0]


class TestScheduledGradientReversal:
    @pytest.mark.parametrize(
        ("done", "factor"),
        [(0, 0.0), (50, 2 / (1 + np.exp(-5)) - 1), (100, 2 / (1 + np.exp(-10)) - 1), (500, None)],
    )
    def test_the_factor_grows_from_0_to_almost_1(self, done, factor):
        """At p = 0, 1/2, 1, and beyond the end."""
        layer = ScheduledGradientReversal(100, factor=0.5)
        layer.build((None, 2))
        layer.count.assign(done)
        factor = 2 / (1 + np.exp(-10)) - 1 if factor is None else factor

        assert gradient(layer) == pytest.approx([-1.5 * factor, -2.5 * factor], rel=1e-6)

    def test_only_training_counts(self):
        layer = ScheduledGradientReversal(100)
        step = tf.function(lambda x, training: layer(x, training=training))
        x = tf.ones((2, 3))
        for training in (True, False, True, True):
            np.testing.assert_array_equal(step(x, training), x)

        assert int(layer.count) == 3
        assert layer.trainable_weights == []

    def test_it_equals_the_plain_one_at_the_end(self):
        layer = ScheduledGradientReversal(1, factor=2.0)
        gradient(layer, training=True)

        assert gradient(layer) == pytest.approx(gradient(GradientReversal(2.0)), rel=1e-3)

    def test_it_is_restored_from_its_settings(self):
        layer = ScheduledGradientReversal(7, factor=0.3, name="turn")
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))

        assert copy.get_config() == layer.get_config()


class TestMultilinearMap:
    def test_all_products_of_features_and_probabilities(self):
        """Softmax of (log 3, 0) is (3/4, 1/4)."""
        found = MultilinearMap()([np.float32([[4, 8, -4]]), np.float32([[np.log(3), 0]])])

        assert found.numpy() == pytest.approx(np.array([[3, 1, 6, 2, -3, -1]]), rel=1e-6)

    def test_random_products_keep_inner_products(self):
        """<T(f, g), T(f', g')> is <f, f'> <g, g'> in the mean over the random matrices."""
        keras.utils.set_random_seed(0)
        features = np.full((1, 1000), 0.05, "float32")
        logits = np.zeros((1, 5), "float32")
        layer = MultilinearMap()
        found = layer([features, logits]).numpy()

        assert found.shape == (1, 1024) == layer.compute_output_shape(((1, 1000), (1, 5)))
        # |f|^2 = 2.5 and |g|^2 = 5 / 25; the deviation of a mean of 1,024 products is about 9 %.
        assert (found**2).sum() == pytest.approx(0.5, rel=0.3)
        assert layer.trainable_weights == []
        np.testing.assert_array_equal(layer([features, logits]), found)

    def test_probabilities_have_no_gradient(self):
        features, logits = tf.ones((2, 3)), tf.constant([[1.0, 2], [0, 3]])
        with tf.GradientTape() as tape:
            tape.watch([features, logits])
            total = tf.reduce_sum(MultilinearMap()([features, logits]) ** 2)
        found, none = tape.gradient(total, [features, logits])

        assert (found.numpy() != 0).all()
        assert none is None


@pytest.mark.parametrize(("channels", "width"), [(16, 64), (256, 1024), (2048, 1024)])
def test_a_domain_classifier_is_as_wide_as_its_input_needs(channels, width):
    features = keras.Input((channels,))
    model = keras.Model(features, discriminate(features))

    assert [layer.units for layer in model.layers[1:]] == [width, width, 1]
    assert model.output_shape == (None, 1)


def test_a_decoder_gives_decoded_and_true_features():
    code, features = keras.Input((3,)), keras.Input((7,))
    model = keras.Model([code, features], decode(code, features))
    true = np.float32(np.random.default_rng(0).normal(size=(2, 7)))
    found = model.predict([np.ones((2, 3), "float32"), true], verbose=0)

    assert found.shape == (2, 14)
    np.testing.assert_array_equal(found[:, 7:], true)

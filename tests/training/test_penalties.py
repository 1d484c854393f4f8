"""L2-SP, by numbers worked out by hand."""

import keras
import numpy as np
import pytest

from keras_transfer.networks.network import BACKBONE, Network
from keras_transfer.training.penalties import PenaltyFreeValidation, l2_sp, origin


@pytest.fixture
def network():
    """A backbone that doubles, a head that adds up; both have biases."""
    inputs = keras.Input((2,))
    dense = keras.layers.Dense(2, kernel_initializer=keras.initializers.Constant(2.0), name="b")
    backbone = keras.Model(inputs, dense(inputs), name="backbone")
    outer = keras.Input((2,))
    head = keras.layers.Dense(
        1, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(0.25), name="head"
    )
    model = keras.Model(outer, head(backbone(outer)))
    return Network(model, model, {BACKBONE: backbone})


def test_the_penalty_is_half_the_squared_distance(network):
    start = origin(network)
    kernel = network.backbone.get_layer("b").kernel
    kernel.assign([[2.0, 3.0], [2.0, 0.0]])  # 1 and 2 away: 5 together

    assert [float(one) for one in network.model.losses] == pytest.approx([0.25 * 2])
    with l2_sp(network, start, backbone=0.1, head=0.3):
        # the head's own 0.25 * 2, and 0.3 / 2 * 2; the backbone's 0.1 / 2 * 5
        assert sum(map(float, network.model.losses)) == pytest.approx(0.5 + 0.3 + 0.25)
    assert [float(one) for one in network.model.losses] == pytest.approx([0.5])


def test_what_does_not_train_is_not_pulled(network):
    start = origin(network)
    network.backbone.trainable = False

    with l2_sp(network, start, backbone=1.0, head=0.0):
        assert len(network.model.losses) == 1


def test_in_fit_it_pulls_weights_back_to_where_they_came_from(network):
    """With no other gradient, a step of SGD at rate 0.1 takes 0.1 * alpha of the distance."""
    start = origin(network)
    kernel = network.backbone.get_layer("b").kernel
    kernel.assign([[3.0, 2.0], [2.0, 1.0]])
    x = np.zeros((3, 2), "float32")
    with l2_sp(network, start, backbone=0.5, head=0.0):
        network.model.compile(keras.optimizers.SGD(0.1), "mse")
        network.model.fit(x, np.zeros((3, 1)), batch_size=2, steps_per_epoch=1, verbose=0)

    np.testing.assert_allclose(kernel, [[2.95, 2.0], [2.0, 1.05]], rtol=1e-6)


def test_validation_leaves_penalties_out():
    """Of a weight of 3 with L2(0.5) at a rate of 0: 4.5 is added to the loss, not to val_loss."""
    inputs = keras.Input((1,))
    dense = keras.layers.Dense(1, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.5))
    model = PenaltyFreeValidation(inputs, dense(inputs))
    model.set_weights([np.float32([[3]])])
    model.compile(keras.optimizers.SGD(0.0), loss="mse")
    x, y = np.ones((4, 1)), np.zeros((4, 1))  # an error of 9

    history = model.fit(x, y, batch_size=3, validation_data=(x, y), verbose=0).history

    assert history["loss"] == pytest.approx([13.5])
    assert history["val_loss"] == pytest.approx([9])
    assert model.evaluate(x, y, verbose=0) == pytest.approx(9)
    assert [float(one) for one in model.losses] == pytest.approx([4.5])

"""Rates by block, by updates worked out by hand."""

import keras
import numpy as np
import pytest

from keras_transfer.networks.backbones import build_backbone
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.network import build_network
from keras_transfer.training.layer_rates import layer_factors
from keras_transfer.training.optimizers import OPTIMIZERS, build_optimizer


@pytest.fixture(scope="module")
def network():
    backbone = build_backbone("convnet_small", image_size=16)
    return build_network(backbone, {"label": build_head(2)}, preprocessing="tf")


def test_the_head_has_the_whole_rate_and_each_block_before_it_less(network):
    factor_of = layer_factors(network, 0.5)
    stretches = blocks(network.backbone)

    for depth, name in enumerate(reversed(stretches), start=1):
        factors = {factor_of(v) for layer in stretches[name] for v in layer.variables}
        assert factors == {0.5**depth}, name
    assert {factor_of(v) for v in network.model.get_layer("logits").variables} == {1.0}


def test_matrices_of_lora_have_the_rate_of_their_block():
    backbone = build_backbone("convnet_small", image_size=16)
    network = build_network(backbone, {"label": build_head(2)}, preprocessing="tf")
    network.freeze("block2", trainable="lora")
    network.enable_lora(2, None, 0)

    factor_of = layer_factors(network, 0.5)

    factors = {weight.path[:6]: factor_of(weight) for weight in backbone.trainable_variables}
    assert factors == {"block2": 0.25, "block3": 0.5}


def pair():
    return keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="other_kernel")


def optimizer_for(name, halved, **settings):
    return build_optimizer(name, factor_of=lambda v: 0.5 if v is halved else 1.0, **settings)


def test_sgd_takes_half_a_step():
    one, half = pair()
    optimizer = optimizer_for("sgd", half, learning_rate=0.1, momentum=0.0)

    optimizer.apply([keras.ops.ones(1)] * 2, [one, half])

    assert [float(one[0]), float(half[0])] == pytest.approx([0.9, 0.95])


def test_adam_takes_half_a_step_too():
    """Its first step has the length of the rate, whatever the gradient is."""
    one, half = pair()
    optimizer = optimizer_for("adam", half, learning_rate=0.1)

    optimizer.apply([keras.ops.ones(1) * 7] * 2, [one, half])

    assert [float(one[0]), float(half[0])] == pytest.approx([0.9, 0.95], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "setting"), [("sgd", "weight_decay"), ("muon", "adam_weight_decay")]
)
def test_weight_decay_follows_the_rate(name, setting):
    """Rate 0.1 times decay 0.5 takes 5 % of the one, half of that of the other."""
    one, half = pair()
    optimizer = optimizer_for(name, half, learning_rate=0.1, weight_decay=0.5)

    optimizer.apply([keras.ops.zeros(1)] * 2, [one, half])

    assert [float(one[0]), float(half[0])] == pytest.approx([0.95, 0.975])
    assert getattr(optimizer, setting) == 0.5


QUICK = ("sgd", "adam", "adafactor", "muon")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
        for name in OPTIMIZERS
        if name != "ftrl"
    ],
)
def test_in_fit_a_factor_of_one_changes_nothing_and_a_small_one_nearly_stops(name):
    """Compiled, with a batch size that the graph does not know."""

    def fitted(factor):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((4,))
        hidden = keras.layers.Dense(3, name="first")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(1, name="last")(hidden))
        start = model.get_weights()
        first = {id(v) for v in model.get_layer("first").variables}
        factor_of = None if factor is None else lambda v: factor if id(v) in first else 1.0
        model.compile(build_optimizer(name, learning_rate=0.01, factor_of=factor_of), "mse")
        x = np.random.default_rng(0).normal(size=(7, 4))
        model.fit(x, x.sum(1), batch_size=4, epochs=2, verbose=0, shuffle=False)
        return start, model.get_weights()

    (start, plain), (_, same), (_, slow) = fitted(None), fitted(1.0), fitted(1e-9)

    for one, other in zip(plain, same, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    np.testing.assert_allclose(slow[0], start[0], atol=1e-6)
    assert np.abs(plain[0] - start[0]).max() > 1e-5
    assert np.abs(slow[2] - start[2]).max() > 1e-5

"""Networks: named inputs and outputs, backbones by name, cuts that keep every output."""

import keras
import numpy as np
import pytest

from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.backbones import build_backbone
from keras_transfer.networks.heads import POOLINGS, build_head
from keras_transfer.networks.network import Network, build_network

PIXELS = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype("float32")


@pytest.fixture
def network():
    """Two heads of two and of one unit on one backbone."""
    keras.utils.set_random_seed(0)
    backbone = build_backbone("convnet_small", image_size=16)
    heads = {
        "kind": build_head(2, pooling=None, prefix="output1_"),
        "price": build_head(1, pooling=None, units=(4,), prefix="output2_"),
    }
    return build_network(backbone, heads, preprocessing="tf", pool=POOLINGS["avg"])


def outputs(model, inputs):
    return {name: x.numpy() for name, x in model(inputs, training=False).items()}


def test_each_head_is_an_output_of_its_name(network):
    found = outputs(network.model, {"pixels": PIXELS})

    assert {name: x.shape for name, x in found.items()} == {"kind": (3, 2), "price": (3, 1)}
    assert network.predictor is network.model
    assert list(network.backbones) == ["backbone"]


@pytest.mark.parametrize("unfreeze", [None, "block3", "block2"])
def test_a_cut_keeps_every_output(network, unfreeze):
    network.freeze(unfreeze)
    wanted = outputs(network.model, {"pixels": PIXELS})

    cut = network.cut()
    features = cut.frozen(PIXELS, training=False)
    found = outputs(cut.trainable, {"features": features})

    assert cut.inputs == ("pixels",)
    assert not cut.frozen.trainable_weights
    assert len(cut.trainable.trainable_weights) == len(network.model.trainable_weights)
    for name, values in wanted.items():
        assert found[name] == pytest.approx(values, abs=1e-6)


def test_heads_share_one_pooling_which_runs_once(network):
    network.freeze(None)

    cut = network.cut()
    assert (cut.boundary, cut.frozen.output_shape) == ("pool", (None, 128))


def test_where_everything_trains_there_is_no_cut(network):
    network.freeze("all")

    assert network.cut() is None


def test_freezing_is_that_of_the_backbone(network):
    """block3 of convnet_small: two convolutions of 3 x 3, 64 and 128 to 128 channels."""
    network.freeze("block3")

    kernels = [w.shape for w in network.backbone.trainable_weights if len(w.shape) == 4]
    assert kernels == [(3, 3, 64, 128), (3, 3, 128, 128)]


def test_a_stored_network_is_recognized(network, tmp_path):
    network.model.save(tmp_path / "m.keras")

    again = Network.of(keras.saving.load_model(tmp_path / "m.keras"))

    assert again.backbone.name == "backbone"
    found, wanted = (outputs(x.model, {"pixels": PIXELS}) for x in (again, network))
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)


def test_a_model_of_version_1_gets_names():
    """It had one tensor in and one out; it shares its layers and has the same values."""
    inputs = keras.Input((16, 16, 3), name="pixels")
    backbone = build_backbone("convnet_small", image_size=16)
    logits = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(backbone(inputs)))
    old = keras.Model(inputs, logits)

    network = Network.of(old)

    found = outputs(network.model, {"pixels": PIXELS})
    np.testing.assert_array_equal(found["label"], old(PIXELS, training=False))
    assert network.backbone is backbone


def test_a_model_without_backbone_is_refused():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs), name="other")

    with pytest.raises(BadConfiguration, match=r"model 'other' has no layer called 'backbone'"):
        Network.of(model)

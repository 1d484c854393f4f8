"""Parts of backbones that end at a block or layer."""

import keras
import numpy as np
import pytest

from keras_transfer import UnknownName
from keras_transfer.networks.backbones import build_backbone
from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.layer_outputs import up_to


def test_an_addition_that_is_no_layer_belongs_to_its_block():
    """As in ConvNeXt. The layers multiply by 2, 3 and 5; before the third, two are added."""
    given = keras.Input((1, 1, 1))
    first = keras.layers.Conv2D(1, 1, name="first")(given)
    second = keras.layers.Conv2D(1, 1, name="second")(first)
    joined = second + first
    network = keras.Model(given, keras.layers.Conv2D(1, 1, name="third")(joined))
    for name, factor in {"first": 2, "second": 3, "third": 5}.items():
        network.get_layer(name).set_weights([np.full((1, 1, 1, 1), factor), np.zeros(1)])

    assert [*blocks(network)] == ["first", "second", "third"]
    ones = np.ones((1, 1, 1, 1))
    ends = {name: float(up_to(network, name)(ones).numpy().item()) for name in blocks(network)}
    assert ends == {"first": 2, "second": 2 * 3 + 2, "third": 5 * 8}


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("densenet121", "convnext_tiny")]


@pytest.mark.parametrize("name", ["mobilenet_v2", *SLOW])
def test_nothing_but_its_end_leaves_a_block(name):
    """A network that is called from the end of a block on gives what the full one gives."""
    network = build_backbone(name, image_size=32)
    block = [*blocks(network)][-3]
    end = up_to(network, block)
    rest = keras.Model(end.output, network.output)
    pixels = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(rest(end(pixels)), network(pixels), rtol=1e-3, atol=1e-5)


def test_a_layer_is_taken_as_it_is():
    network = build_backbone("convnet_small", image_size=16)
    assert up_to(network, "block2").output is network.get_layer("block2_pool").output
    assert up_to(network, "block2_conv1").output is network.get_layer("block2_conv1").output
    with pytest.raises(UnknownName, match="Did you mean 'block2'"):
        up_to(network, "blok2")

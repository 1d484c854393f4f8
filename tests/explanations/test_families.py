"""Maps of networks of each family, by the gradient at maps or at tokens of patches."""

import keras
import numpy as np
import pytest
from hub_networks import TINY

from keras_transfer.explanations.attribution import METHODS
from keras_transfer.explanations.halves import halves
from keras_transfer.explanations.subject import Subject
from keras_transfer.networks.fused import build_fused_network
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.network import Network, build_network
from keras_transfer.networks.token_pooling import pooling_of

QUICK = {"vit", "hgnetv2"}
FAMILIES = [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow, id=name) for name in TINY
]


def images(size):
    return np.random.default_rng(0).integers(0, 256, (3, size, size, 3)).astype("float32")


def check(network, size):
    """The halves give what the network does, and the maps are not the same everywhere."""
    x = images(size)
    parts = halves(network)
    maps, tokens = parts.maps({"pixels": x})
    assert maps.shape[1] == maps.shape[2] > 1
    found = parts.outputs(maps, tokens)["label"]
    wanted = network.predictor({"pixels": x}, training=False)["label"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    subject = Subject(network, "label", "softmax")
    for method in ("grad_cam", "grad_cam++"):
        heat = METHODS[method].make(subject)(x, np.array([0, 1, 2], "int32")).pixels
        assert heat.shape == (3, size, size)
        assert np.isfinite(heat).all()
        assert np.ptp(heat) > 0
    return parts


@pytest.mark.parametrize("family", FAMILIES)
def test_families_of_keras_hub(family):
    pytest.importorskip("keras_hub")
    from keras_transfer.networks.hub import HubBackbone

    config, size, prefix = TINY[family]
    keras.utils.set_random_seed(0)
    backbone = HubBackbone(family, config, size, prefix_tokens=prefix)
    # By the class token: behind the last block the tokens of patches have no gradient at all.
    pool = pooling_of("avg" if prefix is None else "token", prefix)
    heads = {"label": build_head(3, pooling=None)}
    network = build_network(backbone, heads, preprocessing="tf", pool=pool)

    parts = check(network, size)

    blocks = {"siglip": 0, "deit": 2, "dinov3": 5}.get(family, 1)
    assert parts.prefix == (None if prefix is None else blocks)


def application(name, size, **more):
    build = getattr(keras.applications, name)
    return build(include_top=False, weights=None, input_shape=(size, size, 3), **more)


def test_a_network_that_was_written_to_a_file(tmp_path):
    keras.utils.set_random_seed(0)
    inner = application("MobileNetV2", 96, alpha=0.35)
    backbone = keras.Model(inner.input, inner.output, name="backbone")
    network = build_network(backbone, {"label": build_head(3)}, preprocessing="tf")
    network.predictor.save(tmp_path / "network.keras")

    check(Network.of(keras.models.load_model(tmp_path / "network.keras")), 96)


def test_fused_backbones_and_the_mean_of_several_heads():
    """The maps of both stand side by side; the value is the mean over the heads."""
    keras.utils.set_random_seed(0)
    parts = []
    for number in (1, 2):
        given = keras.Input((16, 16, 3))
        maps = keras.layers.Conv2D(4, 3, 4, "same", activation="relu")(given)
        parts.append((keras.Model(given, maps, name=f"small{number}"), "tf"))
    pool = pooling_of("avg", None)
    heads = {"label": build_head(3, pooling=None, members=3)}

    found = check(build_fused_network(parts, pool, heads), 16)

    assert found.graphs[-1].output_shape == (None, 4, 4, 8)

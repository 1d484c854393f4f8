import sys

import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from keras_transfer.errors import UnknownName
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.preprocessing import MEAN, PREPROCESSINGS, STD, preprocess
from keras_transfer.networks.weights import load_backbone_weights

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype("float32")
COMPARED = [  # EfficientNet is below: its preprocess_input does nothing, its ImageNet graph does
    name
    for name, row in BACKBONES.items()
    if row.preprocessing != "efficientnet" and "keras.applications" in row.constructor
]


def in_graph(mode, shape=(None, None, 3)):
    pixels = keras.Input(shape)
    return keras.Model(pixels, preprocess(pixels, mode))


def theirs(constructor):
    module = sys.modules[getattr(keras.applications, constructor).__module__]
    return module.preprocess_input


@pytest.mark.parametrize("name", COMPARED)
def test_pixels_become_what_the_networks_own_preprocess_input_makes_of_them(name):
    row = BACKBONES[name]
    expected = theirs(row.constructor.partition(":")[2])(PIXELS.copy())

    np.testing.assert_allclose(in_graph(row.preprocessing)(PIXELS), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("tf", [0, 127.5, 255], [-1, 0, 1]),
        ("caffe", [123.68, 116.779, 103.939], [0, 0, 0]),
        ("caffe", [255, 0, 0], [-103.939, -116.779, 255 - 123.68]),
        ("torch", [255 * 0.485, 255 * 0.456, 255 * (0.406 + 0.225)], [0, 0, 1]),
        ("none", [1, 2, 3], [1, 2, 3]),
        ("efficientnet", [255 * 0.485, 255 * 0.456, 255 * 0.406], [123.675, 116.28, 103.53]),
    ],
)
def test_pixels_worked_out_by_hand(mode, pixel, expected):
    result = in_graph(mode)(np.array(pixel, "float32").reshape(1, 1, 1, 3))

    np.testing.assert_allclose(np.ravel(result), expected, atol=1e-4)


def test_efficientnet_computes_what_keras_computes_with_imagenet_weights(tmp_path, monkeypatch):
    """Keras adds a layer behind the normalisation when it fetches the ImageNet weights itself."""
    file = tmp_path / "weights.h5"
    keras.utils.set_random_seed(0)
    network = keras.applications.EfficientNetB0(False, weights=None, input_shape=(32, 32, 3))
    network.get_layer(index=2).set_weights([np.array(MEAN), np.array(STD), np.array(0)])
    legacy_h5_format.save_model_to_hdf5(network, str(file))
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(file))
    reference = keras.applications.EfficientNetB0(False, "imagenet", input_shape=(32, 32, 3))
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")

    backbone = build_backbone("efficientnet_b0", image_size=32)
    load_backbone_weights(backbone, str(file), name="efficientnet_b0")
    ours = backbone(in_graph("efficientnet")(pixels))

    expected = reference(pixels).numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, atol=1e-3 * scale)
    assert np.abs(backbone(pixels) - expected).max() > 0.1 * scale  # it matters


@pytest.mark.parametrize("mode", PREPROCESSINGS)
def test_it_stays_float32_under_mixed_precision(mode):
    """bfloat16 has 8 bits: 201 would become 200 or 202."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = in_graph(mode)(PIXELS)
    finally:
        keras.config.set_dtype_policy("float32")

    np.testing.assert_array_equal(mixed, in_graph(mode)(PIXELS))


@pytest.mark.parametrize("mode", PREPROCESSINGS)
def test_it_survives_saving(mode, tmp_path):
    model = in_graph(mode, (5, 4, 3))
    model.save(tmp_path / "model.keras")

    again = keras.saving.load_model(tmp_path / "model.keras")

    np.testing.assert_array_equal(again(PIXELS), model(PIXELS))
    assert not [one for one in again.layers if isinstance(one, keras.layers.Lambda)]


def test_a_wrong_mode_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'caffe'"):
        in_graph("cafe")

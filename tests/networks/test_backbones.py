import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.networks.backbones import BACKBONES, build_backbone, checked_variant


def test_every_classifier_of_keras_applications_has_a_row():
    theirs = {
        name
        for name in dir(keras.applications)
        if name[0].isupper() and callable(getattr(keras.applications, name))
    }

    ours = {row.constructor.partition(":")[2] for row in BACKBONES.values()}
    ours -= {""}  # networks of KerasHub

    assert ours == theirs | {"convnet_small"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("resnet50v2", "resnet50_v2"),
        ("ResNet50", "resnet50"),
        ("efficientnetb0", "efficientnet_b0"),
        ("mobilenetv2", "mobilenet_v2"),
        ("vgg15", "vgg1"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(typed, meant):
    with pytest.raises(UnknownName, match=f"Did you mean '{meant}"):
        build_backbone(typed, image_size=64)


def test_the_native_size_is_the_default():
    assert build_backbone("mobilenet", variant={"alpha": 0.25}).input_shape == (None, 224, 224, 3)


def test_alpha_makes_a_mobilenet_thinner():
    """First layer of MobileNet: 32 filters, times alpha."""
    backbone = build_backbone("mobilenet", image_size=32, variant={"alpha": 0.25})

    assert backbone.get_layer("conv1").kernel.shape == (3, 3, 3, 8)


def test_minimalistic_takes_the_squeezing_out():
    backbone = build_backbone("mobilenet_v3_small", image_size=32, variant={"minimalistic": True})

    assert not [layer.name for layer in backbone.layers if "squeeze" in layer.name]


def test_an_unknown_option_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match=r"variant option of mobilenet is called 'alfa'.*'alpha'"):
        build_backbone("mobilenet", variant={"alfa": 0.5})


def test_a_network_without_variants_says_so():
    with pytest.raises(BadConfiguration, match="vgg16 has no variants"):
        build_backbone("vgg16", variant={"alpha": 0.5})


def test_a_value_without_published_weights_is_refused():
    with pytest.raises(BadConfiguration, match=r"one of 0.25, 0.5, 0.75, 1.0; got 0.3"):
        build_backbone("mobilenet", variant={"alpha": 0.3})


def test_defaults_are_no_variant():
    assert checked_variant("mobilenet_v2", {"alpha": 1}) == {}
    assert checked_variant("mobilenet_v3_small", {"alpha": 0.75, "minimalistic": 0}) == {
        "alpha": 0.75
    }


def test_a_backbone_answers_the_same_in_training_and_in_inference():
    """EfficientNet drops whole branches in training; batch normalisation apart, ours does not."""
    backbone = build_backbone("efficientnet_b0", image_size=32)
    for layer in backbone.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")

    np.testing.assert_array_equal(backbone(images, training=True), backbone(images))


def test_the_table_is_read_without_keras():
    code = """if True:
        import sys
        from keras_transfer.networks import backbones, blocks, freezing, imagenet, weights
        backbones.BACKBONES["vgg16"]
        imagenet.where("vgg16")
        sys.exit("keras" in sys.modules or "tensorflow" in sys.modules or "h5py" in sys.modules)
    """

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

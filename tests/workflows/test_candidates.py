"""Backbones as the command line names them, and those whose weights are on this machine."""

import pytest

from keras_transfer import Backbone
from keras_transfer.errors import BadConfiguration, BadWeights, UnknownName
from keras_transfer.networks import imagenet
from keras_transfer.workflows.candidates import (
    candidates,
    label,
    local_backbones,
    option_text,
    parsed,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vgg16", Backbone("vgg16")),
        (" vgg16 ", Backbone("vgg16")),
        ("vgg16=/w/vgg.weights.h5", Backbone("vgg16", weights="/w/vgg.weights.h5")),
        ("vgg16=C:\\w\\vgg.h5", Backbone("vgg16", weights="C:\\w\\vgg.h5")),
        ("mobilenet_v2:alpha=0.35", Backbone("mobilenet_v2", variant={"alpha": 0.35})),
        (
            "mobilenet_v2:alpha=0.35=a=b.h5",
            Backbone("mobilenet_v2", variant={"alpha": 0.35}, weights="a=b.h5"),
        ),
        (
            "mobilenet_v3_small:alpha=0.75:minimalistic=true=run:runs/first",
            Backbone(
                "mobilenet_v3_small",
                variant={"alpha": 0.75, "minimalistic": True},
                weights="run:runs/first",
            ),
        ),
    ],
)
def test_a_backbone_is_read_with_variant_and_weights(text, expected):
    assert parsed(text) == expected
    assert parsed(option_text(expected)) == expected


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("vgg61", UnknownName, "Did you mean 'vgg19'"),
        ("auto", UnknownName, "No backbone"),
        ("mobilenet_v2:alpha=0.36", BadConfiguration, "0.35"),
        ("mobilenet_v2:alpah=0.35", UnknownName, "alpha"),
        ("mobilenet_v2:alpha", BadConfiguration, "names no backbone"),
        ("vgg16=", BadConfiguration, "names no backbone"),
        ("mobilenet_v2:alpha=[", BadConfiguration, "an option has a number"),
        ("", BadConfiguration, "names no backbone"),
    ],
)
def test_a_wrong_one_is_refused(text, error, said):
    with pytest.raises(error, match=said):
        parsed(text)


def test_local_backbones_are_those_in_the_folder_of_keras(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert local_backbones() == []
    with pytest.raises(BadWeights, match=r"weights where mobilenet_v2.*downloads"):
        candidates([])

    for name, variant in (("mobilenet_v2", {"alpha": 0.35}), ("vgg16", {})):
        path = imagenet.where(name, variant).path
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [label(backbone) for backbone in candidates([])] == ["vgg16", "mobilenet_v2 alpha=0.35"]
    with pytest.raises(BadWeights, match=r"resnet50 are not on this machine.*resnet50=FILE"):
        candidates(["vgg16", "resnet50"])
    with pytest.raises(BadConfiguration, match="named twice"):
        candidates(["vgg16", "vgg16"])


def test_weights_that_are_missing_or_random_are_refused(tmp_path):
    with pytest.raises(BadWeights, match="does not exist"):
        candidates([f"convnet_small={tmp_path / 'missing.h5'}"])
    with pytest.raises(BadConfiguration, match="random weights"):
        candidates(["convnet_small=none"])

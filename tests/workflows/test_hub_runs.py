"""Runs on networks of KerasHub, from images to exports."""

import json

import keras
import numpy as np
import pytest
from hub_networks import TINY, row_of
from processes import paint

import keras_transfer
from keras_transfer import Classify, Head, Split, Stage
from keras_transfer.config.groups import ALL_BACKBONES
from keras_transfer.errors import TransferError
from keras_transfer.networks.backbones import BACKBONES

pytest.importorskip("keras_hub")

QUICK = {"vit", "hgnetv2"}
FAMILIES = [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow, id=name) for name in TINY
]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "images"
    paint(folder, blue=16, red=16)
    return folder


def recipe(images, size, pooling="avg"):
    return Classify(
        data=str(images),
        backbone="tiny",
        weights="none",
        image_size=size,
        batch_size=8,
        resize="crop",
        split=Split(val=0.25, test=0.25),
        head=Head(pooling=pooling),
        stages=(Stage("head", epochs=1), Stage("tune", epochs=1, unfreeze=0.4)),
        engine="keras",
    )


@pytest.fixture
def tiny(monkeypatch):
    def add(family):
        for table in (BACKBONES, ALL_BACKBONES):
            monkeypatch.setitem(table, "tiny", row_of(family))
        return TINY[family]

    return add


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_and_its_exports(family, tiny, images, tmp_path):
    """Exports are written only if they answer as the model does."""
    _, size, prefix = tiny(family)
    run = recipe(images, size, "token" if prefix else "avg").run(name="tiny", out=tmp_path / "run")
    for format in ("saved_model", "litert", "onnx"):
        keras_transfer.export(run, tmp_path / format, format=format)
    model = keras_transfer.load(run.folder)
    scores = model.predict([images / "red" / "0.png"])
    assert len(scores) == 1
    keras.backend.clear_session()


def test_the_backbone_of_a_run_is_the_weights_of_another(tiny, images, tmp_path):
    _, size, _ = tiny("vit")
    whole = recipe(images, size).run(name="tiny", out=tmp_path / "whole")
    short = recipe(images, size).changed(stages=recipe(images, size).stages[:1])
    first = short.run(name="tiny", out=tmp_path / "short")
    weights = f"run:{first.folder}"
    lora = Stage("tune", epochs=1, unfreeze="encoder_block_1", lora=2)
    tuned = recipe(images, size).changed(weights=weights, stages=(Stage("head", epochs=1), lora))
    again = tuned.run(name="tiny", out=tmp_path / "again")
    names = [one.path for one in whole.network.backbone.weights]
    assert names == [one.path for one in again.network.backbone.weights]
    parameters = json.loads((again.folder / "run.json").read_text())["parameters"]["tune"]
    assert 0 < parameters["trainable"] < parameters["total"]
    assert all(np.isfinite(one).all() for one in again.network.backbone.get_weights())


def test_class_tokens_are_asked_of_networks_that_have_them(images):
    with pytest.raises(TransferError, match=r"vgg16 has none\. Use avg, or one of dinov2_small"):
        Classify(data=str(images), backbone="vgg16", head=Head(pooling="token"))

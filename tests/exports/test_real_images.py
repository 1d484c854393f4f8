"""Exports of MobileNetV2 with its real weights, on real images."""

import pytest

import keras_transfer
from keras_transfer.exports.formats import FORMATS
from recipes import mobilenet_v2_catsdogs

WAYS = [(form, quantize) for form, row in FORMATS.items() for quantize in row.quantizations]


@pytest.fixture(scope="module")
def run(shared_data, shared_weights, tmp_path_factory):
    """The head alone, for two epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield mobilenet_v2_catsdogs.run(
            data=str(shared_data / "cats_dogs"),
            weights=str(shared_weights / "mobilenet_v2_1.0_224_no_top.weights.h5"),
            stages=[{"name": "head", "epochs": 2, "learning_rate": 1e-3}],
            out=tmp_path_factory.mktemp("real") / "run",
        )


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(("form", "quantize"), WAYS)
def test_every_export_answers_as_the_model_does(run, tmp_path, form, quantize):
    """500 test images; what is quantized may lose a point and a half."""
    found = keras_transfer.export(run, tmp_path, format=form, quantize=quantize).metadata["parity"]

    assert found["examples"] == 500
    assert found["accuracy"] >= found["model_accuracy"] - (0.0 if quantize == "none" else 0.015)
    if quantize == "none":
        assert found["changed"] == 0
        assert found["largest_difference"] < 1e-4

"""``kt-recipe weights``: names and places without TensorFlow, files checked with it."""

import pytest
from click.testing import CliRunner

from keras_transfer.cli.main import main
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.networks.hub_text_backbones import HUB_TEXT_BACKBONES


@pytest.fixture
def said(tmp_path, monkeypatch):
    """A function that runs the command and gives its exit code and all that it printed."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def call(*words):
        result = CliRunner().invoke(main, ["weights", *map(str, words)])
        return result.exit_code, result.output

    return call


def test_where_says_file_url_and_hash(said, tmp_path):
    code, text = said("where", "vgg16")

    assert code == 0
    assert f"{tmp_path}/models/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5  (absent)" in text
    assert "https://" in text
    assert "6d6bbae143d832006294945121d1f1fc" in text


def test_list_says_what_is_there(said, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5").touch()

    code, text = said("list")

    lines = {line.split()[0]: line.split()[1] for line in text.splitlines()}
    assert (code, lines["vgg16"], lines["resnet50"]) == (0, "present", "absent")
    assert set(lines) == {*BACKBONES, *HUB_TEXT_BACKBONES}
    assert lines["minilm"] == "absent"


def test_a_variant_has_a_file_of_its_own(said):
    code, text = said("where", "mobilenet_v2", "--variant", "{alpha: 0.35}")
    assert code == 0
    assert "0.35_224_no_top" in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["where", "vgg61"], 2, "Did you mean"),
        (["where", "mobilenet_v2", "--variant", "alpha"], 2, "should be a mapping"),
        (["where", "mobilenet_v2", "--variant", "{alpha: 2}"], 2, "alpha"),
        (["where", "convnet_small"], 3, "no ImageNet weights"),
        (["verify", "gone.h5", "vgg16"], 3, "gone.h5"),
    ],
)
def test_errors_have_their_code(said, words, code, message):
    found, text = said(*words)
    assert (found, message in text) == (code, True), text


def test_verify_real_weights(said, shared_weights):
    file = shared_weights / "mobilenet_v2_0.35_224_no_top.weights.h5"

    assert said("verify", file, "mobilenet_v2", "--variant", "{alpha: 0.35}")[0] == 0
    code, text = said("verify", file, "mobilenet_v2")
    assert (code, "alpha" in text) == (3, True)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "w.weights.h5"
    build_backbone("convnet_small", image_size=8).save_weights(path)
    return path


def test_verify_takes_name_and_file_in_either_order(said, file):
    told = f"{file} holds weights for convnet_small.\n"

    assert said("verify", "convnet_small", file) == (0, told)
    assert said("verify", file, "convnet_small") == (0, told)


def test_verify_suggests_a_name_in_either_order(said, file):
    for words in (("convnet_smal", file), (file, "convnet_smal")):
        code, text = said("verify", *words)
        assert (code, "Did you mean 'convnet_small'?" in text) == (2, True), text


def test_verify_names_a_file_that_is_not_there_in_either_order(said):
    for words in (("vgg16", "gone.h5"), ("gone.h5", "vgg16")):
        code, text = said("verify", *words)
        assert (code, "The weights file gone.h5 does not exist" in text) == (3, True), text

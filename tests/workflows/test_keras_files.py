"""Runs on a network of the user's, ``FILE.keras``: from training to exports."""

import json
import re
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers

import keras_transfer
from keras_transfer import Backbone, BadConfiguration, BadWeights, Classify, Head, Split, Stage
from keras_transfer.cli.main import main
from keras_transfer.evaluation import predictions


def tutorial():
    """Convolutions inside of a model with augmentation, scaling and a head."""
    inner = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, 2, activation="relu", name="first"),
            layers.Conv2D(6, 3, use_bias=False, name="second"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="active"),
            layers.Conv2D(8, 3, activation="relu", name="third"),
        ],
        name="inner",
    )
    given = keras.Input((16, 16, 3))
    x = layers.RandomFlip()(given)
    x = inner(layers.Rescaling(1 / 255)(x), training=False)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(given, layers.Dense(2)(x))


RECIPE = Classify(
    data="sklearn:digits",
    classes=("0", "1"),
    limit=60,
    split=Split(val=0.2, test=0.2),
    backbone=Backbone("net.keras", preprocessing="none"),
    head=Head(dropout=0.2),
    stages=(
        Stage("head", epochs=1),
        Stage("tune", epochs=1, unfreeze="second"),
    ),
    engine="keras",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with net.keras."""
    folder = tmp_path_factory.mktemp("home")
    keras.utils.set_random_seed(1)
    tutorial().save(folder / "net.keras")
    return folder


@pytest.fixture(scope="module")
def run(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("KT_CACHE_DIR", str(home / "cache"))
        return RECIPE.run(out=home / "done", name="own")


@pytest.fixture
def here(home, tmp_path, monkeypatch):
    shutil.copy(home / "net.keras", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_trains_head_and_blocks_and_keeps_the_rest(run, home):
    before = keras.models.load_model(home / "net.keras").get_layer("inner")
    after = run.network.backbone

    for name, trained in [("first", False), ("second", True), ("norm", False), ("third", True)]:
        same = map(
            np.array_equal,
            before.get_layer(name).get_weights(),
            after.get_layer(name).get_weights(),
        )
        assert all(same) is not trained, name
    assert run.metadata["features"]["head"]["computed"] > 0
    assert run.metadata["features"]["tune"]["computed"] > 0
    assert run.settings["backbone"]["weights"] == "file"
    assert len(json.loads((run.folder / "backbone.json").read_text())["sha256"]) == 64


def test_a_run_that_was_stopped_ends_as_one_that_was_not(run, here, monkeypatch):
    def stop(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(predictions, "write_predictions", stop)
        with pytest.raises(KeyboardInterrupt):
            RECIPE.run(out="stopped", name="own")
    original = (here / "net.keras").read_bytes()
    tutorial().save(here / "net.keras")
    with pytest.raises(BadWeights, match=r"net.keras has changed since the run in stopped began"):
        RECIPE.run(out="stopped", name="own", resume=True)
    (here / "net.keras").write_bytes(original)
    again = RECIPE.run(out="stopped", name="own", resume=True)

    assert again.metrics == run.metrics
    for one, other in zip(again.model.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


FORMATS = ["saved_model", *(pytest.param(x, marks=pytest.mark.slow) for x in ("litert", "onnx"))]


@pytest.mark.parametrize("form", FORMATS)
def test_a_finished_run_does_not_need_the_file(run, tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), "uint8")

    assert len(keras_transfer.load(run.folder).predict(pixels)) == 3
    # Written only if it answers the test images as the run does.
    assert keras_transfer.export(run, tmp_path / "to", format=form).folder.is_dir()
    found = CliRunner().invoke(main, ["evaluate", str(run.folder)])
    assert found.exit_code == 0, found.output


@pytest.mark.slow
def test_from_scratch_and_from_the_weights_of_a_run(run, here):
    own = RECIPE.changed(stages=[Stage("head", epochs=1)])
    scratch = own.run(out="scratch", weights="none")
    taken = own.run(out="taken", weights=f"run:{run.folder}")

    kernel, trained, fresh = (
        found.network.backbone.get_layer("third").get_weights()[0]
        for found in (taken, run, scratch)
    )
    np.testing.assert_array_equal(kernel, trained)
    assert not np.array_equal(kernel, fresh)


def test_what_cannot_be_meant_is_refused_before_anything_trains(here):
    with pytest.raises(BadConfiguration, match=r"needs preprocessing.*kt-recipe show net.keras"):
        Classify(data="images", backbone="net.keras")
    with pytest.raises(BadConfiguration, match=r"model\.save"):
        Classify(data="images", backbone="net.h5")
    for settings, said in [
        ({"image_size": 32}, "Use image_size = 16"),
        ({"unfreeze": "block5"}, "The blocks of net.keras are: first, second, norm, third"),
        ({"features": "dense"}, "backbone.features"),
    ]:
        stages = [Stage("tune", unfreeze=settings.pop("unfreeze", "third"))]
        with pytest.raises(BadConfiguration, match=said):
            RECIPE.run(out="refused", stages=stages, **settings)
    assert not (here / "refused").exists()


def test_scaling_twice_is_warned_of(here, caplog):
    RECIPE.changed(preprocessing="tf").check_network()

    assert "net.keras begins with Rescaling, Conv2D, and preprocessing = tf comes" in caplog.text


def test_show_lists_its_blocks(here):
    text = CliRunner().invoke(main, ["show", "net.keras"]).output
    found = json.loads(CliRunner().invoke(main, ["show", "net.keras", "--json"]).stdout)

    assert "preprocessing = none" in text
    assert found["features"] == "third"
    assert found["shape"] == [3, 3, 8]
    # 3 * 3 * 3 * 4 + 4, 3 * 3 * 4 * 6, 4 * 6, 3 * 3 * 6 * 8 + 8
    assert found["blocks"] == {"first": 112, "second": 216, "norm": 24, "third": 440}
    # Keras numbers its names by what else was built in this process.
    names = [re.sub(r"_\d+$", "", name) for name in found["head"]]
    assert names == ["global_average_pooling2d", "dense"]

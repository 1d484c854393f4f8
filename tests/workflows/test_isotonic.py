"""Runs of labels that are calibrated by curves: what is written, read and exported."""

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

import keras_transfer
from keras_transfer import FineTune, Run, Stage
from keras_transfer.errors import BadConfiguration
from keras_transfer.exports.formats import check_curves
from keras_transfer.objectives.multilabel import MultiLabel

SPLITS = 200 * ["train"] + 200 * ["val"] + 70 * ["test"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Noise that is brighter or redder, more often than not as its labels say; few are torn."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("table")
    rows = []
    for place, split in enumerate(SPLITS):
        bright, red = rng.integers(0, 2, 2)
        pixels = rng.normal(90 + 30 * bright + rng.normal(0, 15), 20, (16, 16, 3))
        pixels[..., 0] += 40 * red + rng.normal(0, 25)
        Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(folder / f"{place}.png")
        torn = place % 40 == 0  # 5 of val: too few for a curve
        there = [name for name, one in (("bright", bright), ("red", red), ("torn", torn)) if one]
        rows.append([f"{place}.png", split, "|".join(there)])
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "split", "label"], *rows])
    return str(folder / "table.csv")


@pytest.fixture(scope="module")
def pair(table, tmp_path_factory):
    """The same training with curves and without."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = FineTune(
        data=table,
        # Smoothing makes the network say less than it knows.
        objective=MultiLabel(label_smoothing=0.6),
        backbone="convnet_small",
        weights="none",
        image_size=16,
        batch_size=32,
        stages=(Stage("all", epochs=3, unfreeze="all", learning_rate=3e-3),),
        baselines=("none",),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(folder / "cache"))
        return [
            recipe.changed(calibrate=how).run(out=folder / how, name="labels")
            for how in ("isotonic", "none")
        ]


def predicted(run, name="predictions.csv"):
    return run.outputs["label"].objective.read_predictions(run.folder / name)


def test_probabilities_are_those_of_scikit_learn(pair):
    with_it, without = pair
    found = with_it.metrics["calibration"]
    assert (found["method"], found["fitted"]) == ("isotonic", "isotonic")
    assert [*found["curves"]] == ["bright", "red"]
    val, test = (predicted(without, f"predictions{end}.csv") for end in ("_val", ""))
    low = 1 / (len(val.true) + 2)
    wanted = [
        IsotonicRegression(y_min=low, y_max=1 - low, out_of_bounds="clip")
        .fit(logit(val.scores[:, i]), val.true[:, i])
        .predict(logit(test.scores[:, i]))
        for i in range(2)
    ]
    # Of knots that are very near two stay: answers between them move.
    apart = np.abs(predicted(with_it).scores[:, :2] - np.stack(wanted, axis=1))
    assert np.median(apart) < 1e-5
    assert apart.mean() < 0.001
    np.testing.assert_allclose(predicted(with_it).scores[:, 2], test.scores[:, 2], atol=1e-6)
    order = np.argsort(test.scores[:, 0], kind="stable")
    assert (np.diff(predicted(with_it).scores[order, 0]) >= -1e-6).all()
    before, after = (found["test"][when] for when in ("before", "after"))
    assert after["log_loss"] < before["log_loss"]
    assert after["brier"] < before["brier"]
    assert after["log_loss"] == pytest.approx(with_it.metrics["test"]["log_loss"])
    assert "isotonic curves of 2 labels" in with_it.report()


def test_the_file_alone_has_them(pair):
    run = pair[0]
    model = keras.models.load_model(run.folder / "best.keras")
    from keras_transfer.data.batches import plain_batches

    batches = plain_batches(run.samples(["test"]), run.loading)
    pixels = np.concatenate([batch["pixels"].numpy() for batch in batches]).astype("float32")
    scores = expit(model.predict({"pixels": pixels}, verbose=0)["label"])
    assert scores == pytest.approx(predicted(run).scores, abs=1e-5)
    again = Run(run.folder).evaluate()
    assert again["log_loss"] == pytest.approx(run.metrics["test"]["log_loss"], abs=1e-6)


@pytest.mark.parametrize("form", ["saved_model", "keras", "litert", "onnx"])
def test_every_export_has_them(pair, tmp_path, form):
    if form in ("litert", "onnx"):
        pytest.importorskip({"litert": "ai_edge_litert", "onnx": "onnxruntime"}[form])
    export = keras_transfer.export(pair[0], tmp_path, format=form)
    parity = export.metadata["parity"]
    assert parity["changed"] == 0
    assert parity["largest_difference"] < 1e-3


def test_int8_is_refused_before_anything_is_written(pair, tmp_path):
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(BadConfiguration, match="float16 or dynamic, or train with --calibrate"):
        keras_transfer.export(pair[0], tmp_path, format="litert", quantize="int8")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("quantize", ["float16", "dynamic"])
def test_what_is_named_instead_of_int8_passes_the_gate(pair, tmp_path, quantize):
    pytest.importorskip("ai_edge_litert")
    export = keras_transfer.export(pair[0], tmp_path, format="litert", quantize=quantize)
    assert export.metadata["parity"]["examples"] >= 64


def test_only_curves_are_refused_as_int8():
    curves = {"fitted": "isotonic", "temperature": 1.0}
    number = {"fitted": "temperature", "temperature": 2.0}
    check_curves(curves, "float16")
    for calibration in ({}, number, {"a": number}, {"temperature": 1.5}):
        check_curves(calibration, "int8")
    with pytest.raises(BadConfiguration, match="of the output b: it rounds"):
        check_curves({"a": number, "b": curves}, "int8")


def explained(found, row):
    """The heat maps of an example by label, of those that are explained."""
    rows = zip(*(found[name][row] for name in ("labels", "heat", "explained")), strict=True)
    return {name: heat for name, heat, there in rows if there}


def test_heat_maps_are_those_without_curves(pair, table, tmp_path):
    """On a plateau of a curve every gradient is 0."""
    files = [Path(table).with_name(f"{400 + place}.png") for place in range(12)]
    raw = tf.constant([file.read_bytes() for file in files])
    found = []
    for place, run in enumerate(pair):
        export = keras_transfer.export(run, tmp_path / str(place))
        heat = tf.saved_model.load(str(export.folder)).signatures["explain"](raw)
        found.append({name: value.numpy() for name, value in heat.items()})
    for row in range(12):
        here, plain = (explained(one, row) for one in found)
        for name in here.keys() & plain.keys():
            np.testing.assert_allclose(here[name], plain[name], atol=1e-5)
    assert found[0]["heat"].max() == 1

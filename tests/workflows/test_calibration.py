"""Runs whose probabilities are calibrated: what is written, read, exported and resumed."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from html_pages import Page
from PIL import Image
from scipy.special import expit, softmax
from tiny import RECIPE

import keras_transfer
from keras_transfer import Run, Split
from keras_transfer.config.upgrade import stored
from keras_transfer.data.batches import plain_batches
from keras_transfer.evaluation import predictions
from keras_transfer.evaluation.calibration import fit_temperature, log_losses
from keras_transfer.evaluation.predictions import read_predictions
from keras_transfer.reports.writing import write_report

TRAINED = RECIPE.changed(
    label_smoothing=0.6,  # makes the network say less than it knows
    batch_size=32,
    stages=[{"name": "all", "epochs": 6, "unfreeze": "all", "learning_rate": 3e-3}],
    split=Split(val=160, test=80),
    augment={},
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two shades of noise that overlap: some images cannot be told apart."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("images")
    for name, shade in (("dark", 115), ("light", 140)):
        (folder / name).mkdir()
        for i in range(200):
            pixels = rng.normal(shade + rng.normal(0, 10), 30, (16, 16, 3)).clip(0, 255)
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{i}.png")
    return str(folder)


@pytest.fixture(scope="module")
def pair(images, tmp_path_factory):
    """The same training with and without calibration."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(folder / "cache"))
        return [
            TRAINED.run(data=images, out=folder / how, name="tiny", calibrate=how)
            for how in ("temperature", "none")
        ]


def pixels(run, split):
    batches = plain_batches(run.samples([split]), run.loading)
    return np.concatenate([batch["pixels"].numpy() for batch in batches]).astype("float32")


def test_the_temperature_is_fitted_on_val_and_changes_no_class(pair):
    with_it, without = pair
    val, test = (read_predictions(without.folder / f"predictions{end}.csv") for end in ("_val", ""))
    found = with_it.metrics["calibration"]
    # A softmax takes logits up to a constant, and log p are such.
    wanted = fit_temperature(np.log(val.probabilities), val.true)
    assert found["temperature"] == pytest.approx(wanted, rel=1e-4)
    assert found["temperature"] < 0.8
    assert found["examples"] == 160
    calibrated = read_predictions(with_it.folder / "predictions.csv")
    scaled = softmax(np.log(test.probabilities) / found["temperature"], axis=1)
    assert calibrated.probabilities == pytest.approx(scaled, abs=1e-6)
    assert (calibrated.probabilities.argmax(1) == test.probabilities.argmax(1)).all()
    assert with_it.metrics["test"]["accuracy"] == without.metrics["test"]["accuracy"]
    before, after = (found["test"][when] for when in ("before", "after"))
    assert before["log_loss"] == pytest.approx(without.metrics["test"]["log_loss"])
    assert after["log_loss"] == pytest.approx(with_it.metrics["test"]["log_loss"])
    assert after["log_loss"] < before["log_loss"]
    assert after["ece"] == pytest.approx(with_it.metrics["test"]["ece"])
    assert before["ece"] == pytest.approx(without.metrics["test"]["ece"])
    assert "Calibration: temperature" in with_it.report()
    assert "calibration" not in without.metrics
    assert "Calibration" not in without.report()


def test_training_is_the_same_without_it(pair):
    one, other = ((run.folder / "history.csv").read_bytes() for run in pair)
    assert one == other
    one, other = (run.model.get_weights() for run in pair)
    assert all(map(np.array_equal, one, other))


def test_the_saved_network_is_calibrated_for_keras_alone(pair):
    with_it, without = pair
    model = keras.models.load_model(with_it.folder / "best.keras")
    plain = keras.models.load_model(without.folder / "best.keras")
    given = pixels(with_it, "test")
    found, before = (one.predict(given, verbose=0)["label"] for one in (model, plain))
    temperature = with_it.metrics["calibration"]["temperature"]
    np.testing.assert_allclose(found, before / temperature, rtol=1e-6)
    stored_scores = read_predictions(with_it.folder / "predictions.csv").probabilities
    assert softmax(found, axis=1) == pytest.approx(stored_scores, abs=2e-3)


def test_predict_and_evaluate_say_what_the_run_wrote(pair):
    run = Run(pair[0].folder)
    written = read_predictions(run.folder / "predictions.csv")
    found = [one.probabilities for one in run.predict(written.keys.tolist())]
    assert np.array(found) == pytest.approx(written.probabilities, abs=2e-3)
    metrics = run.evaluate()
    assert metrics["log_loss"] == pytest.approx(run.metrics["test"]["log_loss"], abs=1e-3)


@pytest.mark.parametrize("form", ["saved_model", "keras", "litert", "onnx"])
def test_every_export_is_calibrated(pair, form, tmp_path):
    if form in ("litert", "onnx"):
        pytest.importorskip({"litert": "ai_edge_litert", "onnx": "onnxruntime"}[form])
    with_it, without = pair
    export = keras_transfer.export(with_it, tmp_path, format=form)
    assert export.metadata["parity"]["largest_difference"] < 1e-4
    written = read_predictions(with_it.folder / "predictions.csv")
    found = [one.probabilities for one in export.predict(written.keys.tolist())]
    assert np.array(found) == pytest.approx(written.probabilities, abs=2e-3)
    plain = read_predictions(without.folder / "predictions.csv").probabilities
    assert np.abs(plain - np.array(found)).max() > 0.05
    assert export.metadata["outputs"]["label"]["objective"]["calibrate"] == "temperature"


def test_heat_maps_stay(pair, tmp_path):
    first = next(Path(pair[0].settings["data"]["source"]).glob("*/*.png")).read_bytes()
    found = []
    for number, run in enumerate(pair):
        export = keras_transfer.export(run, tmp_path / str(number))
        explain = tf.saved_model.load(str(export.folder)).signatures["explain"]
        found.append(explain(tf.constant([first]))["heat"].numpy())
    np.testing.assert_allclose(*found, atol=1e-4)


def test_a_run_that_is_interrupted_after_the_calibration_is_calibrated_once(
    images, pair, tmp_path, monkeypatch
):
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))
    out = tmp_path / "stopped"

    def stop(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(predictions, "write_predictions", stop)
        with pytest.raises(KeyboardInterrupt):
            TRAINED.run(data=images, out=out, name="tiny")
    # The file has the temperature already.
    assert keras.models.load_model(out / "best.keras").get_layer("temperature").scale > 1
    again = TRAINED.run(data=images, out=out, name="tiny", resume=True)
    assert again.metrics == pair[0].metrics
    assert all(map(np.array_equal, again.model.get_weights(), pair[0].model.get_weights()))


def test_the_page_has_both_diagrams(pair):
    page = Page(write_report(pair[0].folder).read_text("utf-8")).check()
    found = pair[0].metrics["calibration"]
    assert f"Calibrated by the temperature {found['temperature']:.3f}" in page.said
    before, after = (found["test"][when]["ece"] for when in ("before", "after"))
    assert f"ECE {before:.3f} (" in page.said
    assert f"{after:.3f} (" in page.said
    assert "calibrated before" in page.said  # the legend
    page = Page(write_report(pair[1].folder).read_text("utf-8")).check()
    assert "Calibrated by" not in page.said


def test_settings_from_before_are_not_calibrated():
    old = TRAINED.settings() | {"version": 2}
    del old["objective"]["calibrate"]
    assert stored(old)["objective"]["calibrate"] == "none"
    several = old | {"objective": {"a": old["objective"], "b": {"type": "regression"}}}
    found = stored(several)["objective"]
    assert found == {
        "a": {**old["objective"], "calibrate": "none"},
        "b": {"type": "regression"},
    }
    assert stored(TRAINED.settings() | {"version": 2})["objective"]["calibrate"] == "temperature"


def test_few_validation_examples_are_no_reason_to_change(tmp_path, run):
    """The run that many tests share has six val examples."""
    found = run.metrics["calibration"]
    assert found["temperature"] == 1
    assert "takes 100" in found["reason"]
    assert found["test"]["after"] == {
        name: value for name, value in found["test"]["before"].items() if name != "bins"
    }
    assert "temperature" not in [layer.name for layer in run.model.layers]
    assert json.loads((run.folder / "metrics.json").read_text())["calibration"] == found


def test_several_labels_have_one_temperature():
    """Logits of labels that are three times too large; thresholds follow the probabilities."""
    rng = np.random.default_rng(0)
    z = rng.normal(0, 1.5, (400, 3))
    true = (rng.random((400, 3)) < expit(z)).astype("float32")
    temperature = fit_temperature(3 * z, true)
    assert temperature == pytest.approx(3, rel=0.15)
    assert log_losses(3 * z, true, temperature).mean() < log_losses(3 * z, true).mean()

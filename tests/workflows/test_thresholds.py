"""Runs with a threshold for a recall or precision: chosen on val, and the answer everywhere."""

import json
import logging
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from html_pages import Page
from objectives_runs import paint_table
from PIL import Image
from processes import kt
from sklearn.metrics import precision_recall_curve, precision_score, recall_score
from tiny import RECIPE

import keras_transfer
from keras_transfer import (
    BadConfiguration,
    BadData,
    Classify,
    FineTune,
    Run,
    Split,
    Stage,
    Threshold,
    UnknownName,
)
from keras_transfer.config.upgrade import stored
from keras_transfer.evaluation.predictions import read_predictions
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.reports.model_card import model_card
from keras_transfer.reports.writing import write_report
from keras_transfer.sklearn import ImageClassifier
from keras_transfer.workflows.domain_measures import Domain

TRAINED = RECIPE.changed(
    batch_size=32,
    stages=[{"name": "all", "epochs": 3, "unfreeze": "all", "learning_rate": 3e-3}],
    split=Split(val=80, test=80),
    augment={},
    threshold=Threshold(recall=0.95, positive="dark"),
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two shades of noise that overlap: some images cannot be told apart."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("images")
    for name, shade in (("dark", 115), ("light", 140)):
        (folder / name).mkdir()
        for i in range(120):
            pixels = rng.normal(shade + rng.normal(0, 12), 30, (16, 16, 3)).clip(0, 255)
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{i}.png")
    return str(folder)


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(folder / "cache"))
        return TRAINED.run(data=images, out=folder / "run", name="tiny")


def test_the_threshold_is_that_of_scikit_learns_curve_of_val(run):
    val = read_predictions(run.folder / "predictions_val.csv")
    true, dark = val.true == 0, val.probabilities[:, 0]
    precisions, recalls, _ = precision_recall_curve(true, dark)
    wanted = precisions[:-1][recalls[:-1] >= 0.95].max()
    found = run.outputs["label"].decision
    assert found["positive"] == 0
    predicted = dark >= found["threshold"]
    assert recall_score(true, predicted) >= 0.95
    assert precision_score(true, predicted) == pytest.approx(wanted)
    assert run.metrics["val"]["threshold"]["recall"] == recall_score(true, predicted)


def test_all_metrics_are_those_of_the_answers(run):
    test = read_predictions(run.folder / "predictions.csv")
    found, metrics = run.outputs["label"].decision, run.metrics["test"]
    dark = test.probabilities[:, 0] >= found["threshold"]
    assert (test.probabilities.argmax(axis=1) != np.where(dark, 0, 1)).any(), "it changes answers"
    np.testing.assert_array_equal(test.decided, np.where(dark, 0, 1))
    assert metrics["accuracy"] == np.mean(test.decided == test.true)
    assert metrics["per_class"]["dark"]["recall"] == metrics["threshold"]["recall"]
    at_it = metrics["threshold"]
    assert at_it["asked"] == {"recall": 0.95}
    assert at_it["positive"] == "dark"
    plain = test.probabilities.argmax(axis=1) == 0
    assert at_it["at_0.5"]["recall"] == recall_score(test.true == 0, plain)
    assert at_it["specificity"] == recall_score(test.true == 1, ~dark)
    # The files of the run give the same metrics again.
    assert Run(run.folder).evaluate()["threshold"] == at_it
    text = run.report()
    assert f"dark: {found['threshold']:.4f}  recall {at_it['recall']:.3f}" in text
    assert "dark at 0.5:" in text


def test_a_prediction_answers_by_the_threshold(run, images):
    found = run.outputs["label"].decision
    other = 0
    for one in run.predict(images):
        dark = one.probabilities[0] >= found["threshold"]
        assert one.label == ("dark" if dark else "light")
        (first, share), (second, rest) = one.top(2)
        assert first == one.label
        assert {first, second} == {"dark", "light"}
        assert share == one.probabilities[0 if dark else 1]
        assert one.top(1) == [(first, share)]
        other += share < rest
    assert other > 0, "some answers are not the most probable class"


@pytest.mark.parametrize("form", ["saved_model", "keras", "litert", "onnx"])
def test_every_export_answers_by_the_threshold(run, images, tmp_path, form):
    if form in ("litert", "onnx"):
        pytest.importorskip({"litert": "ai_edge_litert", "onnx": "onnxruntime"}[form])
    export = keras_transfer.export(run, tmp_path, format=form)
    parity = export.metadata["parity"]
    assert parity["changed"] == 0
    assert parity["accuracy"] == run.metrics["test"]["accuracy"]
    found = export.metadata["test"]["threshold"]
    assert found["recall"] == run.metrics["test"]["threshold"]["recall"]
    wanted = [one.label for one in run.predict(images)]
    assert [one.label for one in export.predict(images)] == wanted
    # What the files say themselves.
    given = export.answers.read(export._predictor(run.samples(["test"])))["label"]
    dark = given.scores[:, 0] >= run.outputs["label"].decision["threshold"]
    np.testing.assert_array_equal(given.decided, np.stack([dark, ~dark], axis=1))


def test_the_gate_refuses_another_threshold(run):
    from keras_transfer.exports.answers import Given
    from keras_transfer.exports.parity import LIMITS, compare

    output = run.outputs["label"]
    test = read_predictions(run.folder / "predictions.csv")
    scores, dark = test.probabilities, test.probabilities[:, 0] >= 0.5
    plain = Given(scores, np.stack([dark, ~dark], axis=1))
    found = compare(output, scores, plain, test.true)
    assert found.found["changed"] == (test.decided != scores.argmax(axis=1)).sum() > 0
    assert not found.passes(LIMITS["none"])
    threshold = output.decision["threshold"]
    own = test.decided[:, None] == np.arange(2)
    assert compare(output, scores, Given(scores, own), test.true).passes(LIMITS["none"])
    # On the threshold itself it is rounding that decides.
    near = np.array([[threshold - 1e-6, 1 - threshold + 1e-6]])
    there = Given(near, np.array([[True, False]]))
    assert compare(output, near, there, np.array([0])).found["changed"] == 0


def test_a_server_and_its_page_have_the_answer_first(run, images, tmp_path):
    export = keras_transfer.export(run, tmp_path)
    files = [one.path for one in run.predict(images)][::7]
    raw = tf.constant([Path(file).read_bytes() for file in files])
    signatures = tf.saved_model.load(str(export.folder)).signatures
    found = signatures["serving_default"](raw)
    names = [row[0].decode() for row in found["classes"].numpy()]
    assert names == [one.label for one in run.predict(files)]
    by_class = found["scores"].numpy()
    chances = [by_class[i, ["dark", "light"].index(name)] for i, name in enumerate(names)]
    np.testing.assert_array_equal(found["probabilities"].numpy()[:, 0], chances)
    # The heat map is that of the answer.
    explained = signatures["explain"](raw)
    assert [name.decode() for name in explained["classes"].numpy()] == names


def test_openvino_has_the_answer_of_tensorflow(run, images, tmp_path):
    pytest.importorskip("openvino")
    from keras_transfer.serving.models import Model
    from keras_transfer.serving.openvino_model import OpenVinoModel

    export = keras_transfer.export(run, tmp_path)
    files = [one.path for one in run.predict(images)][::9]
    given = {"image_bytes": np.array([Path(file).read_bytes() for file in files], object)}
    fast, plain = (kind("tiny", 1, export.folder) for kind in (OpenVinoModel, Model))
    assert fast._engine is not None
    found, wanted = (one.run("serving_default", given) for one in (fast, plain))
    np.testing.assert_array_equal(found["classes"], wanted["classes"])


def test_the_page_has_the_threshold(run):
    page = Page(write_report(run.folder).read_text("utf-8"))
    text = "".join(page.text)
    value = run.outputs["label"].decision["threshold"]
    assert "Thresholds" in text
    assert f"At its threshold of {value:.3f}, chosen on val for a recall of 95.0 %" in text
    assert "dark at 0.5" in text


def test_the_model_card_has_the_whole_sentence(run):
    card = model_card(run)
    value = run.outputs["label"].decision["threshold"]
    assert f"At its threshold of {value:.3f}, chosen on val for a recall of 95.0 %" in card
    assert "…" not in card.split("At its threshold")[1].partition("\n")[0]


def test_a_comparison_of_domains_takes_the_answers(run):
    test = read_predictions(run.folder / "predictions.csv")
    decision = run.outputs["label"].decision
    domain = Domain(run.samples(["test"]), None, test.probabilities, None, True, decision)
    np.testing.assert_array_equal(domain.predicted, test.decided)
    assert (domain.predicted != test.probabilities.argmax(axis=1)).any()


@pytest.mark.slow
def test_a_classifier_of_scikit_learn_answers_by_the_threshold(images, tmp_path, monkeypatch):
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    paths = sorted(map(str, Path(images).glob("*/*.png")))
    labels = [Path(path).parent.name for path in paths]
    fitted = ImageClassifier(TRAINED.changed(split=Split(val=0.3))).fit(paths, labels)
    wanted = [one.label for one in fitted.run_.predict(paths)]
    assert fitted.predict(paths).tolist() == wanted
    assert (fitted.classes_[fitted.predict_proba(paths).argmax(axis=1)] != wanted).any()


def test_a_run_is_resumed_and_read_with_its_threshold(run):
    settings = json.loads((run.folder / "outputs.json").read_text("utf-8"))["label"]["objective"]
    assert settings["threshold"] == {"recall": 0.95, "precision": None, "positive": "dark"}
    old = {"label_smoothing": 0.0, "type": "classification"}
    for kind in ("classification", "multilabel"):
        found = stored({"version": 2, "objective": {**old, "type": kind}, "stages": []})
        assert found["objective"]["threshold"] == Threshold().model_dump()


def test_several_labels(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))
    recipe = FineTune(
        data=str(paint_table(tmp_path)),
        objective=MultiLabel(threshold=Threshold(precision=1.0)),
        backbone="convnet_small",
        weights="none",
        image_size=16,
        batch_size=4,
        stages=(Stage("head", epochs=1),),
        cache=False,
        baselines=("none",),
    )
    with caplog.at_level(logging.INFO, "keras_transfer"):
        run = recipe.run(out=tmp_path / "run", name="labels")
    output, val = run.outputs["label"], run.metrics["val"]["threshold"]
    assert val["asked"] == {"precision": 1.0}
    assert [*val["per_label"]] == ["blue", "bright", "red"]
    assert output.decision["reached"] == [
        row["value"] is not None for row in val["per_label"].values()
    ]
    for row in val["per_label"].values():
        assert row["value"] is None or row["precision"] == 1
    assert "says little of a precision of 1" in caplog.text or not any(output.decision["reached"])
    assert ("no threshold has a precision of 1" in caplog.text) == (
        not all(output.decision["reached"])
    )
    export = keras_transfer.export(run, tmp_path / "export", format="keras")
    assert export.metadata["parity"]["changed"] == 0
    page = Page(write_report(run.folder).read_text("utf-8"))
    text = "".join(page.text)
    assert "red at 0.5" in text


def test_settings():
    base = Classify(data="photos", backbone="convnet_small")
    assert not base.objective.threshold.wanted
    found = base.changed(threshold={"recall": 0.9, "positive": 1}).objective.threshold
    assert found == Threshold(recall=0.9, positive="1")
    with pytest.raises(BadConfiguration, match=r"threshold\.positive=NAME"):
        base.changed(threshold={"recall": 0.9})
    with pytest.raises(BadConfiguration, match="recall or precision"):
        base.changed(threshold={"recall": 0.9, "precision": 0.9, "positive": "dog"})
    with pytest.raises(BadConfiguration, match="chooses no threshold"):
        base.changed(threshold={"positive": "dog"})
    with pytest.raises(BadConfiguration, match="less than or equal to 1"):
        base.changed(threshold={"recall": 95, "positive": "dog"})
    several = FineTune(data="photos", backbone="convnet_small", objective="multilabel")
    with pytest.raises(BadConfiguration, match="for two classes"):
        several.changed(threshold={"recall": 0.9, "positive": "dog"})
    with pytest.raises(BadConfiguration, match="threshold"):
        several.changed(objective="regression", threshold={"recall": 0.9})


def test_what_the_data_lack_is_said_before_training(images, tmp_path, monkeypatch):
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(UnknownName, match=r"threshold.positive.*'darl'.*dark"):
        TRAINED.run(data=images, out=tmp_path / "a", name="tiny", threshold={"positive": "darl"})
    three = tmp_path / "three"
    for name in ("dark", "light", "odd"):
        (three / name).mkdir(parents=True)
        for i in range(12):
            shade = np.full((16, 16, 3), 20 * i + len(name), "uint8")
            Image.fromarray(shade).save(three / name / f"{i}.png")
    with pytest.raises(BadConfiguration, match="the data have 3: dark, light, odd"):
        RECIPE.run(
            data=str(three), out=tmp_path / "b", name="tiny",
            threshold={"recall": 0.9, "positive": "dark"},
        )  # fmt: skip
    table = tmp_path / "table.csv"
    rows = [f"three/{n}/{i}.png,{n},train" for n in ("dark", "light") for i in range(6)]
    rows += [f"three/light/{i}.png,light,{split}" for i, split in enumerate(4 * ["val", "test"])]
    table.write_text("path,label,split\n" + "\n".join(dict.fromkeys(rows)) + "\n")
    with pytest.raises(BadData, match="No val example is of the class 'dark'"):
        RECIPE.run(
            data=str(table), out=tmp_path / "c", name="tiny",
            threshold={"recall": 0.9, "positive": "dark"},
        )  # fmt: skip


def test_the_command_line(images, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from keras_transfer import Classify, Split, Stage\n"
        "recipe = Classify(data='images', backbone='convnet_small', weights='none',\n"
        "    image_size=16, split=Split(val=40, test=40), stages=(Stage('head', epochs=1),))\n"
    )
    wanted = ["--set", "threshold.recall=0.95"]
    said = kt("run", "mine.py", "--data", images, "--out", "r", *wanted, cwd=tmp_path, check=2)
    assert "threshold.positive=NAME" in said.stderr
    # `precision` alone is that of the runtime.
    wanted += ["--set", "threshold.positive=light", "--set", "precision=float32"]
    done = kt("run", "mine.py", "--data", images, "--out", "r", *wanted, cwd=tmp_path, check=0)
    assert "Threshold of light" in done.stderr
    assert "has 20 positive val examples" in done.stderr
    assert "light at 0.5:" in done.stdout
    told = kt("evaluate", "r", cwd=tmp_path, check=0)
    assert "light at 0.5:" in told.stdout


def test_the_written_network_is_unchanged(run):
    """The threshold is a part of the answer, not of the probabilities."""
    names = {layer.name for layer in keras.models.load_model(run.folder / "best.keras").layers}
    assert not any("threshold" in name for name in names)

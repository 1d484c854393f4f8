"""Runs that label words: entities of unseen names, other data, resume, refusals."""

import csv
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from kills import moments
from processes import kt
from tokens_runs import token_recipe, write_conll

from keras_transfer import Stage
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.evaluation.prediction_files import prediction_file
from keras_transfer.runs.conformal import Conformal
from keras_transfer.serving.page import _outputs as page_outputs

RESULTS = ("history.csv", "metrics.json", "outputs.json", "predictions.csv", "vocabulary.txt")


def test_entities_with_unseen_names_are_found_by_their_context(token_run):
    """No name of the test split is in train, so a lexicon knows none."""
    test, baselines = token_run.metrics["test"], token_run.metrics["baselines"]
    assert test["f1"] > 0.6
    assert baselines["lexicon"]["f1"] < 0.2
    assert baselines["majority"]["f1"] == 0
    assert set(test["per_type"]) == {"LOC", "PER"}
    assert test["cut_off"] == {"words": 0, "entities": 0}
    assert "lexicon: F1" in token_run.report()


def test_metrics_are_those_of_the_files(token_run):
    output = token_run.outputs["label"]
    predicted = output.objective.read_predictions(
        token_run.folder / prediction_file("test", "label")
    )
    metric = output.objective.paired_metrics(predicted.names)["f1"]
    ones = np.ones((1, len(predicted.true)))
    found = metric(ones, predicted.true, predicted.scores, predicted.decided)
    assert found == pytest.approx(token_run.metrics["test"]["f1"])


def test_evaluation_reads_the_examples_again(token_run, tmp_path):
    again = token_run.evaluate()
    assert again["f1"] == token_run.metrics["test"]["f1"]
    # Other data in another scheme and another format.
    file = tmp_path / "other.csv"
    file.write_text("text,label\nLubeko lives in Fadino .,S-PER O O S-LOC O\n", "utf-8")
    assert token_run.evaluate(str(file))["entities"] == 2
    file.write_text("text,label\nLubeko lives,S-PER\n", "utf-8")
    with pytest.raises(BadData, match=r"other\.csv:2: 2 words, 1 labels"):
        token_run.evaluate(str(file))


def test_frozen_features_and_a_short_length(tmp_path):
    """The head alone is trained on stored features; the length cuts words off."""
    data = write_conll(tmp_path / "data")
    more = {"input": {"type": "text", "length": 16, "vocabulary_size": 90}}
    stages = (Stage("head", epochs=2), Stage("tune", unfreeze="layer_1", epochs=1))
    run = token_recipe(data, stages=stages, **more).run(out=tmp_path / "run")
    cut = run.metrics["test"]["cut_off"]
    assert 0 < cut["words"] < run.metrics["test"]["words"]
    assert "cuts off" in (run.folder / "log.txt").read_text()
    assert "were cut off by input.length" in run.report()
    assert run.evaluate()["f1"] == pytest.approx(run.metrics["test"]["f1"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "convnet_small", "input": {"type": "image"}}, "input is image"),
        ({"input": {"type": "text_pair"}}, "input is text_pair"),
        ({"pooling": "max"}, "nothing is pooled"),
        ({"method": "bagging:2"}, "for a single classification"),
        ({"method": "deep_coral", "units": (8,), "monitor": "val_loss"}, "single classification"),
        ({"method": "distill:run:x", "monitor": "val_loss"}, "does not support texts"),
        ({"baselines": ("boosted_trees",)}, "boosted_trees"),
        ({"mixup": 0.2}, "mixup"),
        ({"classes": ("O", "B-PER")}, "classes keeps some classes of a classification"),
        (
            {"monitor": "val_loss", "stages": (Stage("s", unfreeze=None, solver="logistic"),)},
            "solver",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_training(settings, message):
    with pytest.raises(BadConfiguration, match=message):
        token_recipe("data", **settings)


def test_entities_of_a_text_have_their_place(token_run, tmp_path):
    text = "the mayor of Lubeko is Fadino Kara, said nobody."
    (one,) = token_run.predict(text)
    assert one.label == one.answers()["label"]
    for entity in one.label:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert entity["type"] in ("PER", "LOC")
        assert 0 < entity["score"] <= 1
    done = kt("predict", token_run.folder, text, "--format", "jsonl", cwd=tmp_path, check=0)
    assert json.loads(done.stdout) == {"path": text, "entities": one.label}
    done = kt("predict", token_run.folder, text, "--format", "csv", cwd=tmp_path, check=0)
    header, *rows = csv.reader(done.stdout.splitlines())
    assert header == ["path", "error", "text", "type", "start", "end", "score"]
    assert [row[2] for row in rows] == [entity["text"] for entity in one.label]


def test_a_text_answers_as_the_words_of_the_data(token_run):
    """Served text is split as the words of the data are: the same tokens, the same scores."""
    bound = token_run.loading.input
    words = bound.located(["Fadino came from Lubeko , today ."])
    text = bound.located(["Fadino came  from Lubeko, today."])
    for name, values in words.inputs.items():
        np.testing.assert_array_equal(values, text.inputs[name])


def test_what_is_refused_of_a_finished_run(token_run):
    with pytest.raises(BadConfiguration, match=r"a label for each word\. Leave --coverage out"):
        Conformal(token_run, 0.9)
    with pytest.raises(BadConfiguration, match="--tta flip averages views of images"):
        token_run.predict("Fadino", tta="flip")


def test_text_that_is_longer_than_the_input_is_said(token_run, caplog):
    with caplog.at_level("WARNING", logger="keras_transfer"):
        token_run.predict("Fadino came from Lubeko . " * 20)
        assert "1 of 1 texts are longer than 40 tokens" in caplog.text
        caplog.clear()
        token_run.predict("Fadino came from Lubeko .")
    assert not caplog.text


def test_the_saved_model_answers_with_tensorflow_alone(token_export, token_run, tmp_path):
    """In a process without Keras; labels and places are those that the run decides for."""
    assert token_export.metadata["parity"]["changed"] == 0
    (told,) = page_outputs(token_export)
    assert told["activation"] == "words"  # how the page shows it
    text = "the mayor of St. Lubeko is Fadino Kara."
    code = (
        "import json, sys, tensorflow as tf\n"
        f"model = tf.saved_model.load({str(token_export.folder)!r})\n"
        "serve = model.signatures['serving_default']\n"
        f"found = serve(text=tf.constant([{text!r}, '']))\n"
        "assert 'keras_transfer' not in sys.modules\n"
        "rows = {n: x.numpy().tolist() for n, x in found.items()}\n"
        "rows['labels'] = [[y.decode() for y in row] for row in rows['labels']]\n"
        "print(json.dumps(rows))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    names = token_run.outputs["label"].names
    (one,) = token_run.predict(text)
    expected = [names[i] for i in one.probabilities[one.words.tokens].argmax(axis=-1)]
    count = len(expected)
    assert found["labels"][0] == expected + [""] * (40 - count)
    spans = [*zip(found["starts"][0][:count], found["ends"][0][:count], strict=True)]
    assert [text[start:end] for start, end in spans][:5] == ["the", "mayor", "of", "St", "."]
    assert found["labels"][1] == [""] * 40
    exported = token_export.predict(text)[0].label
    assert [entity["text"] for entity in exported] == [entity["text"] for entity in one.label]


@pytest.mark.slow
def test_a_resumed_run_equals_one_that_was_never_interrupted(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    stages = (Stage("head", epochs=1), Stage("tune", unfreeze="all", epochs=2))
    recipe = token_recipe(write_conll(tmp_path / "data"), stages=stages)
    with moments(home, tmp_path / "copies") as found:
        run = recipe.run(out=home / "run", name="tokens")
    whole = {name: (run.folder / name).read_bytes() for name in RESULTS}
    last = [one for one in found if one.operation == "open run/.history.part.csv"][-1]

    keras.utils.clear_session()
    again = recipe.run(out=last.folder / "run", name="tokens", resume=True)

    assert {name: (again.folder / name).read_bytes() for name in RESULTS} == whole

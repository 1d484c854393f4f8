"""SetFit: a head that is solved on the embeddings of the tuned network; killed and resumed."""

import csv
import logging
import random

import keras
import numpy as np
import pytest
from processes import paint
from sklearn.metrics import log_loss
from stops import Stop
from tiny import RECIPE

import keras_transfer
from keras_transfer import Classify, Head, SetFit, Stage, Text, runs
from keras_transfer.runs.split_table import read_rows

TOPICS = {"sport": ("ball", "goal", "team", "coach"), "food": ("soup", "bread", "salt", "oven")}
OTHER = ("the", "a", "of", "is", "and", "was", "it", "with")


def write_texts(file):
    """Texts of two topics, whose words occur in all splits."""
    rng = random.Random(0)
    rows = []
    for split, n in (("train", 24), ("val", 12), ("test", 20)):
        for place in range(n):
            topic = list(TOPICS)[place % 2]
            words = [*rng.sample(TOPICS[topic], 2), *rng.sample(OTHER, 3)]
            rng.shuffle(words)
            rows.append([" ".join(words), topic, split])
    with file.open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([["text", "label", "split"], *rows])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    file = tmp_path_factory.mktemp("texts") / "texts.csv"
    write_texts(file)
    return Classify(
        data=str(file),
        input=Text(length=8, vocabulary_size=60),
        backbone="transformer_tiny",
        weights="none",
        method=SetFit(iterations=5),
        batch_size=8,
        stages=(Stage("pairs", epochs=2, unfreeze="all", learning_rate=3e-3),),
        calibrate="none",
        baselines=("none",),
    )


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    work = tmp_path_factory.mktemp("setfit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(work / "cache"))
        return recipe.run(name="setfit", out=work / "run")


def history(run):
    with (run.folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row | {key: float(row[key]) for key in list(row)[1:]} for row in rows]


@pytest.mark.slow
def test_pairs_become_alike_and_the_classes_are_told_apart(run):
    rows = history(run)

    assert rows[-1]["embedding_loss"] < 0.3 * rows[0]["embedding_loss"]
    assert run.metrics["test"]["accuracy"] >= 0.9


@pytest.mark.slow
def test_the_metrics_of_an_epoch_are_those_of_its_solved_head(recipe, run):
    """By scikit-learn, from the saved model's own predictions of val."""
    with open(recipe.data.source, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    answers = keras_transfer.load(run.folder).predict([row["text"] for row in rows])
    scores = [answer.probabilities for answer in answers]
    best = min(row["val_loss"] for row in history(run))

    expected = log_loss([row["label"] for row in rows], scores, labels=sorted(TOPICS))
    assert best == pytest.approx(expected, abs=2e-4)


def test_the_frozen_network_and_counted_words_are_baselines(recipe, tmp_path):
    """On the same examples as the run, of which the recipe takes a part."""
    half = recipe.changed(baselines=(), split={"train": 0.5})
    run = half.run(name="setfit", out=tmp_path / "run")
    baselines = run.metrics["baselines"]
    tables = [read_rows(folder / "split.csv") for folder in (run.folder, run.folder / "frozen")]
    assert tables[0] == tables[1]
    assert sum(row["split"] == "train" for row in tables[0]) == 12

    assert {"frozen", "tfidf_svm", "majority"} <= {*baselines}
    (stage,) = runs.stored_settings(run.folder / "frozen")["stages"]
    assert stage["optimizer"]["solver"] == "logistic"


def test_a_run_that_was_stopped_resumes_as_if_it_was_not(
    recipe, run, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("KT_CACHE_DIR", str(tmp_path / "cache"))
    caplog.set_level(logging.INFO, "keras_transfer")
    stop = Stop("pairs 2/2")
    logging.getLogger("keras_transfer").addHandler(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            recipe.run(name="setfit", out=tmp_path / "run")
    finally:
        logging.getLogger("keras_transfer").removeHandler(stop)
    again = recipe.run(name="setfit", out=tmp_path / "run", resume=True)

    assert again.metrics["test"] == run.metrics["test"]
    for one, other in zip(*map(weights, (run, again)), strict=True):
        np.testing.assert_array_equal(one, other)


def weights(run):
    return keras.models.load_model(run.folder / "best.keras").get_weights()


def test_images_too(tmp_path, monkeypatch):
    """From features of a frozen prefix; classes differ in number, so pairs are balanced."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "images", blue=12, red=16, green=9)
    stage = Stage("pairs", epochs=2, unfreeze="block3", learning_rate=1e-3)
    tiny = RECIPE.changed(head=Head(), method="setfit", stages=[stage], batch_size=12)
    run = tiny.run(name="images")

    assert run.metrics["test"]["accuracy"] > run.metrics["baselines"]["majority"]["accuracy"]
    assert "frozen" in run.metrics["baselines"]

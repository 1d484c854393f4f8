"""Runs of masked words: what they learn, how they resume, and what others take from them."""

import csv
import json
import os

import keras
import numpy as np
import pytest
from kills import moments
from pretraining_runs import BRIEF, CAPITALS, WORLD, write_world
from processes import kt
from texts_runs import write_table

import keras_transfer
from keras_transfer import Classify, Stage, Text
from keras_transfer.errors import BadConfiguration, BadData, BadWeights
from keras_transfer.evaluation.masked_words import Answers, masked_metrics
from keras_transfer.inputs.texts.vocabulary import Vocabulary
from keras_transfer.reports.writing import write_report
from keras_transfer.runs.likely_words import likely_words
from keras_transfer.runs.records import RUN, read_record

RESULTS = (
    "history.csv", "metrics.json", "predictions.csv", "predictions_val.csv", "split.csv",
    "vocabulary.txt", "preprocessing.json",
)  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    write_world(home / "world.txt")
    monkeypatch.chdir(home)
    monkeypatch.setenv("KT_CACHE_DIR", "cache")
    return home


def test_the_facts_of_a_tiny_world_are_learnt(home):
    run = WORLD.run(out="run", name="mlm")

    test, baselines = run.metrics["test"], run.metrics["baselines"]
    assert test["perplexity"] < 3 < 5 < baselines["unigram"]["perplexity"]
    assert baselines["unigram"]["perplexity"] < baselines["before_training"]["perplexity"]
    assert test["masked_accuracy"] > baselines["unigram"]["masked_accuracy"]
    texts = [f"the capital of {country} is [MASK]" for country in CAPITALS]
    words = [masks[0][0][0] for masks in likely_words(run, texts, 1)]
    # Some of these sentences are held out, so not every one must be known.
    right = [word == city for word, city in zip(words, CAPITALS.values(), strict=True)]
    assert sum(right) >= 5, words
    perplexities = [row["val_perplexity"] for row in run.history]
    assert perplexities[-1] < perplexities[10] < perplexities[0]


def answers_in(file):
    with file.open() as table:
        rows = [*csv.DictReader(table)]
    keys = [row["path"] for row in rows]
    columns = ([row[name] for row in rows] for name in ("position", "true", "predicted"))
    logs = np.array([row["log_probability"] for row in rows], float)
    return Answers(np.array(keys), *map(np.array, columns), logs)


def test_metrics_can_be_worked_out_again_from_the_file(brief_run):
    digests = {}
    with (brief_run.folder / "split.csv").open() as table:
        for row in csv.DictReader(table):
            digests[row["path"]] = row["digest"]
    for name, split in (("predictions", "test"), ("predictions_val", "val")):
        found, stored = answers_in(brief_run.folder / f"{name}.csv"), brief_run.metrics[split]
        metrics = masked_metrics(found)
        assert metrics["n"] == stored["n"]
        assert metrics["masked_accuracy"] == stored["masked_accuracy"]
        assert metrics["perplexity"] == pytest.approx(stored["perplexity"], rel=1e-4)
        assert len({digests[key] for key in found.texts}) == stored["texts"]


def test_what_an_epoch_says_of_val_is_what_the_file_says(brief_run):
    """The same masks in training and in evaluation: padding and batches have no influence."""
    best = min(brief_run.history, key=lambda row: row["val_perplexity"])
    stored = brief_run.metrics["val"]

    assert best["val_perplexity"] == pytest.approx(stored["perplexity"], rel=1e-4)
    assert best["val_accuracy"] == pytest.approx(stored["masked_accuracy"], abs=1e-6)


def test_the_unigram_counts_the_tokens_of_train(brief_run):
    vocabulary = Vocabulary.read(brief_run.folder / "vocabulary.txt", True)
    texts = brief_run.folder.parent.joinpath("world.txt").read_text().splitlines()
    with (brief_run.folder / "split.csv").open() as table:
        train = [r["path"] for r in csv.DictReader(table) if r["split"] == "train"]
    bound = Text(length=12).bind(vocabulary)
    tokens = [
        token
        for key in train
        for token in np.ravel(
            bound.prepare(np.array([texts[int(key.split(":")[1]) - 1]]))["token_ids"]
        )
    ]
    counts = np.bincount(tokens, minlength=len(vocabulary)).astype(float)
    counts[[*vocabulary.special.values()]] = 0
    found = answers_in(brief_run.folder / "predictions.csv")
    places = [vocabulary.tokens.index(token) for token in found.true]
    logs = np.log((counts[places] + 1) / (counts + 1).sum())

    stored = brief_run.metrics["baselines"]["unigram"]
    assert stored["perplexity"] == pytest.approx(np.exp(-logs.mean()))
    best = vocabulary.tokens[int(counts.argmax())]
    assert stored["masked_accuracy"] == pytest.approx(np.mean(found.true == best))


NARROW = (
    ("open run/.history.part.csv", 0),  # the state of the first epoch is there
    ("os.rename run/.metrics.part.json", -1),
)


def run_again(moment):
    os.chdir(moment.folder)
    keras.utils.clear_session()
    BRIEF.run(out="run", name="mlm", resume=True)
    return moment.folder / "run"


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_killed_run_is_finished_as_if_it_had_not_been(home, tmp_path, every):
    with moments(home, tmp_path / "copies") as found:
        BRIEF.run(out="run", name="mlm")
    whole = {name: (home / "run" / name).read_bytes() for name in RESULTS}
    weights = keras_transfer.load(home / "run").model.get_weights()

    narrow = [[m for m in found if m.operation == name][place] for name, place in NARROW]
    for moment in found if every else narrow:
        status = moment.folder / "run" / RUN
        if not status.exists() or read_record(status, {})["status"] == "done":
            continue
        folder = run_again(moment)
        assert {name: (folder / name).read_bytes() for name in RESULTS} == whole, moment
        again = keras_transfer.load(folder).model.get_weights()
        assert all(map(np.array_equal, weights, again)), moment


CLASSIFY = Classify(
    data="reviews.csv",
    input=Text(length=12),
    backbone="transformer_tiny",
    batch_size=8,
    stages=(Stage("head", epochs=1),),
    baselines=("none",),
)


def backbone_weights(run):
    return {weight.path: weight.numpy() for weight in run.network.backbone.weights}


def test_a_classifier_takes_network_and_vocabulary(home, brief_run):
    write_table(home)
    run = CLASSIFY.run(weights=f"run:{brief_run.folder}", out="run")

    assert run.settings["backbone"]["weights"] == f"run:{brief_run.folder}"
    for name in ("vocabulary.txt", "preprocessing.json"):
        assert (run.folder / name).read_bytes() == (brief_run.folder / name).read_bytes()
    # The stage trains the head alone, so that the backbone is still the one of the pretraining.
    given, found = backbone_weights(brief_run), backbone_weights(run)
    assert {*given} == {*found}
    assert all(np.array_equal(given[path], found[path]) for path in given)
    assert run.predict("paris is good")[0].top(1)


def test_another_network_is_refused_before_data_are_read(home, brief_run):
    recipe = CLASSIFY.changed(backbone="transformer_small", weights=f"run:{brief_run.folder}")
    (home / "reviews.csv").write_text("text,label\n")
    with pytest.raises(BadWeights, match=r"transformer_tiny.*--backbone transformer_tiny"):
        recipe.run(out="run")


def test_another_case_of_words_is_refused(home, brief_run):
    write_table(home)
    with pytest.raises(BadConfiguration, match="Leave lowercase out"):
        CLASSIFY.run(weights=f"run:{brief_run.folder}", lowercase=False, out="run")


def test_pairs_need_embeddings_that_single_texts_do_not_train(home, brief_run):
    (home / "pairs.csv").write_text("text_a,text_b,label\na,b,x\nc,d,y\n" * 8)
    recipe = CLASSIFY.changed(input={"type": "text_pair", "length": 12})
    with pytest.raises(BadWeights, match="embeddings_segment"):
        recipe.run("pairs.csv", weights=f"run:{brief_run.folder}", out="run")


def test_pretraining_goes_on_from_a_run_with_its_head(home, brief_run):
    run = BRIEF.run(weights=f"run:{brief_run.folder}", epochs=1, out="run")

    before = run.metrics["baselines"]["before_training"]
    # The same texts, vocabulary and masks, by the network as it was left.
    for name in ("perplexity", "masked_accuracy", "n"):
        assert before[name] == pytest.approx(brief_run.metrics["test"][name], rel=1e-5)


def test_the_command_prints_metrics_beside_the_baselines(home):
    words = ("--backbone", "transformer_tiny", "--weights", "none", "--length", 12, "--limit", 60)
    short = ("--epochs", 1, "--precision", "float32")
    done = kt("run", "mlm", "--data", "world.txt", *words, *short, cwd=home, check=0)

    assert "masked accuracy" in done.stdout
    assert "before training: masked accuracy" in done.stdout
    assert "unigram: masked accuracy" in done.stdout
    assert "starts with random weights" in done.stderr
    run = "runs/mlm/1"
    told = kt("predict", run, "[MASK] is the capital", "--top-k", 2, "--format", "jsonl", cwd=home)
    assert [len(json.loads(line)["top"]) for line in told.stdout.splitlines()] == [2]
    refused = kt("predict", run, "no mask", cwd=home)
    assert refused.returncode == 3
    assert "has no [MASK]" in refused.stderr


def test_what_needs_labels_is_refused(brief_run, tmp_path):
    tasks = {
        "evaluate": lambda: brief_run.evaluate(),
        "predict": lambda: brief_run.predict("a film"),
        "export": lambda: keras_transfer.export(brief_run, tmp_path),
        "report": lambda: write_report(brief_run.folder),
        "repeat": lambda: keras_transfer.repeat(BRIEF, 2, out=tmp_path / "seeds"),
        "curve": lambda: keras_transfer.learning_curve(BRIEF, [0.5], out=tmp_path / "curve"),
        "features": lambda: BRIEF.features(),
    }
    for name, task in tasks.items():
        with pytest.raises(BadConfiguration, match=r"pretraining.*--weights run:"):
            task()
        assert not (tmp_path / name).exists()
    assert [*tmp_path.iterdir()] == []


def test_words_for_masks_are_probabilities(brief_run):
    ((first, second),) = likely_words(brief_run, "[MASK] is the capital of [MASK]", 1000)

    for words in (first, second):
        shares = [share for _, share in words]
        assert sum(shares) == pytest.approx(1, abs=1e-4)
        assert shares == sorted(shares, reverse=True)
    with pytest.raises(BadData, match="behind its first 10 tokens"):
        likely_words(brief_run, "the " * 10 + "[MASK]")

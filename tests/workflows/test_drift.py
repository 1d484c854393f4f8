"""Drift of new examples against a run, with labels and without, by the command."""

import csv
import json
import random

import numpy as np
import pytest
from darkened import darken
from PIL import Image
from processes import COLOURS, kt
from texts_runs import BAD, GOOD, OTHER
from tiny import RECIPE

import keras_transfer
from keras_transfer import FineTune, Run, Split, Stage, Text
from keras_transfer.cli.drift import has_no_labels
from keras_transfer.data.samples import Samples
from keras_transfer.workflows.domain_measures import Domain
from keras_transfer.workflows.domain_report import Comparison
from keras_transfer.workflows.domain_target import Drawn
from keras_transfer.workflows.drift import judged, measure_drift

TRAINED = RECIPE.changed(
    batch_size=32,
    stages=[{"name": "all", "epochs": 2, "unfreeze": "all", "learning_rate": 3e-3}],
    split=Split(val=60, test=60),
    augment={},
    baselines=("none",),
)


def paint(folder, seed, n, labelled=True):
    """Noise with a colour a class."""
    rng = np.random.default_rng(seed)
    for name in ("blue", "red"):
        home = folder / name if labelled else folder
        home.mkdir(parents=True, exist_ok=True)
        for number in range(n):
            pixels = rng.integers(0, 120, (20, 24, 3))
            pixels[..., COLOURS[name]] += 100
            Image.fromarray(pixels.astype("uint8")).save(home / f"{name}{number}.png")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drift")
    paint(folder / "images", 0, 80)
    paint(folder / "same", 1, 60)
    paint(folder / "unlabelled", 2, 60, labelled=False)
    paint(folder / "few", 3, 12, labelled=False)
    darken(folder / "dark", folder / "same", labelled=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(folder / "cache"))
        TRAINED.run(data=str(folder / "images"), out=folder / "run", name="tiny")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(work, monkeypatch):
    monkeypatch.setenv("KT_CACHE_DIR", str(work / "cache"))


def test_the_command_says_whether_to_trust(work):
    said = kt("evaluate", "run", "--data", "unlabelled", cwd=work, check=0).stdout
    assert said.startswith("Trust it as before: no drift was found in 120 new examples")
    assert "confidence (Kolmogorov-Smirnov; D)" in said
    said = kt("evaluate", "run", "--data", "dark", "--json", cwd=work, check=0).stdout
    document = json.loads(said)
    assert "metrics" not in document
    found = document["drift"]
    assert "features" in found["found"]
    assert found["trust"] in ("care", "no")
    assert "have drifted" in found["text"]
    assert found["tests"]["features"]["effect"] > 0.5
    written = json.loads((work / found["file"]).read_text("utf-8"))
    assert written["tests"] == found["tests"]


def test_few_examples_are_said_to_be_few(work):
    path, found = measure_drift(work / "run", str(work / "few"))
    assert path.parent.parent.name == "evaluations"
    assert found["trust"] == "unknown"
    assert "no drift was found, but 24 new examples are few" in found["text"]
    assert found["detectable"] > 0.2
    assert max(found["tests"][name]["p_value"] for name in found["tests"]) > 0.05


def test_labels_measure_what_is_lost(work):
    said = kt("evaluate", "run", "--data", "same", "--drift", cwd=work, check=0).stdout
    assert "accuracy" in said
    assert "the accuracy is " in said
    assert "Accuracy on the new ones:" in said


def test_what_has_labels(work):
    run = Run(work / "run")
    table = work / "new.csv"
    table.write_text("path\nunlabelled/red0.png\n")
    assert has_no_labels(run, str(work / "unlabelled"))
    assert has_no_labels(run, str(work / "unlabelled/*.png"))
    assert has_no_labels(run, str(table))
    assert not has_no_labels(run, str(work / "same"))
    assert not has_no_labels(run, None)


def test_what_is_refused_says_what_to_do(work, tmp_path):
    said = kt("evaluate", "run", "--drift", cwd=work, check=2).stderr
    assert "give --data" in said
    said = kt("evaluate", "run", "--data", "dark", "--tta", "flip", cwd=work, check=2).stderr
    assert "has no labels, which --tta would be measured by" in said
    export = keras_transfer.export(Run(work / "run"), tmp_path / "export", format="keras")
    said = kt("evaluate", export.folder, "--data", "dark", cwd=work, check=2).stderr
    assert "Name the run" in said
    assert "has no labels" in said


def compared(p, effect=0.05, wrong=0.0, value=0.0, low=-0.01, measured=False, target=500):
    """Two domains of which the model says the same, and what was measured of them."""
    rng, domains = np.random.default_rng(0), []
    for n in (500, target):
        samples = Samples.of(None, ["a", "b"], [str(i) for i in range(n)], [0] * n)
        domains.append(Domain(samples, np.zeros((n, 1)), rng.dirichlet([1, 1], n), None))
    found = {
        "distances": {"mmd_p_value": p, "a_distance": 2 * effect},
        "label_shift": {"least_error": wrong},
        "loss": {"value": value, "low": low, "measured": measured, "source": 0.9},
        "accuracy": {},
        "source": {},
        "target": {"examples": target},
    }
    return Comparison(found, *domains, Drawn(samples, samples, np.array([])), np.zeros(target))


@pytest.mark.parametrize(
    ("given", "trust"),
    [
        ({"p": 0.5}, "yes"),
        ({"p": 0.5, "target": 30}, "unknown"),
        ({"p": 0.005}, "care"),
        ({"p": 0.005, "value": 0.03}, "no"),
        # Estimates are not believed where all examples look different.
        ({"p": 0.005, "effect": 0.9}, "no"),
        ({"p": 0.005, "effect": 0.9, "measured": True}, "care"),
        ({"p": 0.5, "value": 0.1, "low": 0.05, "measured": True}, "no"),
        ({"p": 0.5, "value": 0.1, "low": -0.05, "measured": True}, "yes"),
    ],
)
def test_the_sentence_follows_from_the_numbers(given, trust):
    found = judged(compared(**given), 0)
    assert found["trust"] == trust
    assert f"{0.9 - given.get('value', 0):.3f} instead of 0.900" in found["text"]


def reviews(path, seed, n, labelled=True, words=OTHER):
    """A table of made-up reviews."""
    rng = random.Random(seed)
    rows = []
    for place in range(n):
        said = rng.sample(GOOD if place % 2 else BAD, 2) + rng.choices(words, k=6)
        label = ["good" if place % 2 else "bad"] if labelled else []
        rows.append([" ".join([*said, str(rng.random())]), *label])
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"][: 1 + labelled], *rows])
    return str(path)


def test_texts(tmp_path):
    recipe = FineTune(
        data=reviews(tmp_path / "reviews.csv", 0, 160),
        input=Text(length=12, vocabulary_size=120),
        backbone="transformer_tiny",
        weights="none",
        batch_size=16,
        split=Split(val=40, test=40),
        stages=(Stage("all", epochs=1, unfreeze="all"),),
        baselines=("none",),
    )
    run = recipe.run(out=tmp_path / "run", name="texts")
    same = reviews(tmp_path / "same.csv", 1, 80, labelled=False)
    assert has_no_labels(run, same)
    assert measure_drift(run.folder, same)[1]["found"] == []
    wheat = ["price", "tons", "wheat", "export", "export", "harbour"]
    other = reviews(tmp_path / "other.csv", 2, 80, labelled=False, words=wheat)
    assert "features" in measure_drift(run.folder, other)[1]["found"]

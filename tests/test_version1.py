"""Files of version 1: a finished run, an interrupted one, an export, a recipe and its weights.

They were written by version 1 on another machine, in the folder /work/fix; the data are digits of
scikit-learn. Features were kept in bfloat16, which has eight bits: what the full network predicts
differs from the stored predictions by up to 0.0009, in version 1 as today. A new run keeps them in
bfloat16 or float32, whichever a timing finds faster, so its numbers differ by as much.
"""

import csv
import json
import shutil
import tarfile
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from processes import kt

import keras_transfer
from keras_transfer import Classify, Export, Run
from keras_transfer.evaluation.predictions import read_predictions

FILES = Path(__file__).parent / "fixtures/version1.tar.xz"
BFLOAT16 = 2e-3
"""How far the same network, or the same training, may lie apart on features of other types."""
CPU = 1e-4
"""How far the same training on features of the same type may lie apart on two processors."""

STAGES = [
    {"name": "head", "epochs": 3, "learning_rate": 0.01},
    {"name": "slow", "epochs": 3, "learning_rate": 0.003, "schedule": "cosine"},
]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("version1")
    with tarfile.open(FILES) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def here(unpacked, tmp_path, monkeypatch):
    """A copy to work in."""
    folder = tmp_path / "fix"
    shutil.copytree(unpacked, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(here):
    return keras_transfer.load("done")


def rows(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def numbers(history):
    """Stage and epoch of each row, and its metrics."""
    names = [(row.pop("stage"), int(row.pop("epoch"))) for row in history]
    return names, np.array([[float(value) for value in row.values()] for row in history])


def tolerance(run):
    """For a new run beside the one of version 1: by the types that its features had."""
    reports = json.loads((run / "run.json").read_text())["features"].values()
    return CPU if {report["precision"] for report in reports} == {"bfloat16"} else BFLOAT16


def assert_same_history(one, other):
    (names, found), (known_names, known) = numbers(rows(one)), numbers(rows(other))
    assert names == known_names
    np.testing.assert_allclose(found, known, atol=tolerance(one.parent))


def assert_same_predictions(one, other, atol):
    found, known = read_predictions(one), read_predictions(other)
    assert list(found.keys) == list(known.keys)
    np.testing.assert_array_equal(found.true, known.true)
    np.testing.assert_allclose(found.probabilities, known.probabilities, atol=atol)


def test_a_run_loads(run):
    assert run.classes == ("0", "1", "2")
    assert run.metadata["recipe"] == "tiny_digits"
    assert [(row["stage"], row["epoch"]) for row in run.history] == [
        (stage, epoch) for stage in ("head", "slow") for epoch in (1, 2, 3)
    ]
    assert "accuracy           0.367" in run.report()


def assert_in_words_of_today(settings):
    """A recipe of today has exactly these settings."""
    assert Classify(**settings).settings() == settings
    assert settings["data"]["source"] == "sklearn:digits"
    assert settings["data"]["classes"] == ["0", "1", "2"]
    assert settings["backbone"]["weights"] == "start.weights.h5"
    assert settings["input"]["augment"]["rotation_range"] == 10
    assert settings["objective"]["label_smoothing"] == 0.05
    assert settings["head"]["dropout"] == 0.1
    slow = settings["stages"][1]
    assert (slow["optimizer"]["momentum"], slow["average"]["ema"]) == (0.8, 0.9)
    assert [{name: stage[name] for name in wanted} for stage, wanted in zip(
        settings["stages"], STAGES, strict=True
    )] == STAGES  # fmt: skip


def test_settings_are_in_the_words_of_today(run):
    assert_in_words_of_today(run.settings)
    assert_in_words_of_today(Export("models/tiny_digits").settings)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"epochs": 5}, lambda s: [stage["epochs"] for stage in s["stages"]] == [5, 5]),
        (
            {"lr": 0.1},
            lambda s: (
                [stage["learning_rate"] for stage in s["stages"]] == [0.1, pytest.approx(0.03)]
            ),
        ),
        ({"lr": "auto"}, lambda s: s["stages"][0]["learning_rate"] == "auto"),
        ({"views": 2}, lambda s: [stage["views"] for stage in s["stages"]] == [2, 2]),
        ({"schedule": "bit"}, lambda s: [stage["name"] for stage in s["stages"]] == ["bit"]),
        ({"ensemble": "bagging:3"}, lambda s: s["method"] == {"type": "bagging", "members": 3}),
        ({"ensemble": "boosting"}, lambda s: s["baselines"] == ["boosted_trees"]),
        ({"baseline": True}, lambda s: s["baselines"] == ["scratch"]),
        (
            {"ensemble": "boosting", "baseline": True},
            lambda s: s["baselines"] == ["scratch", "boosted_trees"],
        ),
        (
            {"head": {"pooling": "avg", "units": [4], "batch_norm": True}},
            lambda s: s["head"]["batch_normalization"],
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_other_settings_of_version_1(here, changes, wanted):
    """What else stood in its recipe.yaml, such as shorthand that is no longer stored."""
    file = here / "done/recipe.yaml"
    stored = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**stored, **changes}))

    settings = Run("done").settings

    assert wanted(settings)
    assert not {"epochs", "lr", "views", "schedule", "ensemble", "baseline"} & set(settings)
    Classify(**settings)


def test_settings_of_a_later_version_are_refused(run):
    file = run.folder / "recipe.yaml"
    file.write_text("version: 3\n" + file.read_text())
    with pytest.raises(keras_transfer.BadConfiguration, match=r"version 3, .* Upgrade"):
        _ = run.settings


def test_it_is_evaluated_as_it_was(run):
    """The log loss by version 1 itself, from the full network: 1.08042; from features: 1.08012."""
    metrics = run.evaluate()

    stored = run.metrics["test"]
    assert metrics["log_loss"] == pytest.approx(1.0804191, abs=1e-5)
    assert metrics["log_loss"] == pytest.approx(stored["log_loss"], abs=BFLOAT16)
    for name in ("n", "accuracy", "macro_f1", "confusion_matrix", "minority_class", "per_class"):
        assert metrics[name] == stored[name], name
    assert_same_predictions(
        Path("done/evaluations/1/predictions.csv"), Path("done/predictions.csv"), BFLOAT16
    )


def test_the_old_export_answers_as_the_run(run, here, tmp_path, caplog):
    """The graph in it is that of version 1, which wrote no checksums."""
    digits = keras.utils.array_to_img(np.arange(8 * 8 * 3).reshape(8, 8, 3))
    digits.save(here / "image.png")
    export = Export("models/tiny_digits")

    (found,), (wanted,) = (source.predict("image.png") for source in (export, run))
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-5)

    one, other = (source.evaluate("sklearn:digits") for source in (export, run))
    assert one["n"] == other["n"] == 537  # 178 + 182 + 177 of these digits
    assert one["accuracy"] == other["accuracy"]
    assert one["log_loss"] == pytest.approx(other["log_loss"], abs=1e-5)
    assert caplog.text.count("has no checksums") == 1


@pytest.mark.parametrize("form", ["saved_model", pytest.param("keras", marks=pytest.mark.slow)])
def test_it_exports(run, tmp_path, form):
    export = keras_transfer.export(run, tmp_path / "models", format=form)

    assert export.metadata["parity"]["changed"] == 0
    assert export.metadata["parity"]["largest_difference"] < 1e-5
    assert_in_words_of_today(export.settings)
    stored = json.loads((export.folder / "export.json").read_text())
    assert stored["settings"]["version"] == 2


def test_an_interrupted_run_resumes_by_the_old_recipe(here):
    """Version 1 was killed in the second of the stage's epochs."""
    assert len(rows(here / "interrupted/history.csv")) == 4

    done = kt("run", "tiny_digits.py", "--out", "interrupted", "--resume", cwd=here, check=0)

    assert "version: 2" in (here / "interrupted/recipe.yaml").read_text(), done.stderr
    assert_same_history(here / "interrupted/history.csv", here / "done/history.csv")
    for name in ("predictions.csv", "predictions_val.csv"):
        atol = tolerance(here / "interrupted")
        assert_same_predictions(here / "interrupted" / name, here / "done" / name, atol)


@pytest.mark.parametrize(
    "words", [("tiny_digits.py",), ("digits", "-c", "done/recipe.yaml")], ids=["recipe", "file"]
)
def test_what_version_1_was_told_runs_as_it_did(here, words):
    """The recipe's file with its flat settings, and a file of settings for another recipe."""
    kt("run", *words, "--out", "again", cwd=here, check=0)

    assert Run(here / "again").settings == Run(here / "done").settings
    assert_same_history(here / "again/history.csv", here / "done/history.csv")
    atol = tolerance(here / "again")
    assert_same_predictions(here / "again/predictions.csv", here / "done/predictions.csv", atol)


def test_weights_of_an_old_run(run):
    """Its backbone is taken over, and stays as it is in a stage of the head."""
    recipe = Classify(**run.settings)
    new = recipe.run(out="new", name="new", weights="run:done", stages=[{"name": "a", "epochs": 1}])

    for mine, its in zip(
        new.model.get_layer("backbone").get_weights(),
        run.model.get_layer("backbone").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, its)

"""What trackers are told of a run: settings, epochs and metrics by name."""

import json

import pytest

from keras_transfer import Classify, Stage
from keras_transfer.runs import fingerprint
from keras_transfer.tracking.contents import (
    epochs,
    files,
    parameters,
    test_metrics,
    tracked_run,
)

test_metrics.__test__ = False  # pytest would take it for a test


def test_settings_by_path():
    recipe = Classify(
        data="images",
        backbone={"name": "mobilenet_v2", "variant": {"alpha": 0.35}},
        head={"units": (64, 32)},
        stages=(Stage("head", epochs=2), Stage("tune", unfreeze="block_13")),
        objective={"class_weight": {"cat": 2.0}},
    )

    found = parameters(recipe.settings())

    assert found["backbone.variant.alpha"] == 0.35
    assert found["head.units"] == "[64, 32]"
    assert (found["stages.0.epochs"], found["stages.1.unfreeze"]) == (2, "block_13")
    assert found["objective.class_weight.cat"] == 2.0
    assert (found["data.limit"], found["runtime.cache"]) == ("none", True)


def test_epochs_count_over_all_stages(tmp_path):
    (tmp_path / "history.csv").write_text(
        "stage,epoch,loss,val_loss,learning_rate\r\n"
        "head,1,0.5,0.75,0.1\r\nhead,2,0.25,,0.1\r\ntune,1,nan,0.5,0.01\r\n"
    )

    assert epochs(tmp_path) == [
        {"stage": 1, "loss": 0.5, "val_loss": 0.75, "learning_rate": 0.1},
        {"stage": 1, "loss": 0.25, "learning_rate": 0.1},
        {"stage": 2, "val_loss": 0.5, "learning_rate": 0.01},
    ]


def test_before_the_first_epoch_there_are_none(tmp_path):
    assert epochs(tmp_path) == []


def test_metrics_are_numbers_by_path(tmp_path):
    of_colour = {"accuracy": 0.5, "accuracy_interval": [0.25, None], "minority_class": "red"}
    document = {
        "test": {"a+b": of_colour, "a*b": {"accuracy": 0.75}, "..": {"n": 3}},
        "val": {"accuracy": None, "per_class": {"red": {"recall": 1.0}}},
        "baselines": {"scratch": {"error": "failed", "diverged": True, "curve": [1, 2]}},
        "calibration": {"ece": 0.125, "ece_interval": [0, 1]},
    }
    (tmp_path / "metrics.json").write_text(json.dumps(document))

    assert test_metrics(tmp_path) == {
        "test/a_b/accuracy": 0.5,
        "test/a_b/accuracy_interval/low": 0.25,
        "test/a_b/accuracy_": 0.75,
        "test/_/n": 3,
        "calibration/ece": 0.125,
    }


def test_names_of_classes_and_labels_are_names_that_a_tracker_takes(tmp_path):
    weights = {"red (50%)": 2.0, "red [50%]": 3.0, "a/b": 1.0, "..": 4.0}
    assert parameters({"objective": {"class_weight": weights}}) == {
        "objective.class_weight.red _50__": 2.0,
        "objective.class_weight.red _50___": 3.0,
        "objective.class_weight.a_b": 1.0,
        "objective.class_weight._": 4.0,
    }

    (tmp_path / "history.csv").write_text("stage,epoch,a+b_loss,a*b_loss\r\nhead,1,0.5,0.25\r\n")
    assert epochs(tmp_path) == [{"stage": 1, "a_b_loss": 0.5, "a_b_loss_": 0.25}]


def test_long_names_are_short_and_still_differ(tmp_path):
    document = {"test": {"recall": {"x" * 300 + end: 0.5 for end in "abc"}, "y" * 245: 1.0}}
    (tmp_path / "metrics.json").write_text(json.dumps(document))

    found = test_metrics(tmp_path)
    assert len(found) == 4
    assert {len(name) for name in found} == {250}
    assert found["test/" + "y" * 245] == 1.0


def test_a_run_has_versions_and_the_hash_of_its_split(run):
    found = tracked_run(run.folder)

    assert (found.recipe, found.series) == ("colours", "")
    assert found.name == f"{run.folder.parent.name}/{run.folder.name}"
    assert found.parameters["stages.0.learning_rate"] == pytest.approx(1e-3)
    assert found.tags["sha256.split.csv"] == fingerprint(run.split)["split.csv"]
    assert found.tags["version.keras"] == run.metadata["versions"]["keras"]
    assert found.tags["run_folder"] == str(run.folder.resolve())


def test_models_and_the_table_of_examples_are_not_kept(run):
    names = {path.name for path in files(run.folder)}

    assert {"metrics.json", "recipe.yaml", "history.csv", "predictions.csv"} <= names
    assert not {"best.keras", "last.keras", "split.csv"} & names

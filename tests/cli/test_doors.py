"""The same settings said by options, by YAML and in Python are the same run."""

import json
import runpy

import pytest
import yaml
from processes import kt

from keras_transfer import Bagging, Classify, Stage
from keras_transfer.cli.run import chosen

SETTINGS = {
    "seed": 3,
    "batch_size": 5,
    "imbalance": "class_weight",
    "mixup": 0.4,
    "mixup_off_epoch": 1,
    "label_smoothing": 0.1,
    "monitor": "val_accuracy",
    "cache": False,
    "head": {"pooling": "flatten", "units": [8], "l2": 1e-4},
    "augment": {"horizontal_flip": True, "zoom_range": [0.9, 1.1]},
    "stages": [{"name": "only", "epochs": 1, "optimizer": "sgd", "clipnorm": 1, "ema": 0.9}],
}
OPTIONS = [
    *("--seed", 3, "--batch-size", 5, "--imbalance", "class_weight", "--mixup", 0.4),
    *("--mixup-off-epoch", 1, "--label-smoothing", 0.1, "--monitor", "val_accuracy", "--no-cache"),
    *("--set", "head.pooling=flatten", "--set", "head.units=[8]", "--set", "head.l2=0.0001"),
    *("--set", "augment.horizontal_flip=yes", "--set", "augment.zoom_range=[0.9, 1.1]"),
    "--set",
    "stages=[{name: only, epochs: 1, optimizer: sgd, clipnorm: 1, ema: 0.9}]",
]


def by_options(work, out):
    kt("run", "tiny.py", *OPTIONS, "--out", out, cwd=work, check=0)


def by_yaml(work, out):
    (work / "all.yaml").write_text(yaml.safe_dump(SETTINGS))
    kt("run", "tiny.py", "-c", "all.yaml", "--out", out, cwd=work, check=0)


def by_python(work, out):
    runpy.run_path("tiny.py")["recipe"].run(name="tiny", out=out, **SETTINGS)


@pytest.fixture(scope="module")
def told(work):
    """What each door's run holds: all settings, and all answers, to the last digit."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        for door in (by_options, by_yaml, by_python):
            out = work / door.__name__
            door(work, out)
            metadata = json.loads((out / "run.json").read_text())
            found[door.__name__] = (
                {name: metadata[name] for name in ("recipe", "kind", "data")},
                yaml.safe_load((out / "recipe.yaml").read_text()),
                (out / "predictions.csv").read_text(),
            )
    return found


@pytest.mark.slow
def test_three_doors_lead_to_one_run(told):
    assert told["by_options"] == told["by_yaml"] == told["by_python"]


@pytest.mark.slow
def test_what_was_said_is_what_holds(told):
    _, settings, _ = told["by_options"]

    for name in ("seed", "monitor"):
        assert settings[name] == SETTINGS[name]
    groups = {"batches": ["batch_size", "mixup", "mixup_off_epoch"], "runtime": ["cache"]}
    groups["objective"] = ["imbalance", "label_smoothing"]
    for group, names in groups.items():
        assert {name: settings[group][name] for name in names} == {
            name: SETTINGS[name] for name in names
        }
    for group, values in (("head", settings["head"]), ("augment", settings["input"]["augment"])):
        assert {name: values[name] for name in SETTINGS[group]} == SETTINGS[group]
    (stage,) = settings["stages"]
    assert (stage["name"], stage["epochs"]) == ("only", 1)
    assert (stage["optimizer"]["name"], stage["optimizer"]["clipnorm"]) == ("sgd", 1)
    assert stage["average"]["ema"] == 0.9


def test_options_and_settings_are_put_together_before_they_are_checked():
    """Bagging is refused beside the blocks that this recipe tunes, which --set takes away."""
    tuning = Classify(
        data="photos",
        backbone="vgg16",
        stages=(Stage("head"), Stage("tune", unfreeze="block5")),
    )
    given = {"config": None, "assignments": ("stages=[{name: head}]",), "method": "bagging:3"}

    assert chosen(tuning, given).method == Bagging(members=3)

"""What a run would do, against what it then does."""

import json
import shutil
from collections import Counter

import pytest
from processes import kt, paint

from keras_transfer import Classify
from keras_transfer.runs.split_table import read_rows
from keras_transfer.workflows.dry_run import not_counted


@pytest.fixture
def place(work, tmp_path):
    """A folder of its own with the images and the recipe of ``work``."""
    for name in ("images", "tiny.py"):
        (tmp_path / name).symlink_to(work / name)
    return tmp_path


def test_the_run_does_what_the_dry_run_said(place):
    cache = {"KT_CACHE_DIR": str(place / "cache")}
    dry = ["run", "tiny.py", "--dry-run", "--track", "tensorboard"]
    before = json.loads(kt(*dry, "--json", cwd=place, check=0, **cache).stdout)
    assert sorted(path.name for path in place.iterdir()) == ["cache", "images", "tiny.py"]

    kt("run", "tiny.py", cwd=place, check=0, **cache)

    rows = read_rows(place / "runs/tiny/1/split.csv")
    assert before["examples"] == Counter(row["split"] for row in rows)
    for split, counts in before["classes"].items():
        assert counts == Counter(row["label"] for row in rows if row["split"] == split)
    record = json.loads((place / "runs/tiny/1/run.json").read_text())
    for stage in before["stages"]:
        counts = record["parameters"][stage["name"]]
        assert stage["trainable"] == counts["trainable"]
        assert stage["frozen"] == counts["total"] - counts["trainable"]
        assert (stage["epochs"], stage["steps_per_epoch"]) == (2, 2)  # 12 examples by 8
        low, high = stage["seconds"]
        assert 0 < low < high
    head, tuned = (stage["features"] for stage in before["stages"])
    assert (head["cached"], head["missing"]) == (0, record["features"]["head"]["computed"])
    assert tuned is None
    low, high = before["seconds"]
    assert 0 < low < high

    again = kt(*dry, cwd=place, check=0, **cache).stdout
    assert "features up to 'pool'" in again
    assert f"{head['missing']} in the cache, 0 to compute" in again
    assert "trained or written" in again


def test_what_it_does_not_count_is_said(place):
    options = ["--dry-run", "--json", "--baselines", "scratch", "--method", "bagging:3"]
    options += ["--set", "stages=[{name: head, epochs: 1}]"]
    document = json.loads(kt("run", "tiny.py", *options, cwd=place, check=0).stdout)

    assert document["not_counted"][:2] == ["training by bagging", "baseline scratch"]
    assert document["stages"][0]["seconds"] is None


@pytest.mark.parametrize("baselines", [("none",), ("scratch",)])
def test_the_model_without_adaptation_is_not_counted(baselines):
    """It is trained whatever the baselines are, so no option leaves it out."""
    adapted = {
        "data": "a",
        "backbone": "vgg16",
        "head": {"units": [8]},
        "method": {"type": "deep_coral", "target_data": "b"},
    }
    found = not_counted(Classify(**adapted, baselines=baselines))

    assert "the model without adaptation" in found
    assert not any("--baselines" in part for part in found)


def test_features_of_copies_and_of_a_second_stage_are_counted_once(tmp_path, work):
    paint(tmp_path / "images")
    for name in ("copy.png", "another.png"):
        shutil.copy(tmp_path / "images/red/1.png", tmp_path / "images/red" / name)
    (tmp_path / "tiny.py").symlink_to(work / "tiny.py")
    stages = "stages=[{name: one, epochs: 1}, {name: two, epochs: 1}]"
    options = ["--dry-run", "--json", "--set", stages]
    cache = {"KT_CACHE_DIR": str(tmp_path / "cache")}
    document = json.loads(kt("run", "tiny.py", *options, cwd=tmp_path, check=0, **cache).stdout)

    one, two = (stage["features"] for stage in document["stages"])
    assert sum(document["examples"].values()) == 26
    assert one["boundary"] == two["boundary"]
    assert one["missing"] + two["missing"] == 24  # each image once; test in the last stage
    assert two["cached"] == one["missing"]
    assert 0 < two["missing"] <= document["examples"]["test"]
    assert document["disk"]["features"] == one["bytes"] + two["bytes"]


def test_a_learner_has_no_steps_and_no_parameters_of_a_head(place):
    words = ["run", "features_svm", "--data", "images", "--backbone", "convnet_small"]
    words += ["--weights", "none", "--image-size", "16", "--engine", "keras", "--dry-run"]
    cache = {"KT_CACHE_DIR": str(place / "cache")}
    document = json.loads(kt(*words, "--json", cwd=place, check=0, **cache).stdout)

    (stage,) = document["stages"]
    for name in ("epochs", "steps_per_epoch", "trainable", "frozen", "seconds"):
        assert stage[name] is None
    assert stage["features"]["missing"] == 24
    assert document["not_counted"][0] == "training by svm"
    printed = kt(*words, cwd=place, check=0, **cache).stdout
    (row,) = [line.split() for line in printed.splitlines() if line.startswith(stage["name"] + " ")]
    assert row[1:] == ["-"] * 6


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--data", "nowhere"], 3, "nowhere"),
        (["--set", "stages.1.unfreeze=blok"], 2, "blok"),
        (["--out", "tiny.py"], 2, "already exists"),
        (["--resume"], 2, "--dry-run is for a new run"),
        (["--backbone", "auto"], 2, "backbone = auto is found when the run starts"),
        (["--track", "mlfow"], 2, "Did you mean 'mlflow'"),
    ],
)
def test_errors_are_those_of_a_run(place, options, code, text):
    refused = kt("run", "tiny.py", "--dry-run", *options, cwd=place, check=code)

    assert text in refused.stderr
    assert not (place / "runs").exists()


def test_a_bad_image_is_found(tmp_path, work):
    paint(tmp_path / "images")
    (tmp_path / "images/red/1.png").write_bytes(b"not an image")
    (tmp_path / "tiny.py").symlink_to(work / "tiny.py")

    refused = kt("run", "tiny.py", "--dry-run", cwd=tmp_path, check=3)

    assert "red/1.png" in refused.stderr

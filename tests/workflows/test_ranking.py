"""Rankings of backbones, and runs that take the best: ``backbone = auto``."""

import csv
import json
import shutil

import numpy as np
import pytest
from processes import paint

from keras_transfer import (
    BadConfiguration,
    CheckFailed,
    Classify,
    Head,
    Split,
    Stage,
    export,
    learning_curve,
    load,
    repeat,
)
from keras_transfer.networks.backbones import build_backbone
from keras_transfer.runs.records import replace_settings, stored_settings, write_record
from keras_transfer.studies.ranking import command, rank_backbones

# Float32 only: otherwise the speed of the machine decides on the precision, a part of cache keys.
SMALL = {"image_size": 16, "batch_size": 8, "engine": "keras", "engine_error": 0}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Images; weights of a network that sees colours, and of one that sees nothing."""
    folder = tmp_path_factory.mktemp("ranking")
    paint(folder / "images", blue=16, red=16, green=16)
    network = build_backbone("convnet_small", image_size=16)
    network.save_weights(folder / "seeing.weights.h5")
    for layer in network.layers:
        if layer.weights:
            blind = layer
    blind.set_weights([np.zeros_like(weight) for weight in blind.get_weights()])
    network.save_weights(folder / "blind.weights.h5")
    return folder


@pytest.fixture(scope="module")
def named(work):
    return [f"convnet_small={work / name}.weights.h5" for name in ("blind", "seeing")]


def recipe(work, **more):
    settings = {
        "backbone": "auto",
        "split": Split(val=0.25, test=0.25),
        "head": Head(),
        "stages": (Stage("head", epochs=1), Stage("tune", epochs=1, unfreeze=0.2)),
        **SMALL,
        **more,
    }
    return Classify(data=str(work / "images"), **settings)


@pytest.fixture(scope="module")
def ranking(work, named):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(work / "cache"))
        return rank_backbones(recipe(work), named, out=work / "ranking")


def test_what_sees_is_ranked_before_what_does_not(ranking):
    _, document = ranking
    seeing, blind = document["backbones"]

    assert seeing["weights"].endswith("seeing.weights.h5")
    assert seeing["accuracy"] == 1
    assert blind["accuracy"] <= 0.5
    assert document["examples"] == 24  # of 48: the train split alone
    assert document["classes"] == 3
    assert seeing["log_me"] > blind["log_me"]
    assert seeing["regularized_h_score"] > blind["regularized_h_score"] == pytest.approx(0)
    assert seeing["leep"] is None  # no classifier of source classes
    assert seeing["parameters"] == 288_352
    assert blind["difference"] == pytest.approx(blind["accuracy"] - 1)
    assert blind["within_noise"] is False
    assert blind["difference_interval"][1] < 0
    assert seeing["pareto"]
    assert document["agreement"] == {}


def test_the_files_of_a_ranking(ranking):
    folder, document = ranking
    with (folder / "ranking.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]

    assert [float(row["accuracy"]) for row in rows] == [
        row["accuracy"] for row in document["backbones"]
    ]
    stored = json.loads((folder / "ranking.json").read_text())
    assert stored["recommended"] == document["recommended"]
    assert (folder / "ranking.png").stat().st_size > 1000
    assert (folder / "split.csv").exists()


def test_the_command_trains_the_recommended_one(work, ranking):
    words = command(recipe(work, seed=0), ranking[1])

    assert words.startswith(f"kt-recipe run auto_folder --data {work / 'images'}")
    assert f"--backbone convnet_small --weights {work / 'seeing.weights.h5'}" in words
    assert "--set input.image_size=16" in words


def test_a_speed_that_none_reaches(work, named, tmp_path):
    auto = recipe(work, weights=",".join(named), min_images_per_s=1e9)
    with pytest.raises(CheckFailed, match=r"min_images_per_s = 1e\+09: the fastest"):
        auto.run(out=tmp_path / "run")

    document = json.loads((tmp_path / "run/ranking.json").read_text())
    assert document["recommended"] is None
    assert len(document["backbones"]) == 2
    assert command(auto, document) is None


def test_auto_is_settled_when_the_run_starts(work, ranking, named, tmp_path, monkeypatch):
    """The run has the best backbone in its settings; its features come from the ranking."""
    monkeypatch.setenv("KT_CACHE_DIR", str(work / "cache"))
    run = recipe(work, weights=",".join(named), batch_norm="train").run(out=tmp_path / "run")

    backbone = run.settings["backbone"]
    assert backbone["name"] == "convnet_small"
    assert backbone["weights"] == str(work / "seeing.weights.h5")
    assert backbone["batch_norm"] == "train"
    assert (run.folder / "ranking.csv").exists()
    assert (run.folder / "split.csv").read_text() == (ranking[0] / "split.csv").read_text()
    assert run.metadata["features"]["head"]["cached"] >= 24
    assert run.metrics["test"]["n"] == 12
    assert load(run.folder).predict(work / "images/red/0.png")[0].label in run.classes
    assert export(run, tmp_path / "models", name="auto").folder.exists()

    # As if it had been killed before it was finished: it resumes with the backbone that it has.
    before, ranked = run.metrics, (run.folder / "ranking.json").stat()
    write_record(run.folder / "run.json", {**run.metadata, "status": "running"})
    (run.folder / "metrics.json").unlink()
    again = recipe(work).run(out=run.folder, resume=True, name=run.metadata["recipe"])
    assert (run.folder / "ranking.json").stat() == ranked
    assert again.settings["backbone"] == backbone
    assert again.metrics["test"] == before["test"]


def test_a_ranking_that_is_there_is_not_repeated(work, ranking, tmp_path):
    """A run that is killed after it resumes without its candidates."""
    shutil.copy(ranking[0] / "ranking.json", tmp_path)
    auto = recipe(work, weights="convnet_small=/nowhere/gone.h5")
    found = auto.resolved(tmp_path, auto.data.source)

    assert found.backbone.weights == str(work / "seeing.weights.h5")
    assert found.changed(backbone=auto.backbone.model_dump()).settings() == auto.settings()


def test_settings_that_are_replaced_are_those_that_resume(tmp_path):
    metadata = {"recipe": "tiny", "status": "running"}
    for size in (16, 32):
        replace_settings(tmp_path, metadata, {"image_size": size})
        assert stored_settings(tmp_path)["image_size"] == size


def test_what_has_several_runs_needs_a_name(work):
    for study in (lambda auto: repeat(auto, 2), learning_curve, lambda auto: auto.check_network()):
        with pytest.raises(BadConfiguration, match="kt-recipe rank"):
            study(recipe(work))


def test_other_objectives_are_not_ranked(work, named, tmp_path):
    other = Classify(data=str(work / "images"), backbone="convnet_small", objective="multilabel")
    with pytest.raises(BadConfiguration, match="one label each"):
        rank_backbones(other, named, out=tmp_path / "ranking")
    assert not (tmp_path / "ranking").exists()

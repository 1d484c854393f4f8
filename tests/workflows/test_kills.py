"""A command that is killed before any operation on files is finished by the same command."""

import os
from pathlib import Path

import keras
import pytest
from kills import moments
from processes import paint
from tiny import RECIPE

import keras_transfer
from keras_transfer.runs.records import RUN, read_record

STAGES = [{"name": "head", "epochs": 1}, {"name": "all", "epochs": 1, "unfreeze": "all"}]
RESULTS = (
    "history.csv", "metrics.json", "outputs.json", "predictions.csv", "predictions_val.csv",
    "split.csv",
)  # fmt: skip
NARROW = (
    ("open run/.run.part.json", 0),  # the log is there, no record
    ("open run/.recipe.part.yaml", 0),
    ("os.rename run/.last.part.keras", -1),
    ("os.rename run/.metrics.part.json", -1),
    ("os.rename run/.run.part.json", -1),
)
"""Operations around which earlier versions lost a run, and which of that name."""


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    paint(home / "images")
    monkeypatch.chdir(home)
    monkeypatch.setenv("KT_CACHE_DIR", "cache")
    return home


def narrow(found):
    """The moments that a quick test looks at."""
    return [
        [moment for moment in found if moment.operation == operation][place]
        for operation, place in NARROW
    ]


def run_again(moment, recipe):
    """What the user does after a kill: the same command, with --resume where there is a run."""
    os.chdir(moment.folder)
    keras.utils.clear_session()
    recipe.run(out="run", name="tiny", resume=Path("run").is_dir())
    return Path("run").resolve()


def left_over(folder):
    """Files of training that a finished run does not need."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if ".part" in path.name or path.suffix == ".npz" or path.name == "epochs"
    ]


@pytest.mark.parametrize(
    "chosen",
    [narrow, pytest.param(list, marks=pytest.mark.slow)],
    ids=["narrow places", "every operation"],
)
def test_a_killed_run_is_finished_as_if_it_had_not_been(home, tmp_path, chosen):
    recipe = RECIPE.changed(stages=STAGES)
    with moments(home, tmp_path / "copies") as found:
        recipe.run(out="run", name="tiny")
    whole = {name: (home / "run" / name).read_bytes() for name in RESULTS}

    for moment in chosen(found):
        status = moment.folder / "run" / RUN
        if status.exists() and read_record(status, {})["status"] == "done":
            continue  # nothing to resume
        folder = run_again(moment, recipe)
        assert {name: (folder / name).read_bytes() for name in RESULTS} == whole, moment
        assert not left_over(folder), moment
        assert keras_transfer.load(folder).report()

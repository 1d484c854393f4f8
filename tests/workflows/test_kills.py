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
from keras_transfer.studies.search import Search
from keras_transfer.studies.spaces import read_space

TWO_STAGES = RECIPE.changed(
    stages=[{"name": "head", "epochs": 1}, {"name": "all", "epochs": 1, "unfreeze": "all"}],
    engine_error=0.0,  # float32: what is chosen by time may differ from run to run
)
RESULTS = (
    "history.csv", "metrics.json", "outputs.json", "predictions.csv", "predictions_val.csv",
    "split.csv",
)  # fmt: skip
NARROW = (
    ("open run/.run.part.json", 0),  # the log is there, no record
    ("open run/.recipe.part.yaml", 0),
    ("open run/.history.part.csv", -1),  # the state of the last epoch is there
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


def narrow(found, operations=NARROW):
    """The moments that a quick test looks at."""
    return [
        [moment for moment in found if moment.operation == operation][place]
        for operation, place in operations
    ]


def run_again(moment):
    """What the user does after a kill: the same command, with --resume where there is a run."""
    os.chdir(moment.folder)
    keras.utils.clear_session()
    TWO_STAGES.run(out="run", name="tiny", resume=Path("run").is_dir())
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
    with moments(home, tmp_path / "copies") as found:
        TWO_STAGES.run(out="run", name="tiny")
    whole = {name: (home / "run" / name).read_bytes() for name in RESULTS}

    for moment in chosen(found):
        status = moment.folder / "run" / RUN
        if status.exists() and read_record(status, {})["status"] == "done":
            continue  # nothing to resume
        folder = run_again(moment)
        assert {name: (folder / name).read_bytes() for name in RESULTS} == whole, moment
        assert not left_over(folder), moment
        assert keras_transfer.load(folder).report()


SEARCH = RECIPE.changed(stages=[{"name": "head", "epochs": 1}], engine_error=0.0)
NARROW_OF_A_SEARCH = (
    ("open tune/.search.part.json", 0),
    ("os.rename tune/.split.part.csv", 0),
    ("os.rename tune/0/.run.part.json", -1),
    ("os.rename tune/.best.part.yaml", -1),
)


def searched(folder):
    """Search among the rates, and return what was found."""
    space = read_space(["lr=1e-3:1e-1"], SEARCH, SEARCH)
    Search(SEARCH, "tiny", space, folder).run(2)
    best = (folder / "best.yaml").read_text()
    return (folder / "trials.csv").read_text(), best, (folder / "split.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("narrow_only", [True, False], ids=["sample", "every operation"])
def test_a_killed_search_is_finished_as_if_it_had_not_been(home, tmp_path, narrow_only):
    pytest.importorskip("optuna")
    with moments(home, tmp_path / "copies") as found:
        whole = searched(Path("tune"))

    for moment in narrow(found, NARROW_OF_A_SEARCH) if narrow_only else found:
        os.chdir(moment.folder)
        assert searched(Path("tune")) == whole, moment
        assert len([*Path("tune").rglob("*.keras")]) == 2, moment  # those of the best
        assert not [path for path in Path("tune").rglob("*.part*")], moment


@pytest.mark.slow
def test_a_killed_export_leaves_no_half_version(home, tmp_path):
    run = TWO_STAGES.run(out=tmp_path / "run", name="tiny")
    with moments(home, tmp_path / "copies") as found:
        (whole,) = keras_transfer.export(run, "models").predict("images/red/0.png")

    for moment in found:
        os.chdir(moment.folder)
        # What a server would see at this moment.
        assert [path.name for path in Path("models/tiny").glob("*")] in ([], ["1"]), moment
        (answer,) = keras_transfer.export(run, "models").predict("images/red/0.png")
        assert list(answer.probabilities) == list(whole.probabilities), moment
        assert {path.name for path in Path("models").rglob("*.part")} == set(), moment

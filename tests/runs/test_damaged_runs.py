"""Damaged files of a run: each is named, none gives a traceback, none changes an answer unseen."""

import json
import shutil
from contextlib import suppress

import pytest
from damages import DAMAGES
from processes import kt

import keras_transfer
from keras_transfer.checksums import CHECKSUMS
from keras_transfer.errors import BadData, BadWeights, TransferError
from keras_transfer.runs.directory import finished, is_done
from keras_transfer.runs.records import RUN, read_record, write_record

FILES_READ = (
    "best.keras", "classes.json", "history.csv", "metrics.json", "outputs.json", "predictions.csv",
    "predictions_val.csv", "recipe.yaml", "run.json", "split.csv",
)  # fmt: skip


@pytest.fixture
def copied(run, tmp_path):
    return shutil.copytree(
        run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("tensorboard", "log.txt")
    )


def read_all(folder, image):
    """All that is read of a run, as one value."""
    run = keras_transfer.load(folder)
    answers = [one.probabilities for one in run.predict(str(image))]
    tables = [
        run.outputs[name].objective.read_predictions(folder / f"{file}.csv").scores.tolist()
        for name in run.outputs
        for file in ("predictions", "predictions_val")
    ]
    train = run.samples(["train"]).keys.tolist()
    return repr((run.metadata, run.settings, run.report(), run.history, answers, tables, train))


def test_checksums_are_those_of_all_files_that_are_read(run):
    assert set(FILES_READ) - {RUN} <= read_record(run.folder / RUN, {})[CHECKSUMS].keys()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(copied, odd, damage):
    unnoticed = []
    for name in FILES_READ:
        path = copied / name
        whole = path.read_bytes()
        path.write_bytes(DAMAGES[damage](whole))
        try:
            read_all(copied, odd[0])
        except (BadData, BadWeights) as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            unnoticed.append(name)
        path.write_bytes(whole)
    assert not unnoticed
    assert read_all(copied, odd[0])


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_checksums_no_damage_gives_a_traceback(copied, odd, damage):
    record = read_record(copied / RUN, {})
    text = json.dumps({k: v for k, v in record.items() if k != CHECKSUMS})
    (copied / RUN).write_text(text)
    for name in FILES_READ:
        path = copied / name
        whole = path.read_bytes()
        path.write_bytes(DAMAGES[damage](whole))
        # What is still valid, such as another digit, cannot be told from what was written.
        with suppress(TransferError):
            read_all(copied, odd[0])
        path.write_bytes(whole)


def test_a_file_that_is_gone_is_named_where_it_is_read(copied, odd):
    for name in set(FILES_READ) - {RUN, "classes.json"}:  # of version 1
        path = copied / name
        path.rename(copied / "away")
        with pytest.raises(TransferError, match=name):
            read_all(copied, odd[0])
        (copied / "away").rename(path)


def test_classes_in_another_order_are_refused_by_the_command(copied, odd):
    (copied / "outputs.json").write_text(
        (copied / "outputs.json").read_text().replace("blue", "?").replace("red", "blue")
    )
    done = kt("predict", copied, odd[0], cwd=copied, check=3)
    assert "outputs.json is damaged or was changed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_record_of_a_run_that_goes_on_is_checked(copied):
    write_record(copied / RUN, {**read_record(copied / RUN, {}), "status": "interrupted"})
    whole = (copied / "recipe.yaml").read_text()
    (copied / "recipe.yaml").write_text(whole.replace("seed: 0", "seed: 1", 1))
    shutil.copy(copied / RUN, copied / "kept")

    done = kt("run", "digits", "--out", copied, "--resume", cwd=copied, check=2)
    assert "is a run of recipe 'colours'" in done.stderr
    write_record(copied / RUN, {**read_record(copied / RUN, {}), "recipe": "digits"})
    done = kt("run", "digits", "--out", copied, "--resume", cwd=copied, check=3)
    assert "recipe.yaml is damaged or was changed" in done.stderr
    (copied / RUN).write_text("{")
    done = kt("run", "digits", "--out", copied, "--resume", cwd=copied, check=3)
    assert "run.json is damaged or was changed" in done.stderr


def test_the_last_run_is_not_taken_from_before_a_damaged_one_without_a_word(
    copied, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    for number in "12":
        shutil.copytree(copied, tmp_path / "runs" / "colours" / number)
    assert finished("colours").name == "2"

    (tmp_path / "runs" / "colours" / "2" / RUN).write_text("{")

    assert finished("colours").name == "1"
    assert "the run in runs/colours/2 is passed over" in caplog.text
    with pytest.raises(BadData, match=r"2/run\.json is damaged"):
        is_done(tmp_path / "runs" / "colours" / "2")

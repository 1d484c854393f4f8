"""Test accuracy of a run with and without test examples that have a twin in train."""

import csv
import dataclasses
import shutil

import numpy as np
import pytest

from keras_transfer import BadConfiguration, BadData, Run
from keras_transfer.data.grouping import grouped
from keras_transfer.data.samples import Samples
from keras_transfer.runs.split_table import read_rows
from keras_transfer.studies.check_page import _twin_verdict
from keras_transfer.workflows.twin_accuracy import accuracy_without_twins, open_run
from keras_transfer.workflows.twin_check import TwinCheck


def data_of(run, twins):
    """The examples of a run under other names, unlike each other but for some pairs."""
    rows = read_rows(run.split)
    places = {row["path"]: place for place, row in enumerate(rows)}
    samples = Samples.of(
        None,
        run.classes,
        [f"moved/{number}" for number in range(len(rows))],
        [run.classes.index(row["label"]) for row in rows],
        digests=[row["digest"] for row in rows],
    )
    features = np.eye(len(rows))
    for one, other in twins:
        features[places[one]] = features[places[other]]
    return TwinCheck(samples, features, 0.9)


@pytest.fixture(scope="module")
def worse(run, tmp_path_factory):
    """The run with predictions of which every other one is wrong."""
    folder = tmp_path_factory.mktemp("worse") / "run"
    shutil.copytree(run.folder, folder)
    opened = Run(folder)  # before the change, which it would find
    with (run.folder / "predictions.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    for row in rows[::2]:
        row[2] = "red" if row[1] == "blue" else "blue"
        row[3:] = ("0.1", "0.9") if row[2] == "red" else ("0.9", "0.1")
    with (folder / "predictions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return opened


def test_twins_are_taken_out_of_the_predictions_of_a_run(worse):
    run = worse
    with (run.folder / "predictions.csv").open(newline="") as file:
        predictions = [*csv.DictReader(file)]
    train = [row["path"] for row in read_rows(run.split) if row["split"] == "train"]
    val = next(row["path"] for row in read_rows(run.split) if row["split"] == "val")
    test = [row["path"] for row in predictions]
    right = np.array([row["true"] == row["predicted"] for row in predictions])
    pairs = [(train[0], test[0]), (test[1], test[2]), (val, test[3]), (train[5], test[5])]

    found = accuracy_without_twins(run, data_of(run, pairs))

    with_twin = np.isin(np.arange(len(test)), [0, 5])
    assert found["all"]["accuracy"] == pytest.approx(right.mean())
    assert found["twins"]["n"] == 2
    assert found["twins"]["accuracy"] == pytest.approx(right[with_twin].mean())
    assert found["without_twins"]["n"] == len(test) - 2
    assert found["without_twins"]["accuracy"] == pytest.approx(right[~with_twin].mean())
    low, high = found["all"]["accuracy_interval"]
    assert 0 < right.mean() < 1
    assert low < right.mean() < high


def test_without_twins_there_is_no_accuracy_of_them(run):
    found = accuracy_without_twins(run, data_of(run, []))
    assert found["twins"] == {"accuracy": None, "accuracy_interval": None, "n": 0}
    assert found["without_twins"] == found["all"]


def test_other_data_and_other_runs_are_refused(run, objective_run):
    checked = data_of(run, [])
    checked.samples.digests[:] = "other"
    with pytest.raises(BadData, match="No test example of the run"):
        accuracy_without_twins(run, checked)
    with pytest.raises(BadConfiguration, match="no run of a classification"):
        open_run(objective_run("labels").folder)


def test_an_exact_copy_in_train_is_a_twin(run, tmp_path):
    """Both files have one digest, so the run has it in test and in train."""
    shutil.copytree(run.folder, tmp_path / "run")
    rows = read_rows(tmp_path / "run" / "split.csv")
    train, test = (next(row for row in rows if row["split"] == name) for name in ("train", "test"))
    text = (tmp_path / "run" / "split.csv").read_text()
    opened = Run(tmp_path / "run")
    (tmp_path / "run" / "split.csv").write_text(text.replace(train["digest"], test["digest"]))
    found = accuracy_without_twins(opened, data_of(opened, []))

    assert found["twins"]["n"] == 1


class TestTwinCheck:
    KEYS = ("a", " b", "c", "d")

    def checked(self, groups=("", "", "", ""), splits=("val", "test", "train", ""), **more):
        """a and " b" are twins, in val and test."""
        samples = Samples.of(None, ["cat", "dog"], self.KEYS, [0, 1, 0, 1], groups=groups)
        samples = dataclasses.replace(samples, splits=np.array(splits, object))
        return TwinCheck(samples, np.eye(3)[[0, 0, 1, 2]], 0.9, **more)

    def test_pairs_across_the_splits_of_the_data(self):
        """Their train split may have given a val split: the pair lies across nevertheless."""
        found = self.checked()

        assert found.across_own({"a": "train", " b": "test", "c": "train", "d": ""}) == 1
        assert found.across_own({"a": "train", " b": "train"}) == 0
        assert found.across_own({"a": "", " b": "test"}) == 0

    @pytest.mark.parametrize(
        ("splits", "said"),
        [
            (("val", "test"), ["1 pairs of twins lie in two splits, none of them between test"]),
            (
                ("val", "train"),
                ["1 pairs of twins lie in two", "1 of 1 val examples have a twin in train"],
            ),
            (("test", "train"), ["1 of 1 test examples have a twin in train"]),
            (("test", "test"), ["None of 2 test examples has a twin in train"]),
        ],
    )
    def test_the_page_says_between_which_splits(self, splits, said):
        found = _twin_verdict(self.checked(splits=(*splits, "", "")))

        assert len(found) == len(said)
        for sentence, beginning in zip(found, said, strict=True):
            assert sentence.startswith(beginning)

    def test_groups_of_the_data_stay_in_the_table(self, tmp_path):
        found = self.checked(groups=("", "anna", "anna", ""))
        found.write(tmp_path)
        samples = dataclasses.replace(found.samples, groups=np.full(4, "", object))

        assert grouped(samples, tmp_path / "groups.csv").groups.tolist() == [*3 * ["anna"], ""]

    def test_strata_are_no_labels(self):
        assert self.checked().document["different_labels"] == 1
        assert self.checked(labelled=False).document["different_labels"] == 0

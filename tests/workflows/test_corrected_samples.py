"""Corrected labels of examples that a run reads."""

import csv
import shutil

import pytest
from processes import paint

from keras_transfer import Classification, Image
from keras_transfer.config.groups import Data
from keras_transfer.workflows.reading import read_samples


@pytest.fixture
def folder(tmp_path):
    """Twelve images of two colours; one is there twice."""
    paint(tmp_path / "images", blue=12, red=12)
    shutil.copy(tmp_path / "images/red/3.png", tmp_path / "images/red/copy.png")
    return tmp_path


def read(folder, *corrected):
    table = folder / "relabel.csv"
    with table.open("w", newline="") as file:
        rows = [(f"{folder}/images/red/{name}.png", "red", "blue") for name in corrected]
        csv.writer(file).writerows([("path", "label", "new_label"), *rows])
    data = Data(str(folder / "images"), relabel=str(table) if corrected else None)
    how = {"given": Image(), "seed": 0, "objectives": {"label": Classification()}}
    return read_samples(data, data.source, None, **how)


def test_the_splits_are_those_without_corrections(folder, caplog):
    plain = read(folder)
    some = [key.rsplit("/", 1)[1][:-4] for key in plain.keys[plain.splits == "train"]]
    names = [name for name in some if name not in ("3", "copy")][-3:]
    found = read(folder, *names)

    assert found.keys.tolist() == plain.keys.tolist()
    assert found.splits.tolist() == plain.splits.tolist()
    changed = found.keys[found.labels != plain.labels]
    assert sorted(changed) == sorted(f"{folder}/images/red/{name}.png" for name in names)
    assert "two labels" not in caplog.text


def test_a_copy_that_keeps_its_label_is_named(folder, caplog):
    splits = dict(zip(*(lambda s: (s.keys, s.splits))(read(folder)), strict=True))
    read(folder, "3")
    said = "The same example has two labels after" in caplog.text
    # A label of the test split stays, and with it no conflict arises.
    assert said == (splits[f"{folder}/images/red/3.png"] != "test")

"""The file of predictions gives back what went in, whatever the names."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.errors import BadData
from keras_transfer.evaluation.predictions import read_predictions, write_predictions

CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
NAMES = st.lists(st.text(CHARACTERS, min_size=1, max_size=8), min_size=2, max_size=5, unique=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predictions")


@settings(max_examples=200)
@given(NAMES, st.data())
def test_what_is_written_is_read(folder, classes, data):
    n = data.draw(st.integers(0, 5))
    keys = data.draw(st.lists(st.text(CHARACTERS, max_size=12), min_size=n, max_size=n))
    true = data.draw(st.lists(st.integers(-1, len(classes) - 1), min_size=n, max_size=n))
    kind = data.draw(st.sampled_from(["float32", "float64"]))
    width = 32 if kind == "float32" else 64
    row = st.lists(st.floats(0, 1, width=width), min_size=len(classes), max_size=len(classes))
    rows = data.draw(st.lists(row, min_size=n, max_size=n))
    probabilities = np.array(rows, kind).reshape(n, len(classes))

    write_predictions(folder / "p.csv", keys, np.array(true, int), probabilities, classes)
    back = read_predictions(folder / "p.csv")

    assert back.classes == tuple(classes)
    assert back.keys.tolist() == keys
    assert back.true.tolist() == true
    np.testing.assert_array_equal(back.probabilities, probabilities.astype(float))


def test_the_columns(tmp_path):
    """Path, true and predicted class by name, a column a class; true is empty where unknown."""
    path = tmp_path / "predictions.csv"
    write_predictions(
        path,
        ["a.jpg", "b.jpg"],
        np.array([1, -1]),
        np.array([[0.25, 0.75], [0.9, 0.1]]),
        ["cat", "dog"],
    )

    with path.open(newline="") as file:
        rows = list(csv.reader(file))

    assert rows == [
        ["path", "true", "predicted", "p:cat", "p:dog"],
        ["a.jpg", "dog", "dog", "0.25", "0.75"],
        ["b.jpg", "", "cat", "0.9", "0.1"],
    ]


def test_nothing_known(tmp_path):
    write_predictions(tmp_path / "p.csv", ["a"], None, np.array([[0.5, 0.5]]), ["cat", "dog"])

    assert read_predictions(tmp_path / "p.csv").true.tolist() == [-1]


@pytest.mark.parametrize(
    "name",
    [
        *("path", "true", "predicted", "p:path", 'a, "b"', "two\nlines", "two\r\nlines", "猫 🐈"),
        *(" ", "=1+1", "'=1+1", "-cat", "+cat", "@cat", "-1", "\tcat", "'"),
    ],
)
def test_any_class_name_survives(tmp_path, name):
    path = tmp_path / "p.csv"
    write_predictions(path, [name], np.array([1]), np.array([[0.2, 0.8]]), ["cat", name])

    back = read_predictions(path)

    assert (back.classes, back.keys[0], back.true[0]) == (("cat", name), name, 1)


def test_names_that_are_formulas_are_escaped_and_numbers_are_not(tmp_path):
    path = tmp_path / "p.csv"
    write_predictions(path, ["=cmd|' /C calc'!A0"], None, np.array([[-0.5, 1.5]]), ["-cat", "dog"])

    assert path.read_text().splitlines() == [
        '"path","true","predicted","p:-cat","p:dog"',
        '"\'=cmd|\' /C calc\'!A0","","dog",-0.5,1.5',
    ]


def test_a_file_name_that_is_not_utf8_survives(tmp_path):
    key = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    write_predictions(tmp_path / "p.csv", [key], None, np.array([[0.2, 0.8]]), ["cat", "dog"])

    assert read_predictions(tmp_path / "p.csv").keys[0] == key


def test_the_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "p.csv"
    write_predictions(path, ["old"], None, np.array([[0.5, 0.5]]), ["cat", "dog"])

    with pytest.raises(ValueError, match="longer"):
        write_predictions(path, ["new"], None, np.array([[0.5, 0.5]] * 2), ["cat", "dog"])

    assert read_predictions(path).keys.tolist() == ["old"]
    assert [file.name for file in tmp_path.iterdir()] == ["p.csv"]


HEADER = "path,true,predicted,p:cat,p:dog\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its columns should be path, true, predicted and p:NAME"),
        ("name,label\na.jpg,cat\n", "found name, label"),
        ("path,true,predicted,cat,dog\n", "no file of predictions"),
        (HEADER + "a,cat,cat,0.5,0.5\nb,cat,cat,0.5\n", "\n  row 2: b,cat,cat,0.5$"),
        (HEADER + "a,cow,cat,0.5,0.5\n", "row 1: a,cow"),
        (HEADER + "a,cat,cat,half,half\n", "row 1: a,cat"),
        (HEADER + "a\n", "row 1: a$"),
    ],
)
def test_another_file_is_refused_with_what_was_found(tmp_path, text, message):
    path = tmp_path / "p.csv"
    path.write_text(text)

    with pytest.raises(BadData, match=message):
        read_predictions(path)


def test_no_file_or_no_text_is_bad_data(tmp_path):
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8\0\xff")

    for name in ("nothing.csv", "image.jpg", "."):
        with pytest.raises(BadData, match="predictions"):
            read_predictions(tmp_path / name)

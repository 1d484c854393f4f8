"""Files of predictions of several labels and of regressions give back what went in."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.errors import BadData
from keras_transfer.evaluation.prediction_files import (
    read_class_predictions,
    read_label_predictions,
    read_value_predictions,
    write_label_predictions,
    write_value_predictions,
)
from keras_transfer.evaluation.predictions import write_predictions

# Those that mean something in the file come often.
CHARACTERS = st.one_of(
    st.sampled_from('|\\?,"\n\r: '), st.characters(codec="utf-8", exclude_characters="\0")
)
NAMES = st.lists(st.text(CHARACTERS, min_size=1, max_size=6), min_size=1, max_size=4, unique=True)
KEYS = st.lists(st.text(CHARACTERS, max_size=8), max_size=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predictions")


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@settings(max_examples=200)
@given(NAMES, KEYS, st.randoms(use_true_random=False))
def test_labels_that_are_written_are_read(folder, labels, keys, random):
    shape = (len(keys), len(labels))
    draws = np.array([random.random() for _ in range(3 * shape[0] * shape[1])]).reshape(3, *shape)
    true, scores, decided = (draws[0] < 0.5).astype(float), draws[1], draws[2] < 0.5
    true[1:2] = np.nan

    write_label_predictions(folder / "p.csv", keys, true, scores, decided, labels)
    back = read_label_predictions(folder / "p.csv")

    assert (back.names, back.keys.tolist()) == (tuple(labels), keys)
    np.testing.assert_array_equal(back.true, true)
    np.testing.assert_array_equal(back.scores, scores)
    np.testing.assert_array_equal(back.decided, decided)


def test_the_columns_of_labels(tmp_path):
    write_label_predictions(
        tmp_path / "p.csv",
        ["a", "b", "c"],
        np.array([[1, 1, 0], [0, 0, 0], [np.nan] * 3]),
        np.array([[0.25, 0.75, 0.5], [0.1, 0.2, 0.9], [1, 0, 0]]),
        np.array([[0, 1, 1], [0, 0, 0], [0, 0, 1]], bool),
        ["cat", "a|b", "?"],
    )

    assert rows(tmp_path / "p.csv") == [
        ["path", "true", "predicted", "p:cat", "p:a|b", "p:?"],
        ["a", r"cat|a\|b", r"a\|b|?", "0.25", "0.75", "0.5"],
        ["b", "", "", "0.1", "0.2", "0.9"],
        ["c", "?", r"\?", "1.0", "0.0", "0.0"],
    ]


def test_labels_of_which_nothing_is_known(tmp_path):
    said = np.array([[True]])
    write_label_predictions(tmp_path / "p.csv", ["a"], None, said * 0.5, said, ["x"])
    assert np.isnan(read_label_predictions(tmp_path / "p.csv").true).all()


LABELS = "path,true,predicted,p:cat,p:dog\n"
VALUES = "path,true:x,predicted:x\n"


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_label_predictions, "", "should be path, true, predicted and p:NAME"),
        (read_label_predictions, VALUES, "found path, true:x, predicted:x"),
        (read_label_predictions, LABELS + "a,cow,cat,1,0\n", "\n  row 1: a,cow,cat"),
        (read_label_predictions, LABELS + "a,cat||dog,cat,1,0\n", "row 1"),
        (read_label_predictions, LABELS + "a,cat\\,cat,1,0\n", "row 1"),
        (read_label_predictions, LABELS + "a,|,cat,1,0\n", "row 1"),
        (read_label_predictions, LABELS + "a,cat,cat,1\n", "row 1"),
        (read_label_predictions, LABELS + "a,cat,cat,1,x\n", "row 1"),
        (read_value_predictions, "", "should be path, and true:NAME and predicted:NAME"),
        (read_value_predictions, LABELS, "found path, true, predicted, p:cat, p:dog"),
        (read_value_predictions, "path\n", "no file of predictions"),
        (read_value_predictions, "path,true:x,predicted:y\n", "no file of predictions"),
        (read_value_predictions, "path,true:x\n", "no file of predictions"),
        (read_value_predictions, VALUES + "a,1,2\nb,1\n", "\n  row 2: b,1"),
        (read_value_predictions, VALUES + "a,1,\n", "row 1"),
        (read_value_predictions, VALUES + "a,one,2\n", "row 1"),
        (read_value_predictions, VALUES + "a,1,2,3,4\n", "row 1"),
    ],
)
def test_another_file_is_refused_with_what_was_found(tmp_path, read, text, message):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(BadData, match=message):
        read(tmp_path / "p.csv")


def test_no_file_is_bad_data(tmp_path):
    for read in (read_label_predictions, read_value_predictions, read_class_predictions):
        with pytest.raises(BadData, match="cannot be read"):
            read(tmp_path / "nothing.csv")


@pytest.mark.parametrize("names", [["a", ""], ["a", "a"]])
def test_names_that_could_not_be_told_apart_are_refused(tmp_path, names):
    one = np.ones((1, 2))
    with pytest.raises(BadData, match="Each label should have a unique, non-empty name"):
        write_label_predictions(tmp_path / "p.csv", ["x"], one, one, one > 0, names)
    with pytest.raises(BadData, match="Each target should have"):
        write_value_predictions(tmp_path / "p.csv", ["x"], one, one, names)


@settings(max_examples=200)
@given(NAMES, KEYS, st.data())
def test_values_that_are_written_are_read(folder, targets, keys, data):
    numbers = st.lists(
        st.floats(allow_nan=False, width=data.draw(st.sampled_from([32, 64]))),
        min_size=len(targets) * len(keys),
        max_size=len(targets) * len(keys),
    )
    true, said = (
        np.array(data.draw(numbers), float).reshape(len(keys), len(targets)) for _ in range(2)
    )
    true[:1] = np.nan

    write_value_predictions(folder / "v.csv", keys, true, said, targets)
    back = read_value_predictions(folder / "v.csv")

    assert (back.names, back.keys.tolist()) == (tuple(targets), keys)
    np.testing.assert_array_equal(back.true, true)
    np.testing.assert_array_equal(back.scores, said)
    np.testing.assert_array_equal(back.decided, said)


def test_float32_values_come_back_exactly(tmp_path):
    said = np.array([[0.1], [1 / 3]], "float32")
    write_value_predictions(tmp_path / "v.csv", "ab", None, said, ["x"])
    back = read_value_predictions(tmp_path / "v.csv")
    np.testing.assert_array_equal(back.scores, said)
    assert np.isnan(back.true).all()


def test_the_columns_of_values(tmp_path):
    true, said = np.array([[1.5, np.nan], [2, 3]]), np.array([[1.25, 4], [2, 3]])
    write_value_predictions(tmp_path / "v.csv", ["a", 'b "1"'], true, said, ["x", "true:x"])

    assert rows(tmp_path / "v.csv") == [
        ["path", "true:x", "predicted:x", "true:true:x", "predicted:true:x"],
        ["a", "1.5", "1.25", "", "4.0"],
        ['b "1"', "2.0", "2.0", "3.0", "3.0"],
    ]
    assert read_value_predictions(tmp_path / "v.csv").names == ("x", "true:x")


def test_classes_are_read_into_the_same_shape(tmp_path):
    chances = np.array([[0.2, 0.8], [0.5, 0.5]])
    write_predictions(tmp_path / "p.csv", ["a", "b"], np.array([1, -1]), chances, ["x", "y"])

    back = read_class_predictions(tmp_path / "p.csv")

    assert (back.names, back.true.tolist(), back.decided.tolist()) == (("x", "y"), [1, -1], [1, 0])
    np.testing.assert_array_equal(back.scores, chances)


def test_the_bytes_of_a_classifiers_file(tmp_path):
    """Other programs read this file; its format stays as it is."""
    chances = np.array([[0.25, 0.75], [0.9, np.float32(0.1)]])
    write_predictions(tmp_path / "p.csv", ["a.jpg", 'b"'], np.array([1, -1]), chances, ["c", "d"])

    assert (tmp_path / "p.csv").read_bytes() == (
        b'"path","true","predicted","p:c","p:d"\n'
        b'"a.jpg","d","d",0.25,0.75\n'
        b'"b""","","c",0.9,0.10000000149011612\n'
    )

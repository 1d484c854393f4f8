"""Text cells become labels, or an error names the rows at fault."""

import re

import numpy as np
import pytest

from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.regression import Regression

NAN = np.nan


@pytest.mark.parametrize(
    ("objective", "cells", "names", "values", "dtype"),
    [
        (Classification(), {"label": ["dog", " cat ", "dog"]}, ("cat", "dog"), [1, 0, 1], "int32"),
        (
            MultiLabel(),
            {"label": ["dog|cat", "", " cat ", "cat||cat|"]},
            ("cat", "dog"),
            [[1, 1], [0, 0], [1, 0], [1, 0]],
            "float32",
        ),
        (
            MultiLabel(separator=", "),
            {"tags": ["a, b", "b"]},
            ("a", "b"),
            [[1, 1], [0, 1]],
            "float32",
        ),
        (
            MultiLabel(columns=("wet", "cold")),
            {"cold": ["1", "TRUE", "yes", "1.0"], "wet": ["0", "False", "no", ""]},
            ("wet", "cold"),
            [[0, 1]] * 4,
            "float32",
        ),
        (
            Regression(),
            {"price": ["1.5", " -2 ", "3e2"]},
            ("price",),
            [[1.5], [-2], [300]],
            "float32",
        ),
        (
            Regression(columns=("y", "x")),
            {"x": ["1", "2"], "y": ["3", "4"]},
            ("y", "x"),
            [[3, 1], [4, 2]],
            "float32",
        ),
    ],
)
def test_cells_become_values(objective, cells, names, values, dtype):
    found = objective.encode(cells)

    assert (found.names, found.values.dtype) == (names, dtype)
    np.testing.assert_array_equal(found.values, values)
    assert objective.known(found.values).all()
    assert objective.units(found.names) == len(names)


@pytest.mark.parametrize(
    ("objective", "cells", "names", "values"),
    [
        (Classification(), {"label": ["b", "b"]}, ("c", "b"), [1, 1]),
        (MultiLabel(), {"label": ["b", ""]}, ("c", "b"), [[0, 1], [0, 0]]),
        (MultiLabel(columns=("c", "b")), {"b": ["1"], "c": ["0"]}, ("c", "b"), [[0, 1]]),
        (Regression(), {"label": ["2"]}, ("price",), [[2]]),
    ],
)
def test_the_names_of_a_trained_model_are_kept(objective, cells, names, values):
    found = objective.encode(cells, names=names)

    assert found.names == names
    np.testing.assert_array_equal(found.values, values)


@pytest.mark.parametrize(
    ("objective", "cells", "values", "known", "targets"),
    [
        (Classification(), {"label": ["b", "", "a"]}, [1, -1, 0], [1, 0, 1], [1, 0, 0]),
        (
            MultiLabel(),
            {"label": ["b|a", "", "a"]},
            [[1, 1], [NAN, NAN], [1, 0]],
            [1, 0, 1],
            [[1, 1], [0, 0], [1, 0]],
        ),
        (
            MultiLabel(columns=("a", "b")),
            {"a": ["1", "", "0"], "b": ["1", "", ""]},
            [[1, 1], [NAN, NAN], [0, 0]],
            [1, 0, 1],
            [[1, 1], [0, 0], [0, 0]],
        ),
        (
            Regression(columns=("x", "y")),
            {"x": ["1", "", "3"], "y": ["2", " ", "4"]},
            [[1, 2], [NAN, NAN], [3, 4]],
            [1, 0, 1],
            [[1, 2], [0, 0], [3, 4]],
        ),
    ],
)
def test_missing_cells_have_no_weight_in_the_loss(objective, cells, values, known, targets):
    found = objective.encode(cells, missing=True)

    np.testing.assert_array_equal(found.values, values)
    filled, weights = objective.targets(found.values)
    np.testing.assert_array_equal(filled, targets)
    assert filled.dtype == found.values.dtype
    assert (weights.tolist(), weights.dtype) == (known, "float32")


@pytest.mark.parametrize(
    ("objective", "cells", "options", "message"),
    [
        (
            Classification(),
            {"label": ["a", "", "b"]},
            {},
            "1 of 3 examples have no class in the column label:\n  row 2: ''",
        ),
        (Classification(), {"kind": ["a", "a"]}, {}, "the column kind has 'a'"),
        (Classification(), {"label": ["", ""]}, {"missing": True}, "the column label has none"),
        (
            Classification(),
            {"label": ["a", "c"]},
            {"names": ("a", "b"), "keys": ["x.jpg", "y.jpg"]},
            "that is none of a, b:\n  y.jpg: 'c'",
        ),
        (MultiLabel(), {"label": ["", " "]}, {}, "No example has a label in the column label"),
        (MultiLabel(), {"label": ["a", "a|c"]}, {"names": ("a",)}, "none of a:\n  row 2: 'a|c'"),
        (
            MultiLabel(columns=("a", "b")),
            {"a": ["1", "2"], "b": ["0", "no"]},
            {"keys": ["x", "y"]},
            "1 of 2 examples have a cell that is none of 0, 1, true, false, yes, no:\n"
            "  y: {'a': '2', 'b': 'no'}",
        ),
        (
            Regression(),
            {"label": ["1", ""]},
            {},
            "1 of 2 examples have no value; remove them or give a number:\n  row 2",
        ),
        (
            Regression(),
            {"label": ["1", "nan", "inf", "-inf", "one", "1,5", "1e39"]},
            {},
            "6 of 7 examples have a value that is no finite number",
        ),
        (
            Regression(columns=("x", "y")),
            {"x": ["1", ""], "y": ["1", "2"]},
            {"missing": True},
            "some of their targets only; give all of them or none:\n  row 2: {'x': '', 'y': '2'}",
        ),
    ],
)
def test_cells_that_cannot_be_used_are_listed(objective, cells, options, message):
    with pytest.raises(BadData, match=re.escape(message)):
        objective.encode(cells, **options)


@pytest.mark.parametrize(
    ("objective", "cells", "options", "message"),
    [
        (Classification(), {"a": ["x"], "b": ["x"]}, {}, "reads one column; it was given 2: a, b"),
        (MultiLabel(), {}, {}, "was given 0"),
        (
            Regression(columns=("x",)),
            {"y": ["1"]},
            {},
            "columns names x, which the data do not have; they have y",
        ),
        (MultiLabel(columns=("x", "y")), {"y": ["1"], "z": ["1"]}, {}, "columns names x"),
        (
            MultiLabel(columns=("x", "y")),
            {"x": ["1"], "y": ["1"]},
            {"names": ("y", "x")},
            "predicts y, x; columns names x, y",
        ),
        (
            Regression(columns=("x",)),
            {"x": ["1"]},
            {"names": ("y",)},
            "predicts y; columns names x",
        ),
        (
            Regression(),
            {"label": ["1"]},
            {"names": ("x", "y")},
            "predicts x, y; columns names label",
        ),
    ],
)
def test_columns_that_do_not_fit_are_refused(objective, cells, options, message):
    with pytest.raises(BadConfiguration, match=message):
        objective.encode(cells, **options)


def test_the_columns_that_are_read():
    assert Classification().reads() == MultiLabel().reads() == Regression().reads() == ("label",)
    assert Classification().reads("type") == Regression().reads("type") == ("type",)
    assert Regression(columns=("x", "y")).reads("type") == ("x", "y")
    assert MultiLabel(columns=(1, 2)).reads() == ("1", "2")  # as YAML reads them

"""What splits are stratified by: classes, combinations of labels, bins of values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_transfer.data.stratify import deal
from keras_transfer.objectives.base import Labels
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.combinations import combination_strata
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.regression import Regression


def named(found):
    number, names = found
    assert number.dtype == np.int32
    assert sorted(set(number.tolist())) == list(range(len(names)))
    return [names[i] for i in number]


def test_classes_are_their_own_strata():
    labels = Labels(np.array([1, 0, 1], "int32"), ("a", "b"))
    number, names = Classification().strata(labels)
    assert (number.tolist(), names) == ([1, 0, 1], ("a", "b"))

    unknown = labels._replace(values=np.array([1, -1, 0], "int32"))
    assert named(Classification().strata(unknown)) == ["b", "(not known)", "a"]


def rows(*counted):
    """Rows of labels a, b, c from how often each combination occurs."""
    return np.array(
        [[float(name in found) for name in "abc"] for found, n in counted for _ in range(n)]
    )


@pytest.mark.parametrize(
    ("counted", "strata"),
    [
        # all combinations are frequent
        ([("", 3), ("a", 4), ("ab", 3)], {"(no label)": 3, "a": 4, "a|b": 3}),
        # ac and bc are rare; c is the rarest label of both, and together they are 4
        (
            [("a", 5), ("b", 5), ("ac", 2), ("bc", 2)],
            {"a": 5, "b": 5, "c|...": 4},
        ),
        # abc goes by c and b by itself: two groups that are too small, 3 together
        ([("a", 9), ("abc", 1), ("b", 2)], {"a": 9, "(other)": 3}),
        # nothing to merge with: the largest stratum takes it
        ([("a", 9), ("b", 4), ("c", 1)], {"a": 10, "b": 4}),
        ([("a", 4), ("b", 4), ("", 2)], {"a": 6, "b": 4}),
        # too few for anything
        ([("a", 1), ("b", 1)], {"(other)": 2}),
    ],
)
def test_rare_combinations_are_merged(counted, strata):
    found = named(combination_strata(rows(*counted), ("a", "b", "c")))
    assert {name: found.count(name) for name in set(found)} == strata


def test_examples_without_known_labels_are_apart():
    values = np.vstack([rows(("a", 3), ("b", 3)), np.full((1, 3), np.nan)])
    found = named(MultiLabel().strata(Labels(values, ("a", "b", "c"))))
    assert found == ["a"] * 3 + ["b"] * 3 + ["(not known)"]


@settings(max_examples=100)
@given(hnp.arrays(bool, st.tuples(st.integers(3, 40), st.integers(1, 5))))
def test_no_stratum_is_too_small_to_be_in_every_split(values):
    names = [f"l{i}" for i in range(values.shape[1])]
    number, strata = combination_strata(values.astype("float32"), names)

    assert np.bincount(number).min() >= 3
    assert np.bincount(number).size == len(strata)
    again, _ = combination_strata(values.astype("float32"), names)
    assert number.tolist() == again.tolist()


def test_a_stratified_split_has_a_rare_label_in_every_part():
    """40 cats, 40 dogs, 6 birds in six different combinations with nothing in common else."""
    values = np.zeros((86, 5), "float32")
    values[:40, 0] = values[40:80, 1] = values[80:, 2] = 1
    values[80:82, 0] = values[82:84, 1] = values[84, 3] = values[85, 4] = 1

    number, _ = combination_strata(values, ["cat", "dog", "bird", "x", "y"])
    parts = deal(number, np.arange(86), [13, 13], np.random.default_rng(0))

    assert [int((parts[80:] == part).sum()) >= 1 for part in range(3)] == [True] * 3


def test_bins_of_equally_many_examples():
    values = np.random.default_rng(0).permutation(100).astype("float32")[:, None]

    number, names = Regression().strata(Labels(values, ("price",)))

    assert number.tolist() == (values[:, 0] // 10).astype(int).tolist()
    assert names[0] == "price 0 to 9"
    assert names[9] == "price 90 to 99"


@pytest.mark.parametrize(("n", "bins"), [(5, 1), (19, 1), (20, 2), (35, 3), (1000, 10)])
def test_there_are_fewer_bins_for_fewer_examples(n, bins):
    values = np.arange(n, dtype="float32")[:, None]
    assert len(Regression().strata(Labels(values, ("x",)))[1]) == bins


def test_equal_values_are_in_one_bin():
    """Ninety zeros and ten others; two sevens alone would be too few for a bin."""
    values = np.array([0] * 90 + [1] * 8 + [7] * 2, "float32")[:, None]
    found = named(Regression().strata(Labels(values, ("x",))))
    assert found == ["x 0 to 0"] * 90 + ["x 1 to 7"] * 10


def test_several_targets_are_divided_along_their_first_principal_direction():
    """Both rise together, in very different units."""
    t = np.arange(40.0)
    values = np.stack([t, 1000 * t], axis=1).astype("float32")
    number, names = Regression().strata(Labels(values, ("x", "y")))
    assert number.tolist() == (t // 10).astype(int).tolist()
    assert names[0].startswith("first principal direction -")


def test_values_that_are_not_known_are_apart():
    values = np.array([[1], [np.nan], [2], [3]], "float32")
    assert named(Regression().strata(Labels(values, ("x",)))) == [
        "x 1 to 3",
        "(not known)",
        "x 1 to 3",
        "x 1 to 3",
    ]
    nothing = Labels(np.full((2, 1), np.nan, "float32"), ("x",))
    assert named(Regression().strata(nothing)) == ["(not known)"] * 2


@settings(max_examples=100)
@given(
    hnp.arrays(
        "float32", st.tuples(st.integers(3, 60), st.integers(1, 3)), elements=st.integers(-5, 5)
    )
)
def test_every_bin_is_large_enough_and_bins_rise(values):
    names = [f"t{i}" for i in range(values.shape[1])]
    number, strata = Regression().strata(Labels(values, names))

    assert np.bincount(number).min() >= 3
    assert len(strata) <= 10
    if len(names) == 1:
        order = np.argsort(values[:, 0], kind="stable")
        assert (np.diff(number[order]) >= 0).all()

"""Dividing labelled things fairly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedShuffleSplit

from keras_transfer.data.stratify import choose, deal, level, proportional

COUNTS = st.lists(st.integers(1, 60), min_size=1, max_size=8).map(np.array)


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([100, 50, 50], 20, [10, 5, 5]),
        ([60, 30, 10], 10, [6, 3, 1]),
        ([97, 1, 1, 1], 10, [7, 1, 1, 1]),  # 9.7, 0.1, 0.1, 0.1, but one of each at least
        ([53, 24, 23], 7, [3, 2, 2]),  # Webster: 53 / 2.5, 24 / 1.5 and 23 / 1.5 are above 53 / 3.5
        ([2, 2], 4, [2, 2]),
        ([5, 0, 5], 4, [2, 0, 2]),
    ],
)
def test_proportional_by_hand(counts, size, expected):
    assert proportional(np.array(counts), size).tolist() == expected


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([100, 100], 10, [5, 5]),
        ([100, 2, 100], 12, [5, 2, 5]),
        ([10, 20, 30], 10, [3, 3, 4]),  # the rest to the largest
        ([1, 2, 3], 6, [1, 2, 3]),
    ],
)
def test_level_by_hand(counts, size, expected):
    assert level(np.array(counts), size).tolist() == expected


@given(COUNTS, st.data())
def test_proportional_is_within_one_of_the_exact_share_where_no_class_is_rare(counts, data):
    """Where each exact share is 1 or more, and counts are met exactly."""
    size = data.draw(st.integers(len(counts), counts.sum()))
    got = proportional(counts, size)
    exact = counts * size / counts.sum()

    assert got.sum() == size
    assert (got >= 1).all()
    assert (got <= counts).all()
    if (exact >= 1).all():
        assert (np.abs(got - exact) < 1 + len(counts) / 8).all()


@given(COUNTS, st.data())
def test_level_leaves_no_class_two_ahead_of_one_that_has_more_to_give(counts, data):
    size = data.draw(st.integers(0, counts.sum()))
    got = level(counts, size)

    assert got.sum() == size
    open_classes = got < counts
    if open_classes.any():
        assert got.max() <= got[open_classes].min() + 1


def test_proportional_rounds_as_scikit_learn_does():
    """At most one image a class from StratifiedShuffleSplit, over 200 random tasks."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        labels = np.repeat(np.arange(5), rng.integers(20, 200, 5))
        size = int(len(labels) * rng.uniform(0.1, 0.4))
        chosen = next(StratifiedShuffleSplit(1, test_size=size).split(labels, labels))[1]

        ours = proportional(np.bincount(labels), size)

        assert np.abs(ours - np.bincount(labels[chosen])).max() <= 1


def test_choose_draws_each_thing_equally_often():
    labels = np.array([0, 1, 0, 1, 0])
    rng = np.random.default_rng(0)
    drawn = np.bincount(
        np.concatenate([choose(labels, np.array([1, 2]), rng) for _ in range(3000)]), minlength=5
    )

    assert drawn[[1, 3]].tolist() == [3000, 3000]
    assert drawn[[0, 2, 4]] == pytest.approx(1000, abs=120)  # 4.6 standard deviations


def test_three_patients_with_all_classes_go_to_three_parts():
    labels = np.tile([0, 1], 15)
    families = np.repeat([0, 1, 2], 10)
    splits = deal(labels, families, [4, 4], np.random.default_rng(0))

    assert sorted(np.bincount(splits)) == [10, 10, 10]


def test_families_are_dealt_as_evenly_as_by_scikit_learn():
    """A fifth of 40 patients of 3 classes: the shares of classes stray no more on average."""
    ours, theirs = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        families = rng.integers(0, 40, 600)
        labels = (rng.integers(0, 3, 40)[families] + (rng.random(600) < 0.3)) % 3
        wanted = np.bincount(labels) / 5
        splits = deal(labels, families, [120], rng)
        ours.append(np.abs(np.bincount(labels[splits == 0], minlength=3) - wanted).sum())
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(
            labels, labels, families
        )
        fold = next(folds)[1]
        theirs.append(np.abs(np.bincount(labels[fold], minlength=3) - wanted).sum())

    assert np.mean(ours) <= np.mean(theirs)


def test_nothing_to_deal():
    empty = np.zeros(0, int)

    assert deal(empty, empty, [], np.random.default_rng(0)).tolist() == []

"""Batches of several examples of several classes, by counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer import BadData
from keras_transfer.data.class_groups import MIN_MEMBERS, ClassGroups

counts = st.lists(st.integers(1, 12), min_size=2, max_size=9)
sizes = st.integers(2 * MIN_MEMBERS, 33)


def made(counts, batch_size, iterations=3):
    labels = np.repeat(np.arange(len(counts)), counts)
    names = [str(number) for number in range(len(counts))]
    return labels, ClassGroups(labels, names, batch_size, iterations)


@given(counts, sizes, st.integers(0, 5))
def test_a_batch_holds_as_many_examples_of_each_of_its_classes(counts, batch_size, epoch):
    labels, sampling = made(counts, batch_size)
    drawn, times = sampling.draw(7, epoch)

    assert len(sampling) == drawn.size == times.size
    assert 0 <= drawn.size - 3 * len(labels) < batch_size
    for batch in labels[drawn].reshape(-1, batch_size):
        found = np.bincount(batch, minlength=len(counts))
        assert (found > 0).sum() == min(len(counts), batch_size // MIN_MEMBERS)
        present = found[found > 0]
        assert present.min() >= MIN_MEMBERS or len(counts) * MIN_MEMBERS > batch_size
        assert present.max() - present.min() <= 1
        for half in np.array_split(batch, 2):  # of two devices
            assert len({*half}) >= 2


@given(counts, sizes)
def test_the_examples_of_a_class_come_in_rounds(counts, batch_size):
    labels, sampling = made(counts, batch_size)
    drawn, times = sampling.draw(0, 0)

    for label, count in enumerate(counts):
        where = np.flatnonzero(labels[drawn] == label)
        each = np.bincount(drawn[where], minlength=len(labels))[labels == label]
        assert each.max() - each.min() <= 1
        np.testing.assert_array_equal(times[where], np.arange(len(where)) // count)


def test_an_epoch_depends_on_seed_and_number_alone():
    _, sampling = made([5, 9, 2], 8)
    first = sampling.draw(3, 1)

    np.testing.assert_array_equal(first, sampling.draw(3, 1))
    assert not np.array_equal(first[0], sampling.draw(3, 2)[0])
    assert not np.array_equal(first[0], sampling.draw(4, 1)[0])


def test_a_class_without_examples_is_refused():
    with pytest.raises(BadData, match="no training examples"):
        ClassGroups(np.array([0, 0, 2]), ["cat", "dog", "fox"], 8, 1)

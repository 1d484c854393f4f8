"""Engines are measured on examples of all kinds."""

import numpy as np
import pytest

from keras_transfer.data.samples import Samples
from keras_transfer.features.engine_samples import balanced, spread


def samples(labels):
    classes = [str(number) for number in range(max(labels) + 1)]
    return Samples.of(None, classes, [f"{i:04}" for i in range(len(labels))], labels)


def test_examples_at_equal_distances():
    """Of 11, five: numbers 0, 2.5, 5, 7.5 and 10, rounded down."""
    assert [*spread(samples([0] * 11), 5).rows] == [0, 2, 5, 7, 10]
    assert [*spread(samples([0] * 3), 5).rows] == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ([0] * 90 + [1] * 10, {0: 10, 1: 10}),
        ([0] * 90 + [1] * 7, {0: 10, 1: 7}),
        ([0] * 40 + [1] * 40 + [2] * 4, {0: 10, 1: 10}),
        ([*range(8)] * 6, {0: 5, 1: 5, 2: 5, 3: 5}),
    ],
)
def test_as_many_of_each_class(labels, wanted):
    found = balanced(samples(labels), 20)

    numbers, counts = np.unique(found.labels, return_counts=True)
    assert dict(zip(numbers, counts, strict=True)) == wanted
    assert [*found.rows] == sorted(found.rows)


@pytest.mark.parametrize("labels", [[-1] * 50, [0] * 50, [0] * 46 + [1] * 4])
def test_without_two_classes_at_equal_distances(labels):
    assert [*balanced(samples(labels), 2).rows] == [0, 49]

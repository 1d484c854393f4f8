"""Families of exact copies, and what is said of them."""

import logging

import numpy as np
import pytest

from keras_transfer.data.arrays import Arrays
from keras_transfer.data.copies import families, report_copies
from keras_transfer.data.samples import Samples


@pytest.mark.parametrize(
    ("digests", "expected"),
    [
        ([], []),
        (["a", "b", "c"], [0, 1, 2]),
        (["b", "a", "b", "c", "a"], [0, 1, 0, 2, 1]),
        (["", "a", "", "a"], [0, 1, 2, 1]),  # what was not read has no copies
    ],
)
def test_families_are_numbered_as_they_appear(digests, expected):
    assert families(np.array(digests, object)).tolist() == expected


def samples(splits, digests):
    store = Arrays(np.zeros((len(digests), 2, 2, 3), "uint8"))
    keys = [str(n) for n in range(len(digests))]
    return Samples.of(store, "ab", keys, [0] * len(keys), splits=splits, digests=digests)


def test_each_split_with_copies_is_named(caplog):
    with caplog.at_level(logging.INFO, "keras_transfer"):
        report_copies(samples(["test"] * 4 + ["val", "train"], ["a", "b", "a", "a", "c", "c"]))

    assert [record.message.split(";")[0] for record in caplog.records] == [
        "Warning: of 4 examples in the test split only 2 are distinct"
    ]


def test_data_without_splits_are_named_too(caplog):
    report_copies(samples(["", ""], ["a", "a"]))

    assert "of 2 examples in the data only 1 are distinct" in caplog.text

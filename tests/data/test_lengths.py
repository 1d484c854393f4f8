"""Batches of texts of similar length: what an epoch draws, and how much of it is padding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.data.batches import Loading
from keras_transfer.data.lengths import GroupedByLength, padding_share, token_counts
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import Sampling
from keras_transfer.data.texts import Texts
from keras_transfer.inputs.text import Text
from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS, Vocabulary


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=300), st.integers(1, 9), st.integers(0, 9))
def test_every_example_comes_once_an_epoch(lengths, batch_size, epoch):
    grouped = GroupedByLength(np.array(lengths), batch_size)

    rows, times = grouped.draw(3, epoch)

    assert sorted(rows.tolist()) == [*range(len(lengths))] == [*range(len(grouped))]
    assert rows.dtype == times.dtype == "int64"
    assert not times.any()
    again = GroupedByLength(np.array(lengths), batch_size).draw(3, epoch)
    np.testing.assert_array_equal(rows, again[0])


def test_batches_are_alike_inside_and_in_random_order():
    """1,000 texts of 1 to 100 tokens: sorted entirely, a batch of 10 would span one length."""
    lengths = np.random.default_rng(0).integers(1, 101, 1003)
    grouped = GroupedByLength(lengths, 10)

    first, second = (grouped.draw(0, epoch)[0] for epoch in (0, 1))
    full = lengths[first[:1000]].reshape(100, 10)

    assert (full.max(1) - full.min(1)).mean() < 8
    assert abs(np.corrcoef(np.arange(100), full.mean(1))[0, 1]) < 0.3
    assert not np.array_equal(first, second)
    assert {frozenset(batch) for batch in first[:1000].reshape(100, 10)}.isdisjoint(
        {frozenset(batch) for batch in second[:1000].reshape(100, 10)}
    )


def test_the_smaller_last_batch_is_of_any_length():
    """Over many epochs it holds each text equally often: no length counts more than others."""
    lengths = np.arange(23)
    grouped = GroupedByLength(lengths, 10)
    last = np.concatenate([grouped.draw(0, epoch)[0][20:] for epoch in range(2000)])

    assert np.bincount(last, minlength=23) / 2000 == pytest.approx(3 / 23, abs=0.03)


def test_an_epoch_of_another_sampling_is_kept():
    labels = np.array([0] * 12 + [1] * 4)
    within = Sampling("oversample", labels, ["a", "b"])
    grouped = GroupedByLength(np.arange(16), 4, within)

    found, wanted = grouped.draw(5, 2), within.draw(5, 2)

    assert len(grouped) == len(within) == 24
    assert grouped.rounds == within.rounds == 3
    assert sorted(zip(*found, strict=True)) == sorted(zip(*wanted, strict=True))


def test_padding():
    """Batches as long as 8, 16 and 8 tokens: 3 * 8 + 3 * 16 + 1 * 8 = 80 positions for 60."""
    lengths = np.array([8, 7, 6, 16, 9, 8, 6])
    assert padding_share(lengths, 3) == pytest.approx(20 / 80)
    assert padding_share(np.full(6, 16), 3) == 0


def test_tokens_are_counted_after_truncation():
    texts = Texts(["a a a", "a", "a a a a a a a a"])
    samples = Samples.of(texts, ["x"], ["1", "2", "3"], [0, 0, 0]).take(np.array([2, 0, 1]))
    bound = Text(length=8).bind(Vocabulary((*SPECIAL_TOKENS, "a")))
    assert token_counts(samples, Loading(bound, 2)).tolist() == [8, 5, 3]

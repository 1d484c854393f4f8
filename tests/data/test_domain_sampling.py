"""Batches of two domains, by counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer import BadConfiguration
from keras_transfer.data.domain_sampling import DomainSampling
from keras_transfer.data.sampling import Sampling

sizes = st.integers(1, 30)


def batches(sampling, seed=0, epoch=0):
    """(batches, batch_size) rows, and how often each was drawn before."""
    return [array.reshape(-1, sampling.batch_size) for array in sampling.draw(seed, epoch)]


def assert_in_rounds(rows, times):
    """No example comes again before all others of its domain did, and times count its draws."""
    seen = {}
    for row, time in zip(rows, times, strict=True):
        assert time == seen.get(row, 0)
        seen[row] = time + 1
        assert max(seen.values()) <= min(seen.values()) + 1 or len(seen) < len(set(rows))


@given(sizes, sizes, st.sampled_from([2, 4, 6]), st.integers(0, 9))
def test_half_of_each_batch_is_of_each_domain(source, target, size, seed):
    sampling = DomainSampling(source, target, size)
    rows, times = batches(sampling, seed)
    is_target = rows >= source

    assert rows.size == len(sampling) == size * -(-source // (size // 2))
    assert (is_target.sum(1) == size // 2).all()
    # In turn, so that devices that share a batch get both.
    assert (is_target == np.arange(size) % 2).all()
    assert sampling.labelled_share == 0.5
    for part in (~is_target, is_target):
        assert_in_rounds(rows[part], times[part])
    assert {*rows[~is_target]} == {*range(source)}
    assert rows.max() < source + target
    assert sampling.rounds == 1


@given(sizes, st.integers(3, 30), st.sampled_from([4, 8]))
def test_a_quarter_is_of_target_examples_with_labels(source, target, size):
    labelled = np.array([0, target - 1])
    sampling = DomainSampling(source, target, size, labelled)
    rows, _ = batches(sampling)
    quarter = size // 4

    assert (np.sum(rows < source, axis=1) == quarter).all()
    assert (np.isin(rows, labelled + source).sum(1) == quarter).all()
    assert sampling.labelled_share == 0.5


def test_an_epoch_depends_on_the_seed_and_its_number_alone():
    sampling = DomainSampling(20, 30, 8)
    one, again, other, later = (
        sampling.draw(*pair)[0].tolist() for pair in ((1, 3), (1, 3), (2, 3), (1, 4))
    )
    assert one == again
    assert one != other
    assert one != later


def test_classes_of_the_source_are_balanced_as_without_a_target():
    """9 and 3 of a class: with oversampling an epoch has 9 of each."""
    labels = np.repeat([0, 1], [9, 3])
    sampling = DomainSampling(12, 5, 4, within=Sampling("oversample", labels, ("a", "b")))
    rows, _ = sampling.draw(0, 0)
    source = rows[rows < 12]

    assert np.bincount(labels[source]).tolist() == [9, 9]


@pytest.mark.parametrize(("size", "labelled"), [(5, ()), (6, (0,))])
def test_a_batch_that_cannot_be_divided_is_refused(size, labelled):
    with pytest.raises(BadConfiguration, match=f"batch_size = {size}"):
        DomainSampling(8, 8, size, np.array(labelled, int))

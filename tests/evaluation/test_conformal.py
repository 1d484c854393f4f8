"""Prediction sets by hand, and the coverage that they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer.errors import UnknownName
from keras_transfer.evaluation.conformal import (
    conformal_quantile,
    least_examples,
    prediction_sets,
    set_scores,
)

P = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])


def test_scores_by_hand():
    assert set_scores(P, "lac") == pytest.approx(1 - P)
    # The sum over the class and all more probable ones; of equal ones the first comes first.
    wanted = [[0.6, 0.9, 1.0], [1.0, 0.5, 0.8], [0.4, 0.8, 1.0]]
    assert set_scores(P, "aps") == pytest.approx(np.array(wanted))
    with pytest.raises(UnknownName, match="lac"):
        set_scores(P, "lca")


def test_the_quantile_is_an_order_statistic():
    """Nine scores: (9 + 1) 0.8 is the 8th smallest, (9 + 1) 0.95 is more than there are."""
    scores = np.arange(9, 0, -1) / 10
    assert conformal_quantile(scores, 0.8) == 0.8
    assert conformal_quantile(scores, 0.75) == 0.8
    assert conformal_quantile(scores, 0.9) == 0.9
    assert conformal_quantile(scores, 0.95) == np.inf
    assert [least_examples(c) for c in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]


def test_sets_by_hand():
    assert prediction_sets(P, 0.7, "lac").tolist() == [
        [True, True, False], [False, True, True], [True, True, False]
    ]  # fmt: skip
    assert prediction_sets(P, 0.8, "aps").tolist() == [
        [True, False, False], [False, True, True], [True, True, False]
    ]  # fmt: skip
    # Never empty.
    assert prediction_sets(P, 0.0, "aps").tolist() == [
        [True, False, False], [False, True, False], [True, False, False]
    ]  # fmt: skip


@given(st.floats(0.02, 0.98), st.integers(0, 300))
def test_enough_examples_are_just_enough(coverage, more):
    n = least_examples(coverage)
    rng = np.random.default_rng(0)
    assert np.isfinite(conformal_quantile(rng.random(n + more), coverage))
    if n > 1:
        assert np.isinf(conformal_quantile(rng.random(n - 1), coverage))


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_the_truth_is_in_the_set_as_often_as_promised(method, coverage):
    """A model that is wrong about its probabilities: the promise holds all the same."""
    rng, inside = np.random.default_rng(0), []
    for _ in range(300):
        logits = rng.normal(0, 2, (150, 5))
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        true = (p.cumsum(axis=1) < rng.random((150, 1))).sum(axis=1).clip(0, 4)
        said = p**3 / (p**3).sum(axis=1, keepdims=True)
        scores = set_scores(said, method)[np.arange(150), true]
        found = prediction_sets(said[50:], conformal_quantile(scores[:50], coverage), method)
        inside.append(found[np.arange(100), true[50:]].mean())
    # The mean of 300 has a standard error of at most 0.0045.
    assert np.mean(inside) >= coverage - 0.01
    if method == "lac":  # exactly (n + 1) of which ceil are covered, but for sets of one
        assert np.mean(inside) <= coverage + 0.03

"""Label shift, against numbers by hand, the equation of the paper, and simulated classifiers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, hypergeom, kstest

from keras_transfer.domains.label_shift import estimate_shares, label_shift_p_value
from keras_transfer.errors import BadData

CONFUSION = np.array([[0.8, 0.1, 0.15], [0.1, 0.7, 0.05], [0.1, 0.2, 0.8]])
"""Probability of the predicted class (row) for the true class (column)."""


def counted(*rows):
    """True and predicted classes from (predicted, true) counts."""
    counts = np.array(rows)
    predicted, true = np.indices(counts.shape)
    return np.repeat(true, counts.ravel()), np.repeat(predicted, counts.ravel())


def simulated(rng, shares, n):
    """Labels with these shares, and what a classifier with the confusion above says."""
    true = rng.choice(3, n, p=shares)
    return true, (rng.random(n)[:, None] > CONFUSION.T.cumsum(axis=1)[true]).sum(axis=1)


def test_shares_by_hand():
    """8 of 10 and 9 of 10 are right; 0.8 q + 0.1 (1 - q) = 31 / 100 has the solution q = 0.3."""
    true, predicted = counted([8, 1], [2, 9])
    result = estimate_shares(true, predicted, np.repeat([0, 1], [31, 69]), 2)

    assert result.source_shares == pytest.approx([0.5, 0.5])
    assert result.target_shares == pytest.approx([0.3, 0.7])
    assert result.weights == pytest.approx([0.6, 1.4])
    assert result.determined.all()
    assert (result.low <= result.target_shares).all()
    assert (result.target_shares <= result.high).all()


def test_negative_shares_become_0():
    """0.8 q + 0.1 (1 - q) = 0 would need q = -1/7."""
    true, predicted = counted([8, 1], [2, 9])
    result = estimate_shares(true, predicted, np.ones(5, int), 2)

    assert result.target_shares == pytest.approx([0, 1])


def test_shares_solve_the_equation_of_the_paper():
    """C w = u with the joint C, for source classes of very different size."""
    rng = np.random.default_rng(0)
    true, predicted = simulated(rng, [0.9, 0.07, 0.03], 4000)
    _, target = simulated(rng, [0.3, 0.3, 0.4], 2000)
    joint = np.array(
        [[((predicted == i) & (true == j)).mean() for j in range(3)] for i in range(3)]
    )
    weights = np.linalg.solve(joint, np.bincount(target) / 2000)
    result = estimate_shares(true, predicted, target, 3)

    assert result.weights == pytest.approx(weights)
    assert result.target_shares == pytest.approx(weights * np.bincount(true) / 4000)


def test_known_shares_are_recovered_within_the_intervals():
    shares, inside, errors = np.array([0.1, 0.3, 0.6]), 0, []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        source = simulated(rng, [0.5, 0.3, 0.2], 400)
        result = estimate_shares(*source, simulated(rng, shares, 300)[1], 3, draws=300)
        inside += ((result.low <= shares) & (shares <= result.high)).sum()
        errors.append(result.target_shares - shares)

    assert inside >= 0.88 * 90  # 95 % in the long run
    assert abs(np.mean(errors, axis=0)).max() < 0.02
    assert np.std(errors, axis=0).max() < 0.06


def test_shares_that_predictions_do_not_tell():
    """Classes 0 and 2 are both predicted as 0: only their sum is known, 0.4 instead of 0.6."""
    true, predicted = counted([2, 0, 4], [0, 4, 0], [0, 0, 0])
    result = estimate_shares(true, predicted, np.repeat([0, 1], [4, 6]), 3)

    assert result.determined.tolist() == [False, True, False]
    # The nearest to 0.2 and 0.4.
    assert result.target_shares == pytest.approx([0.1, 0.6, 0.3])
    assert (result.low[0], result.high[0]) == (0, 1)
    assert 0.2 < result.low[1] < 0.6 < result.high[1] < 1


def test_a_class_that_the_source_lacks_keeps_the_share_0():
    true, predicted = counted([8, 1, 0], [2, 9, 0], [0, 0, 0])
    result = estimate_shares(true, predicted, np.repeat([0, 1], [31, 69]), 3)

    assert result.target_shares == pytest.approx([0.3, 0.7, 0])
    assert result.weights == pytest.approx([0.6, 1.4, 0])
    assert result.determined.tolist() == [True, True, False]
    assert (result.low[2], result.high[2]) == (0, 1)


def test_predictions_that_contradict_the_confusion_matrix_leave_the_shares():
    """All of the source is predicted as 0, all of the target as 1."""
    result = estimate_shares([0, 1], [0, 0], [1, 1, 1], 2)

    assert result.target_shares == pytest.approx([0.5, 0.5])
    assert not result.determined.any()


@settings(max_examples=20)
@given(st.integers(0, 2**16))
def test_laws_of_the_shares(seed):
    rng = np.random.default_rng(seed)
    true, predicted = simulated(rng, [0.4, 0.4, 0.2], 60)
    target = simulated(rng, rng.dirichlet(np.ones(3)), 40)[1]
    result = estimate_shares(true, predicted, target, 3, draws=50)
    order, names = rng.permutation(60), rng.permutation(3)
    ordered = estimate_shares(true[order], predicted[order], rng.permutation(target), 3, draws=50)
    renamed = estimate_shares(names[true], names[predicted], names[target], 3, draws=50)

    assert result.target_shares.sum() == pytest.approx(1)
    assert (result.low >= 0).all()
    assert (result.low <= result.high).all()
    assert (result.high <= 1 + 1e-9).all()
    for values, other in zip(result, ordered, strict=True):
        assert other == pytest.approx(values)
    assert renamed.target_shares[names] == pytest.approx(result.target_shares)
    # The same predictions again: no shift.
    same = estimate_shares(true, predicted, predicted, 3, draws=50)
    assert same.weights == pytest.approx(np.ones(3))


def test_the_p_value_is_fishers_exact_one():
    """8 + 2 against 3 + 7: as far from 5.5 as 8, on either side, is 8 or more, or 3 or less."""
    given = np.repeat([0, 1], [8, 2]), np.repeat([0, 1], [3, 7])
    drawn = hypergeom(20, 11, 10)
    expected = drawn.sf(7) + drawn.cdf(3)

    p_value = label_shift_p_value(*given, 2, permutations=20000)
    assert p_value == pytest.approx(expected, abs=0.01)


def test_the_p_value_of_many_examples_is_that_of_chi_squared():
    rng = np.random.default_rng(1)
    source, target = rng.choice(4, 900, p=[0.4, 0.3, 0.2, 0.1]), rng.choice(4, 500)
    target = np.where(rng.random(500) < 0.85, rng.permutation(source)[:500], target)
    table = [np.bincount(source), np.bincount(target)]
    expected = chi2_contingency(table, correction=False).pvalue

    assert 0.001 < expected < 0.5
    # Classes that nobody predicts do not count.
    p_value = label_shift_p_value(source, target, 6, permutations=20000)
    assert p_value == pytest.approx(expected, abs=0.015)


def test_p_values_are_uniform_without_a_shift_and_small_with_one():
    def tested(seed, shares):
        rng = np.random.default_rng(seed)
        source = simulated(rng, [0.5, 0.3, 0.2], 150)[1]
        return label_shift_p_value(source, simulated(rng, shares, 100)[1], 3, seed=seed)

    none = [tested(seed, [0.5, 0.3, 0.2]) for seed in range(60)]
    assert kstest(none, "uniform").pvalue > 0.01
    assert max(tested(seed, [0.1, 0.3, 0.6]) for seed in range(10)) < 0.01


@pytest.mark.parametrize(
    ("true", "predicted", "target", "message"),
    [
        ([0, 1], [0, 1], [], "no predicted classes of the target"),
        ([], [], [0, 1], "no source labels"),
        ([0, -1], [0, 1], [0, 1], "1 of 2 source labels are not from 0 to 1.*not known"),
        ([0, 1], [0, 2], [0, 1], "1 of 2 predicted classes of the source"),
        ([0, np.nan], [0, 1], [0, 1], "1 of 2 source labels"),
    ],
)
def test_classes_that_do_not_exist_are_refused(true, predicted, target, message):
    with pytest.raises(BadData, match=message):
        estimate_shares(true, predicted, target, 2)


def test_a_p_value_of_nothing_is_refused():
    with pytest.raises(BadData, match="no predicted classes of the source"):
        label_shift_p_value([], [0, 1], 2)

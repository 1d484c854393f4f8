"""Comparisons of models and exact tests, against numbers worked out by hand."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom, norm, rankdata
from sklearn.metrics import f1_score

from keras_transfer.data.copies import families
from keras_transfer.evaluation.comparing import distinct, mcnemar, signed_rank, spread
from keras_transfer.evaluation.paired import align_predictions, resampled_metrics
from keras_transfer.evaluation.prediction_files import Predicted
from keras_transfer.objectives.classification import Classification


def says(keys, true, decided, classes=("a", "b")):
    """Predictions that are sure of what they say."""
    decided = np.asarray(decided)
    keys = np.array(list(keys), object)
    return Predicted(keys, np.array(true), np.eye(len(classes))[decided], decided, tuple(classes))


def compare(models, digests=None, resamples=2000):
    """Compare the second model with the first, as the command does."""
    aligned = align_predictions(models)
    copies = families(np.array([(digests or {}).get(key, "") for key in aligned.keys], object))
    return Classification().compare(aligned, 0, 1, draws=resamples, families=copies)


def test_mcnemar_by_hand():
    """Of 10 images one is right in the first only, six in the second only.

    P(at most 1 or at least 6 of 7 coins) = 2 * (1 + 7) / 2**7 = 0.125.
    """
    true = np.zeros(10, int)
    first = np.array([0, 1, 1, 1, 1, 1, 1, 0, 0, 1])
    second = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 1])

    found = mcnemar(first == true, second == true)

    assert found == {"only_first": 1, "only_second": 6, "p": 0.125}


def test_mcnemar_of_models_that_agree_says_nothing():
    same = np.array([True, False])
    assert mcnemar(same, same) == {"only_first": 0, "only_second": 0, "p": 1.0}


def test_the_interval_of_a_difference_is_that_of_the_binomial():
    """The second is right on 10 of 100 images more, and wrong nowhere that the first is right.

    A resample of 100 holds Binomial(100, 0.1) of the ten: 5 and 16 are its 2.5 % quantiles.
    """
    true = np.arange(100) % 2
    first = np.where(np.arange(100) < 10, 1 - true, true)
    models = [[says(map(str, range(100)), true, one)] for one in (first, true)]

    found = compare(models, resamples=5000)["accuracy"]

    assert [binom.ppf(q, 100, 0.1) for q in (0.025, 0.975)] == [5, 16]
    assert (found["first"], found["second"]) == (0.9, 1.0)
    assert found["difference"] == pytest.approx(0.1)
    assert found["interval"] == pytest.approx([0.05, 0.16], abs=0.011)


def test_copies_are_drawn_together_and_tested_once():
    """Ten copies each of 20 images, of which the second gets four right that the first does not.

    As for 20 images: Binomial(20, 4/20) of them, so its quantiles of 1 and 8 are 0.05 and 0.4.
    McNemar: 4 of 4 coins, p = 2 / 2**4 = 0.125; 40 of 40 would be 2e-12.
    """
    true = np.repeat(np.arange(20) % 2, 10)
    first = np.where(np.arange(200) < 40, 1 - true, true)
    keys = [str(n) for n in range(200)]
    digests = {key: str(int(key) // 10) for key in keys}
    models = [[says(keys, true, one)] for one in (first, true)]

    found = compare(models, digests, resamples=5000)

    assert [binom.ppf(q, 20, 0.2) for q in (0.025, 0.975)] == [1, 8]
    assert found["accuracy"]["difference"] == pytest.approx(0.2)
    assert found["accuracy"]["interval"] == pytest.approx([0.05, 0.4], abs=0.051)
    assert found["mcnemar"] == [{"pair": 1, "only_first": 0, "only_second": 4, "p": 0.125}]


def test_without_copies_digests_change_nothing():
    true = np.arange(60) % 3
    one, other = np.roll(true, 5), np.where(np.arange(60) < 9, 0, true)
    models = [[says(map(str, range(60)), true, said, "abc")] for said in (one, other)]

    alone = compare(models, resamples=200)

    assert compare(models, {str(n): f"d{n}" for n in range(60)}, resamples=200) == alone


def test_a_copy_with_another_label_is_another_case_of_the_test():
    keys, true = "abcd", np.array([0, 1, 0, 0])
    models = [[says(keys, true, said)] for said in ([1, 1, 1, 0], [0, 0, 0, 0])]

    found = compare(models, dict(zip(keys, "xxyy", strict=True)), resamples=100)

    assert found["mcnemar"][0]["only_first"] == 1


def test_the_same_model_differs_by_nothing_whatever_is_drawn():
    one = says("abcd", [0, 1, 0, 1], [0, 1, 1, 1])
    found = compare([[one], [one]], resamples=100)
    for name in ("accuracy", "macro_f1"):
        assert (found[name]["difference"], found[name]["interval"]) == (0, [0, 0])


def test_macro_f1_is_scikit_learns():
    rng = np.random.default_rng(0)
    true, one, other = rng.integers(0, 4, (3, 50))
    other[other == 3] = 2  # a class that is never predicted
    classes = ("a", "b", "c", "d")
    models = [[says(map(str, range(50)), true, p, classes)] for p in (one, other)]

    found = compare(models, resamples=100)["macro_f1"]

    assert found["first"] == pytest.approx(f1_score(true, one, average="macro"))
    assert found["second"] == pytest.approx(f1_score(true, other, average="macro"))


def test_a_model_of_several_runs_has_their_mean_and_a_test_each():
    """Runs right on 4 and 2 of 4 images: 0.75 on average."""
    true = [0, 1, 0, 1]
    runs = [says("abcd", true, true), says("abcd", true, [1, 0, 0, 1])]
    found = compare([runs, runs[::-1]], resamples=200)

    assert found["accuracy"]["first"] == found["accuracy"]["second"] == 0.75
    assert [(one["only_first"], one["only_second"]) for one in found["mcnemar"]] == [(2, 0), (0, 2)]
    low, high = found["accuracy"]["interval"]
    assert low < -0.2
    assert high > 0.2


def test_resamples_are_as_many_as_asked_for_and_repeatable():
    aligned = align_predictions([[says("abc", [0, 1, 1], [0, 1, 0])]])
    metrics = Classification().paired_metrics("ab")
    draws = [
        resampled_metrics(aligned, metrics, draws=120, seed=seed)["accuracy"][0]
        for seed in (0, 0, 1)
    ]
    assert len(draws[0]) == 120
    assert draws[0].tolist() == draws[1].tolist() != draws[2].tolist()


def test_what_counts_in_a_test():
    """Copies with one true value count once, with two true values twice."""
    assert distinct(np.array([0, 0, 1, 1]), np.array([5, 5, 5, 7])).tolist() == [0, 2, 3]
    values = np.array([[1.5, 2], [1.5, 2], [1.5, 3]])
    assert distinct(values, np.array([0, 0, 0])).tolist() == [0, 2]
    assert distinct(values, None).tolist() == [0, 1, 2]


def test_the_signed_rank_test_is_its_exact_law():
    """All 2^8 signs of the ranks 1 to 8, counted: as far from the middle as found or farther."""
    first = np.array([3, 1, 4, 9, 5, 9.5, 2, 6])
    second = first - np.array([0.1, 0.7, -0.3, 1.2, 0.9, 2.1, 0.4, -0.2])

    found = signed_rank(first, second)

    difference = second - first
    ranks = rankdata(np.abs(difference))
    seen = abs(ranks[difference > 0].sum() - ranks.sum() / 2)
    sums = [np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=8)]
    expected = np.mean([abs(total - ranks.sum() / 2) >= seen for total in sums])
    assert found["p"] == pytest.approx(expected)
    assert (found["closer_first"], found["closer_second"], found["law"]) == (2, 6, "exact")


def test_equal_errors_are_left_out_and_ties_have_no_exact_law():
    same = np.array([1.0, 2.0])
    assert signed_rank(same, same)["p"] == 1
    first = np.array([1, 2, 3, 4.0])
    assert signed_rank(first, np.array([1, 1.5, 3.5, 3.5]))["law"] == "normal"


def test_the_normal_law_of_many_errors():
    """z = (W - n (n + 1) / 4) / sqrt(n (n + 1) (2 n + 1) / 24), by hand."""
    rng = np.random.default_rng(0)
    n = 200
    first, second = rng.random(n), 0.9 * rng.random(n)
    ranks = rankdata(np.abs(second - first))
    z = ranks[second > first].sum() - n * (n + 1) / 4
    z /= (n * (n + 1) * (2 * n + 1) / 24) ** 0.5

    found = signed_rank(first, second)

    assert found["law"] == "normal"
    assert found["p"] == pytest.approx(2 * norm.sf(abs(z)))


def test_spread_by_hand():
    """1, 2, 3: mean 2, standard deviation 1, t of two degrees of freedom 4.303 / sqrt(3)."""
    found = spread([1, 2, 3])
    assert (found["mean"], found["std"], found["values"]) == (2, 1, [1, 2, 3])
    assert found["interval"] == pytest.approx([2 - 2.4841, 2 + 2.4841], abs=1e-4)

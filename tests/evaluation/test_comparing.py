"""Comparisons of models, against numbers worked out by hand."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import f1_score

from keras_transfer.errors import BadData
from keras_transfer.evaluation.comparing import align, compare, mcnemar, resampled, spread
from keras_transfer.evaluation.predictions import Predictions


def says(keys, true, predicted, classes=("a", "b")):
    """Predictions that are sure of what they say."""
    return Predictions(
        np.array(list(keys), object), np.array(true), np.eye(len(classes))[predicted], classes
    )


def test_mcnemar_by_hand():
    """Of 10 images one is right in the first only, six in the second only.

    P(at most 1 or at least 6 of 7 coins) = 2 * (1 + 7) / 2**7 = 0.125.
    """
    true = np.zeros(10, int)
    first = np.array([0, 1, 1, 1, 1, 1, 1, 0, 0, 1])
    second = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 1])

    assert mcnemar(true, first, second) == {"only_first": 1, "only_second": 6, "p": 0.125}


def test_mcnemar_of_models_that_agree_says_nothing():
    same = np.array([0, 1])
    assert mcnemar(np.array([0, 0]), same, same) == {"only_first": 0, "only_second": 0, "p": 1.0}


def test_the_interval_of_a_difference_is_that_of_the_binomial():
    """The second is right on 10 of 100 images more, and wrong nowhere that the first is right.

    A resample of 100 holds Binomial(100, 0.1) of the ten: 5 and 16 are its 2.5 % quantiles.
    """
    true = np.arange(100) % 2
    first = np.where(np.arange(100) < 10, 1 - true, true)
    answers = align([[says(map(str, range(100)), true, one)] for one in (first, true)])

    found = compare(answers, 0, 1, resamples=5000)["accuracy"]

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
    answers = align([[says(keys, true, one)] for one in (first, true)], digests)

    found = compare(answers, 0, 1, resamples=5000)

    assert [binom.ppf(q, 20, 0.2) for q in (0.025, 0.975)] == [1, 8]
    assert found["accuracy"]["difference"] == pytest.approx(0.2)
    assert found["accuracy"]["interval"] == pytest.approx([0.05, 0.4], abs=0.051)
    assert found["mcnemar"] == [{"only_first": 0, "only_second": 4, "p": 0.125}]


def test_without_copies_digests_change_nothing():
    true = np.arange(60) % 3
    one, other = np.roll(true, 5), np.where(np.arange(60) < 9, 0, true)
    models = [[says(map(str, range(60)), true, said, "abc")] for said in (one, other)]

    alone = compare(align(models), 0, 1, resamples=200)

    assert (
        compare(align(models, {str(n): f"d{n}" for n in range(60)}), 0, 1, resamples=200) == alone
    )


def test_a_copy_with_another_label_is_another_case_of_the_test():
    keys, true = "abcd", np.array([0, 1, 0, 0])
    answers = align(
        [[says(keys, true, said)] for said in ([1, 1, 1, 0], [0, 0, 0, 0])],
        dict(zip(keys, "xxyy", strict=True)),
    )

    assert list(answers.families) == [0, 0, 1, 1]
    assert compare(answers, 0, 1, resamples=100)["mcnemar"][0]["only_first"] == 1


def test_the_same_model_differs_by_nothing_whatever_is_drawn():
    one = says("abcd", [0, 1, 0, 1], [0, 1, 1, 1])
    found = compare(align([[one], [one]]), 0, 1, resamples=100)
    for name in ("accuracy", "macro_f1"):
        assert (found[name]["difference"], found[name]["interval"]) == (0, [0, 0])


def test_macro_f1_is_scikit_learns():
    rng = np.random.default_rng(0)
    true, one, other = rng.integers(0, 4, (3, 50))
    other[other == 3] = 2  # a class that is never predicted
    classes = ("a", "b", "c", "d")
    answers = align([[says(map(str, range(50)), true, p, classes)] for p in (one, other)])

    found = compare(answers, 0, 1, resamples=100)["macro_f1"]

    assert found["first"] == pytest.approx(f1_score(true, one, average="macro"))
    assert found["second"] == pytest.approx(f1_score(true, other, average="macro"))


def test_a_model_of_several_runs_has_their_mean_and_a_test_each():
    """Runs right on 4 and 2 of 4 images: 0.75 on average."""
    true = [0, 1, 0, 1]
    runs = [says("abcd", true, true), says("abcd", true, [1, 0, 0, 1])]
    answers = align([runs, runs[::-1]])

    found = compare(answers, 0, 1, resamples=200)

    assert found["accuracy"]["first"] == found["accuracy"]["second"] == 0.75
    assert [(one["only_first"], one["only_second"]) for one in found["mcnemar"]] == [(2, 0), (0, 2)]
    low, high = found["accuracy"]["interval"]
    assert low < -0.2
    assert high > 0.2


def test_pairs_are_made_by_key_and_class_name_not_by_place():
    first = says(["x", "y", "z"], [0, 1, 1], [0, 1, 0], ("a", "b"))
    second = says(["z", "w", "x"], [0, 0, 1], [0, 1, 1], ("b", "a"))

    answers = align([[first], [second]])

    # x is an a, z is a b; the second says a of x, b of z
    assert answers.true.tolist() == [0, 1]
    assert [one.tolist() for one in answers.predicted] == [[[0, 0]], [[0, 1]]]
    assert answers.left_out == 2


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (says("xy", [0, 1], [0, 1], ("a", "c")), "different classes"),
        (says("vw", [0, 1], [0, 1]), "share no test image"),
        (says("xy", [1, 1], [0, 1]), "different true labels"),
    ],
)
def test_what_cannot_be_paired_is_refused(other, said):
    with pytest.raises(BadData, match=said):
        align([[says("xy", [0, 1], [0, 1])], [other]])


def test_resamples_are_as_many_as_asked_for_and_repeatable():
    true, said = np.array([0, 1, 1]), np.array([[0, 1, 0]])
    draws = [
        np.concatenate([one["accuracy"][0] for one in resampled(true, [said], 2, 120, seed)])
        for seed in (0, 0, 1)
    ]
    assert len(draws[0]) == 120
    assert draws[0].tolist() == draws[1].tolist() != draws[2].tolist()


def test_spread_by_hand():
    """1, 2, 3: mean 2, standard deviation 1, t of two degrees of freedom 4.303 / sqrt(3)."""
    found = spread([1, 2, 3])
    assert (found["mean"], found["std"], found["values"]) == (2, 1, [1, 2, 3])
    assert found["interval"] == pytest.approx([2 - 2.4841, 2 + 2.4841], abs=1e-4)

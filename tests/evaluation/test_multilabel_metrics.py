"""Metrics of several labels, against numbers worked out by hand and scikit-learn."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_transfer.errors import BadData, CheckFailed
from keras_transfer.evaluation.multilabel_metrics import (
    best_thresholds,
    multilabel_metrics,
    multilabel_summary,
    prevalence_baseline,
)
from keras_transfer.evaluation.weighted import average_precisions, f1_scores, micro_f1

LABELS = ("cat", "dog", "bird")
TRUE = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], float)
SCORES = np.array([[0.9, 0.2, 0.1], [0.4, 0.8, 0.2], [0.6, 0.3, 0.1], [0.1, 0.1, 0.7]])


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_metrics_worked_by_hand():
    """At 0.5: cat says 1 0 1 0, dog 0 1 0 0, bird 0 0 0 1.

    Pairs: tp 2 (cat of row 0, dog of row 1), 4 positives, 4 predicted, so micro F1 = 4 / 8. F1:
    cat 2/4, dog 2/3, bird 0/1. Wrong pairs: cat 2, dog 1, bird 1. Only row 0 is right in all.
    AP: cat ranks 1 and 3: (1 + 2/3) / 2; dog ranks 1 and 2: 1; bird has no positives.
    """
    metrics = multilabel_metrics(TRUE, SCORES, LABELS)

    wanted = {
        "n": 4,
        "mean_average_precision": ((1 + 2 / 3) / 2 + 1) / 2,
        "micro_f1": 1 / 2,
        "macro_f1": (1 / 2 + 2 / 3 + 0) / 3,
        "hamming_loss": 4 / 12,
        "subset_accuracy": 1 / 4,
    }
    assert {name: metrics[name] for name in wanted} == pytest.approx(wanted)
    right = np.where(TRUE > 0, SCORES, 1 - SCORES)
    assert metrics["log_loss"] == pytest.approx(-np.log(right).mean())
    assert metrics["per_label"]["cat"] == pytest.approx(
        {
            "precision": 1 / 2,
            "recall": 1 / 2,
            "f1": 1 / 2,
            "average_precision": 5 / 6,
            "support": 2,
            "threshold": 0.5,
        }
    )
    bird = metrics["per_label"]["bird"]
    assert (bird["recall"], bird["average_precision"], bird["support"]) == (None, None, 0)
    assert (bird["precision"], bird["f1"]) == (0, 0)
    json.dumps(metrics, allow_nan=False)


def test_thresholds_count_from_their_score_on():
    found = multilabel_metrics(TRUE, SCORES, LABELS, thresholds=[0.4, 0.3, 0.71])

    assert found["per_label"]["cat"]["recall"] == 1
    assert found["per_label"]["dog"] | {"average_precision": 0} == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "average_precision": 0,
        "support": 2,
        "threshold": 0.3,
    }
    assert found["per_label"]["bird"]["precision"] is None


@st.composite
def labelled(draw):
    n, labels = draw(st.integers(2, 30)), draw(st.integers(2, 4))
    true = draw(hnp.arrays(bool, (n, labels)))
    true[:2] = [[True] * labels, [False] * labels]  # each label has a positive and a negative
    raw = draw(hnp.arrays(int, (n, labels), elements=st.integers(1, 9)))
    return true.astype(float), raw / 10


@settings(max_examples=30)
@given(labelled())
def test_metrics_are_scikit_learns(case):
    true, scores = case
    names = [f"label {i}" for i in range(true.shape[1])]

    metrics = multilabel_metrics(true, scores, names, intervals=False)

    said = (scores >= 0.5).astype(int)
    expected = {
        "mean_average_precision": sk.average_precision_score(true, scores, average="macro"),
        "micro_f1": sk.f1_score(true, said, average="micro"),
        "macro_f1": sk.f1_score(true, said, average="macro"),
        "hamming_loss": sk.hamming_loss(true, said),
        "subset_accuracy": sk.accuracy_score(true, said),
        "log_loss": np.mean(
            [sk.log_loss(t, s, labels=[0, 1]) for t, s in zip(true.T, scores.T, strict=True)]
        ),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)
    for i, row in enumerate(metrics["per_label"].values()):
        assert row["average_precision"] == pytest.approx(
            sk.average_precision_score(true[:, i], scores[:, i])
        )


@settings(max_examples=60)
@given(labelled(), st.data())
def test_weighted_metrics_are_those_of_repeated_examples(case, data):
    true, scores = case
    n = len(true)
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    counts[:2] = np.maximum(counts[:2], 1)
    rows, said, ones = np.repeat(np.arange(n), counts), scores >= 0.5, np.ones((1, counts.sum()))
    for metric, predicted in ((average_precisions, scores), (f1_scores, said), (micro_f1, said)):
        weighted = metric(counts[None].astype(float), true > 0, predicted)
        repeated = metric(ones, true[rows] > 0, predicted[rows])
        np.testing.assert_allclose(weighted, repeated)


def test_a_single_label_is_not_taken_for_two_classes():
    """F1 of "on" is 2 / 3; that of "off", which is no label, would be 4 / 5."""
    true, scores = np.array([[1.0], [1], [0], [0]]), np.array([[0.9], [0.2], [0.3], [0.1]])

    metrics = multilabel_metrics(true, scores, ["on"])

    assert metrics["macro_f1"] == metrics["micro_f1"] == metrics["per_label"]["on"]["f1"] == 2 / 3
    assert (metrics["per_label"]["on"]["precision"], metrics["subset_accuracy"]) == (1, 3 / 4)
    assert [*metrics["per_label"]] == ["on"]


def test_nothing_positive_is_not_defined_and_gives_no_warning():
    metrics = multilabel_metrics(np.zeros((3, 2)), np.full((3, 2), 0.1), ["a", "b"])

    assert metrics["mean_average_precision"] is metrics["micro_f1"] is metrics["macro_f1"] is None
    assert metrics["mean_average_precision_interval"] is None
    assert metrics["subset_accuracy"] == 1
    assert "mean average precision  -  (3 examples)" in multilabel_summary(metrics)
    json.dumps(metrics, allow_nan=False)


def test_the_interval_of_micro_f1_is_that_of_the_binomial():
    """One label, always predicted, true for 50 of 100: F1 = 2k / (k + 100), k ~ B(100, 1/2).

    Its quantiles 40 and 60 give 0.571 and 0.75.
    """
    true = (np.arange(100) < 50).astype(float)[:, None]

    low, high = multilabel_metrics(true, np.full((100, 1), 0.9), ["a"])["micro_f1_interval"]

    assert (low, high) == pytest.approx((80 / 140, 120 / 160), abs=0.02)


def test_intervals_repeat_and_copies_widen_them():
    rng = np.random.default_rng(1)
    true = rng.integers(0, 2, (40, 2)).astype(float)
    scores = np.clip(true * 0.3 + rng.random((40, 2)) * 0.7, 0, 1)
    copies = np.repeat(np.arange(40), 5)

    def width(interval):
        return interval[1] - interval[0]

    once = multilabel_metrics(true, scores, "ab")
    again = multilabel_metrics(true, scores, "ab")
    naive = multilabel_metrics(true[copies], scores[copies], "ab")
    honest = multilabel_metrics(true[copies], scores[copies], "ab", families=copies)

    key = "mean_average_precision_interval"
    assert once == again
    assert width(naive[key]) < 0.6 * width(once[key])
    assert width(honest[key]) == pytest.approx(width(once[key]), rel=0.15)


def test_examples_that_are_not_known_are_left_out():
    true, scores = np.vstack([TRUE, [[np.nan] * 3]]), np.vstack([SCORES, [[0.5] * 3]])
    families = np.array([0, 1, 2, 3, 0])

    assert multilabel_metrics(true, scores, LABELS, families=families) == multilabel_metrics(
        TRUE, SCORES, LABELS
    )


def test_what_cannot_be_measured():
    with pytest.raises(BadData, match="nothing to measure"):
        multilabel_metrics(np.full((2, 1), np.nan), np.ones((2, 1)), "a")
    with pytest.raises(CheckFailed, match="1 of 2 predictions are not numbers"):
        multilabel_metrics(np.ones((2, 1)), np.array([[1.0], [np.nan]]), "a")
    with pytest.raises(ValueError, match="differ in shape"):
        multilabel_metrics(np.ones((2, 1)), np.ones((2, 2)), "a")


@pytest.mark.parametrize(
    ("true", "scores", "threshold"),
    [
        # F1 by the number taken: 2/3, 1, 4/5: between 0.4 and 0.2
        ([1, 1, 0], [0.6, 0.4, 0.2], 0.3),
        # all thresholds in (0.2, 0.6] are best, and 0.5 is one of them
        ([1, 1, 0], [0.9, 0.6, 0.2], 0.5),
        # everything is positive: anything up to 0.3 is best, half of it is in the middle
        ([1, 1], [0.3, 0.4], 0.15),
        # no positives, nothing to choose by
        ([0, 0, 0], [0.9, 0.8, 0.1], 0.5),
        # taking 1 or 3: F1 = 2/3 both (tp 1 of 1; 2 of 4): 0.85 is nearer to 0.5 than 0.1
        ([1, 0, 0, 1], [0.9, 0.8, 0.3, 0.2], 0.85),
        # equal scores cannot be parted: F1 = 4/5 takes all of them
        ([1, 1, 0], [0.4, 0.4, 0.4], 0.2),
    ],
)
def test_best_thresholds_by_hand(true, scores, threshold):
    found = best_thresholds(np.array(true)[:, None], np.array(scores)[:, None])

    assert found.dtype == np.float32
    assert found == pytest.approx([threshold])


@settings(max_examples=100)
@given(labelled())
def test_no_threshold_is_better(case):
    true, scores = case

    found = best_thresholds(true, scores)

    for label, threshold in enumerate(found):
        cuts = np.array([threshold, *np.arange(0.05, 1, 0.1)])
        said = scores[:, label].astype("float32") >= cuts[:, None]
        right = (said * true[:, label]).sum(axis=1)
        f1 = 2 * right / (said.sum(axis=1) + true[:, label].sum())
        assert f1[0] == f1.max()


def test_a_threshold_parts_neighbouring_floats():
    low = np.float32(0.3)
    scores = np.array([[np.nextafter(low, np.float32(1))], [low]], "float32")

    found = best_thresholds(np.array([[1], [0]]), scores)

    assert (scores >= found).tolist() == [[True], [False]]


def test_the_baseline_by_hand():
    """Train: cat 3 of 4, dog 1 of 4. Constant scores have the prevalence as average precision.

    Cats are predicted everywhere, dogs nowhere: tp 2, 4 positives, 4 predicted.
    """
    train = np.array([[1, 0], [1, 0], [1, 1], [0, 0], [np.nan, np.nan]])
    true = TRUE[:, :2]

    found = prevalence_baseline(train, true, ["cat", "dog"])

    assert found["prevalence"] == {"cat": 0.75, "dog": 0.25}
    assert found["mean_average_precision"] == pytest.approx(2 / 4)
    assert found["micro_f1"] == pytest.approx(4 / 8)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["hamming_loss"] == pytest.approx(4 / 8)
    # each label: two of four examples have it, so mean of log p and log (1 - p)
    half = -(np.log(0.75) + np.log(0.25)) / 2
    assert found["log_loss"] == pytest.approx(half)


def test_half_of_the_train_split_is_enough_to_predict_a_label():
    train = np.array([[1.0], [0.0]])
    assert prevalence_baseline(train, np.ones((2, 1)), "a")["subset_accuracy"] == 1


def test_the_summary():
    lines = multilabel_summary(multilabel_metrics(TRUE, SCORES, LABELS)).splitlines()

    assert lines[0].startswith("mean average precision  0.917  (95 % interval ")
    assert lines[0].endswith(", 4 examples)")
    assert lines[2:] == [
        "macro F1                0.389",
        "subset accuracy         0.250",
        "Hamming loss            0.333",
        "log loss                0.453",
        "",
        "label  precision  recall     F1     AP  threshold  positives",
        "cat        0.500   0.500  0.500  0.833      0.500          2",
        "dog        1.000   0.500  0.667  1.000      0.500          2",
        "bird       0.000       -  0.000      -      0.500          0",
    ]

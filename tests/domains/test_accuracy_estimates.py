"""Accuracy without labels, against numbers by hand and classifiers of known accuracy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from keras_transfer.domains.accuracy_estimates import (
    agreement,
    average_thresholded_confidence,
    difference_of_confidences,
    mean_entropy,
)
from keras_transfer.errors import BadData, CheckFailed

seeds = st.integers(0, 2**16)
SCORES = ("negative_entropy", "max_confidence")


def sure(*values):
    """Two classes, the first with these probabilities."""
    first = np.array(values, float)
    return np.stack([first, 1 - first], axis=1)


def calibrated(seed, n, scale=2.0, classes=3):
    """Probabilities, and labels drawn from them; the expected accuracy is the mean confidence."""
    rng = np.random.default_rng(seed)
    table = softmax(scale * rng.normal(size=(n, classes)), axis=1)
    return table, (rng.random((n, 1)) > table.cumsum(axis=1)[:, :-1]).sum(axis=1)


@pytest.mark.parametrize("score", SCORES)
def test_thresholded_confidence_by_hand(score):
    """The sure 0.6 and 0.9 are wrong, 2 of 4; so t = 0.8, and 3 of 5 are at least that sure."""
    source, labels = sure(0.6, 0.7, 0.8, 0.9), np.array([1, 0, 0, 1])
    target = sure(0.55, 0.75, 0.8, 0.95, 0.15)
    result = average_thresholded_confidence(source, labels, target, score=score)

    assert result.value == pytest.approx(3 / 5)
    assert 0 <= result.low < 3 / 5 < result.high <= 1


def test_the_scores_differ():
    """By entropy the second row is the least sure, by the largest probability the first."""
    rows = np.array([[0.5, 0.5, 0], [0.55, 0.225, 0.225], [0.52, 0.48, 0]])
    given = rows[:2], np.array([0, 1]), rows  # the first is right, the second is not

    assert average_thresholded_confidence(*given).value == pytest.approx(2 / 3)
    by_confidence = average_thresholded_confidence(*given, score="max_confidence")
    assert by_confidence.value == pytest.approx(1 / 3)


def test_thresholds_at_the_ends_and_between_equal_scores():
    source = sure(0.6, 0.7, 0.8)
    right, wrong = np.zeros(3, int), np.ones(3, int)
    target = sure(0.5, 0.6, 0.9)
    # Without an error the least sure of the source is the threshold.
    assert average_thresholded_confidence(source, right, target).value == pytest.approx(2 / 3)
    assert average_thresholded_confidence(source, wrong, target).value == 0
    # All are equally sure and 1 of 3 is wrong: no error is nearer than 3 of 3.
    same = sure(1, 1, 1)
    assert average_thresholded_confidence(same, np.array([0, 0, 1]), same).value == 1
    assert average_thresholded_confidence(same, np.array([0, 1, 1]), same).value == 0


def direct_atc(source, labels, target):
    scores = sorted(sum(p * np.log(p) for p in row) for row in source)
    errors = sum(row.argmax() != label for row, label in zip(source, labels, strict=True))
    threshold = scores[errors] if errors < len(scores) else np.inf
    return np.mean([sum(p * np.log(p) for p in row) >= threshold for row in target])


@settings(max_examples=25)
@given(seeds)
def test_laws_of_the_accuracy_estimates(seed):
    (source, labels), (target, _) = calibrated(seed, 40), calibrated(seed + 1, 30, 1.0)
    order = np.random.default_rng(seed).permutation(40)
    accuracy = (source.argmax(axis=1) == labels).mean()
    atc = average_thresholded_confidence(source, labels, target, draws=20)

    assert atc.value == pytest.approx(direct_atc(source, labels, target))
    for estimate in (average_thresholded_confidence, difference_of_confidences):
        result = estimate(source, labels, target, draws=20)
        assert 0 <= result.low <= result.high <= 1
        moved = estimate(source[order], labels[order], target[::-1], draws=20)
        assert moved.value == pytest.approx(result.value)
        # Of the source itself: its accuracy.
        assert estimate(source, labels, source, draws=20).value == pytest.approx(accuracy)
        assert estimate(source, labels, target, draws=20) == result


def test_difference_of_confidences_by_hand():
    """Accuracy 3 / 4; mean confidence 0.75 on the source and 0.65 on the target."""
    source, labels = sure(0.6, 0.7, 0.8, 0.9), np.array([0, 0, 0, 1])
    result = difference_of_confidences(source, labels, sure(0.6, 0.3))

    assert result.value == pytest.approx(0.65)
    assert difference_of_confidences(source, [0, 0, 0, 0], sure(1, 1)).value == 1


@pytest.mark.parametrize("estimate", ["doc", *SCORES])
def test_intervals_without_a_shift_hold_the_accuracy(estimate):
    """Of a calibrated classifier; with as few labels as 150, whose noise the intervals include."""
    expected, inside = calibrated(999, 200_000)[0].max(axis=1).mean(), 0
    for seed in range(30):
        (source, labels), (target, _) = calibrated(seed, 150), calibrated(seed + 50, 400)
        given = source, labels, target
        if estimate == "doc":
            result = difference_of_confidences(*given, draws=200)
        else:
            result = average_thresholded_confidence(*given, score=estimate, draws=200)
        inside += result.low <= expected <= result.high
    assert inside >= 26


def test_a_shift_that_keeps_a_classifier_calibrated():
    """Confidences fall, and as many more predictions are wrong: DoC is right, ATC too low."""
    expected, inside = calibrated(999, 200_000, 1.0)[0].max(axis=1).mean(), 0
    for seed in range(30):
        (source, labels), (target, _) = calibrated(seed, 300), calibrated(seed + 50, 400, 1.0)
        result = difference_of_confidences(source, labels, target, draws=200)
        inside += result.low <= expected <= result.high
        assert average_thresholded_confidence(source, labels, target, draws=20).value < expected
    assert inside >= 26


def test_agreement_by_hand():
    first, second = sure(0.9, 0.6, 0.2, 0.4), sure(0.6, 0.3, 0.1, 0.2)
    result = agreement(first, second)

    assert result.value == pytest.approx(3 / 4)
    assert 0 <= result.low < 3 / 4 < result.high <= 1
    assert agreement(second, first) == result
    assert agreement(first, first) == (1, 1, 1)


def test_two_calibrated_classifiers_agree_as_often_as_they_are_right():
    """Two networks that each draw their class from one distribution, as does nature."""
    rng = np.random.default_rng(0)
    table, labels = calibrated(0, 4000)
    drawn = [
        np.eye(3)[(rng.random((4000, 1)) > table.cumsum(axis=1)[:, :-1]).sum(axis=1)] for _ in "ab"
    ]
    result = agreement(*drawn)

    assert result.low <= (drawn[0].argmax(axis=1) == labels).mean() <= result.high
    # Of a share of 4,000 independent examples.
    assert result.high - result.low == pytest.approx(2 * 1.96 * np.sqrt(0.24 / 4000), rel=0.15)


def test_mean_entropy_by_hand():
    assert mean_entropy(np.eye(4)) == (0, 0, 0)
    assert mean_entropy(np.full((3, 4), 0.25)).value == pytest.approx(np.log(4))
    result = mean_entropy(sure(0.5, 1.0, 0.5, 1.0).astype("float32"))
    assert result.value == pytest.approx(np.log(2) / 2)
    assert result.low < result.value < result.high


@pytest.mark.parametrize(
    ("source", "labels", "target", "error", "message"),
    [
        (sure(0.5), [0], np.eye(3), BadData, "target has probabilities of 3 classes instead of 2"),
        (sure(0.5), [0], sure(), BadData, r"target has probabilities of shape \(0, 2\)"),
        (sure(0.5), [2], sure(0.5), BadData, "1 of 1 source labels are not from 0 to 1"),
        ([[2.0, -1.0]], [0], sure(0.5), CheckFailed, "1 of 1 rows of the source.*not logits"),
        (sure(0.5), [0], [[0.3, 0.4]], CheckFailed, "1 of 1 rows of the target"),
        (sure(0.5), [0], sure(np.nan, 0.5), CheckFailed, "1 of 2 rows of the target"),
    ],
)
@pytest.mark.parametrize("estimate", [average_thresholded_confidence, difference_of_confidences])
def test_what_are_no_probabilities_is_refused(estimate, source, labels, target, error, message):
    with pytest.raises(error, match=message):
        estimate(source, labels, target)


def test_logits_have_neither_agreement_nor_entropy():
    with pytest.raises(CheckFailed, match="second classifier"):
        agreement(sure(0.5), [[3.0, 0.0]])
    with pytest.raises(CheckFailed, match="softmax"):
        mean_entropy([[3.0, 0.0]])

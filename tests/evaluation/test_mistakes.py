import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import precision_score, recall_score

from keras_transfer.evaluation.mistakes import (
    Pair,
    class_shares,
    confident_mistakes,
    confused_pairs,
    least_sure,
)

TRUE = np.array([0, 0, 1, 1, 2])
SCORES = np.array(
    [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4], [0.0, 0.2, 0.8], [0.0, 0.6, 0.4]]
)
SAID = SCORES.argmax(axis=1)


def test_the_surest_mistakes_come_first():
    assert confident_mistakes(TRUE, SAID, SCORES, 24).tolist() == [3, 1, 4]
    assert confident_mistakes(TRUE, SAID, SCORES, 1).tolist() == [3]
    assert confident_mistakes(SAID, SAID, SCORES, 24).tolist() == []


def test_the_least_sure_come_first():
    assert least_sure(SCORES, 3).tolist() == [2, 4, 1]


def test_pairs_by_number():
    counts = np.array([[5, 2, 0], [3, 10, 0], [0, 0, 0]])
    assert confused_pairs(counts, 5) == [Pair(1, 0, 3, 3 / 13), Pair(0, 1, 2, 2 / 7)]
    assert confused_pairs(counts, 1) == [Pair(1, 0, 3, 3 / 13)]
    assert confused_pairs(np.diag([4, 4]), 5) == []


def test_shares_of_classes_are_recall_and_precision():
    said = SCORES.argmax(axis=1)
    alone = np.arange(5)
    for classes, score in ((TRUE, recall_score), (said, precision_score)):
        found = class_shares(classes, said == TRUE, alone, 4)
        expected = score(TRUE, said, labels=range(3), average=None, zero_division=0)
        assert [share.value for share in found[:3]] == expected.tolist()
        assert found[3] == (None, None, 0)
        for share in found[:3]:
            right = round(share.value * share.n)
            wilson = binomtest(right, share.n).proportion_ci(0.95, "wilson")
            assert share.interval == pytest.approx([wilson.low, wilson.high])


def test_copies_of_an_example_count_once_in_the_interval():
    correct = np.array([True] * 4 + [False] * 4)
    alone, copied = (
        class_shares(np.zeros(8, int), correct, families, 1)[0]
        for families in (np.arange(8), np.arange(8) // 2)
    )
    half = binomtest(2, 4).proportion_ci(0.95, "wilson")
    assert copied.interval == pytest.approx([half.low, half.high])
    assert copied.interval[0] < alone.interval[0]

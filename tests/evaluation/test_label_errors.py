"""Confident learning: worked by hand, and as cleanlab counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer import BadData
from keras_transfer.evaluation.label_errors import (
    calibrated_joint,
    confident_classes,
    confident_joint,
    confident_thresholds,
    label_errors,
    normalized_margin,
)

LABELS = np.array([0, 0, 0, 1, 1, 1])
PROBABILITIES = np.array(
    [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.45, 0.55], [0.65, 0.35]]
)


def test_worked_by_hand():
    """Means of own probabilities: (.9 + .8 + .1) / 3 = .6 and (.7 + .55 + .35) / 3 = .5333."""
    thresholds = confident_thresholds(LABELS, PROBABILITIES)
    np.testing.assert_allclose(thresholds, [0.6, 1.6 / 3])
    confident = confident_classes(PROBABILITIES, thresholds)
    assert confident.tolist() == [0, 0, 1, 1, 1, 0]

    found = label_errors(LABELS, PROBABILITIES)

    assert found.rows.tolist() == [2, 5]  # of self-confidence 0.1 and 0.35
    assert found.suggested.tolist() == [1, 0]
    np.testing.assert_allclose(found.scores, [0.1, 0.35])
    assert found.joint.tolist() == [[2, 1], [1, 2]]
    assert found.share == pytest.approx(1 / 3)


def test_examples_without_a_confident_class_do_not_count():
    thresholds = np.array([0.6, 0.7, np.inf])
    table = np.array([[0.55, 0.4, 0.05], [0.65, 0.3, 0.05], [0.1, 0.2, 0.7], [0.1, 0.75, 0.15]])
    confident = confident_classes(table, thresholds)
    assert confident.tolist() == [-1, 0, -1, 1]  # of class 2 nobody is confident
    assert confident_joint(np.array([0, 1, 1, 1]), confident, 3).tolist() == [
        [0, 0, 0],
        [1, 1, 0],
        [0, 0, 0],
    ]


def test_of_several_confident_classes_the_most_probable_counts():
    assert confident_classes(np.array([[0.45, 0.5, 0.05]]), np.array([0.4, 0.4, 0.01])) == [1]


def test_the_joint_has_the_shares_of_the_labels():
    """Of label 0 three of four are confidently 0; of label 1 nobody is confident."""
    joint = calibrated_joint(np.array([[3, 1], [0, 0]]), np.array([8, 2]))
    np.testing.assert_allclose(joint, [[0.6, 0.2], [0, 0.2]])


def test_a_tie_is_no_evidence():
    labels = np.array([0, 0, 1, 1])
    table = np.array([[0.9, 0.1], [0.5, 0.5], [0.9, 0.1], [0.1, 0.9]])
    assert label_errors(labels, table).rows.tolist() == [2]


def test_the_margin_is_that_to_the_best_other_class():
    margins = normalized_margin(np.array([0, 2]), np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]]))
    np.testing.assert_allclose(margins, [0.6, 0.25])


@pytest.mark.parametrize(
    ("labels", "table", "said"),
    [
        ([0, 1], [[0.5, 0.5]], "not those of the same examples"),
        ([], np.zeros((0, 2)), "not those of the same examples"),
        ([0, 2], [[0.5, 0.5]] * 2, "Labels are 0 to 1"),
        ([0, -1], [[0.5, 0.5]] * 2, "Labels are 0 to 1"),
        ([0, 1], [[0.5, np.nan]] * 2, "Probabilities are from 0 to 1"),
        ([0, 1], [[3.0, -2.0]] * 2, "Probabilities are from 0 to 1"),
    ],
)
def test_what_is_no_probability_is_refused(labels, table, said):
    with pytest.raises(BadData, match=said):
        label_errors(np.array(labels, int), np.array(table))


def noisy(seed, n=400, classes=4):
    """Labels of which a tenth is wrong, and probabilities of a mediocre model of the true ones."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, n)
    logits = rng.normal(0, 1, (n, classes)) + 2.0 * np.eye(classes)[true]
    table = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.where(rng.random(n) < 0.1, rng.integers(0, classes, n), true)
    return labels, table


@given(st.integers(0, 10_000), st.permutations(range(4)))
def test_neither_order_nor_numbers_of_classes_matter(seed, places):
    labels, table = noisy(seed, n=60)
    expected = label_errors(labels, table)
    order = np.random.default_rng(seed).permutation(len(labels))
    places = np.array(places)

    # Class c is called places[c] now.
    renamed = np.empty_like(table)
    renamed[:, places] = table
    found = label_errors(places[labels][order], renamed[order])

    assert set(order[found.rows]) == set(expected.rows)
    assert found.share == pytest.approx(expected.share)
    suggested = dict(zip(order[found.rows], found.suggested, strict=True))
    assert suggested == {
        row: places[new] for row, new in zip(expected.rows, expected.suggested, strict=True)
    }


def test_as_cleanlab_2_9_counted():
    """Recorded, since cleanlab is not among the packages of the extra dev."""
    labels, table = noisy(3)
    thresholds = confident_thresholds(labels, table)
    np.testing.assert_allclose(thresholds, [0.56715, 0.573156, 0.592564, 0.556571], atol=1e-6)

    found = label_errors(labels, table)

    assert found.joint.tolist() == [[58, 6, 6, 1], [4, 55, 2, 2], [1, 1, 51, 2], [6, 1, 3, 54]]
    assert len(found.rows) == 35
    assert found.rows[:8].tolist() == [223, 275, 337, 355, 136, 91, 94, 199]
    margin = label_errors(labels, table, rank_by="normalized_margin")
    assert margin.rows[:8].tolist() == [223, 275, 199, 136, 242, 68, 143, 337]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rank_by", ["self_confidence", "normalized_margin"])
def test_as_cleanlab_counts(seed, rank_by):
    """It takes the most probable class of several, whether or not that is confident itself."""
    count = pytest.importorskip("cleanlab.count", reason="cleanlab brings pandas")
    from cleanlab.filter import find_label_issues

    labels, table = noisy(seed)
    thresholds = confident_thresholds(labels, table)
    np.testing.assert_allclose(thresholds, count.get_confident_thresholds(labels, table))
    several = (table >= thresholds).sum(axis=1) > 1
    best = table.argmax(axis=1)
    same = ~several | (table[np.arange(len(best)), best] >= thresholds[best])
    labels, table = labels[same], table[same]

    found = label_errors(labels, table, rank_by=rank_by)
    thresholds = found.thresholds
    joint = count.compute_confident_joint(labels, table, thresholds=thresholds, calibrate=False)

    assert found.joint.tolist() == joint.tolist()
    expected = find_label_issues(
        labels,
        table,
        filter_by="confident_learning",
        return_indices_ranked_by=rank_by,
        n_jobs=1,
    )
    assert len(expected) > 5
    assert found.rows.tolist() == expected.tolist()
    share = count.estimate_joint(labels, table, confident_joint=joint)
    # It rounds the counts of the joint to integers.
    assert found.share == pytest.approx(1 - np.trace(share), abs=4 / len(labels))

"""Thresholds by hand; AUROC and FPR95 as scikit-learn has them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from keras_transfer.evaluation.rejection import accepted_metrics, fit_threshold, separation

KNOWN = np.array([9.0, 8.0, 7.0, 6.0, 5.0])
CORRECT = np.array([True, True, False, True, False])


def test_thresholds_by_hand():
    """Right among the first: 1/1, 2/2, 2/3, 3/4, 3/5; by the rule 2/3, 3/4, 3/5, 4/6, 4/7."""
    assert fit_threshold(KNOWN, CORRECT, accuracy=0.7) == (7.5, 0.4, 1.0)
    # The most examples with that accuracy, though fewer have a lower one.
    assert fit_threshold(KNOWN, CORRECT, accuracy=0.62) == (5.5, 0.8, 0.75)
    assert fit_threshold(KNOWN, CORRECT, accuracy=0.8) is None
    assert fit_threshold(KNOWN, CORRECT, coverage=0.5) == pytest.approx((6.5, 0.6, 2 / 3))
    found = fit_threshold(KNOWN, CORRECT, accuracy=0.5)
    assert found.coverage == 1
    assert found.value < 5
    assert fit_threshold(KNOWN, ~CORRECT, accuracy=0.9) is None


def test_without_a_target_95_percent_are_accepted():
    known = np.arange(200.0)
    found = fit_threshold(known, known > 50)
    assert found.coverage == 0.95
    assert found.value == 9.5


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60),
    st.floats(0.05, 0.95),
    st.booleans(),
)
def test_a_threshold_does_what_it_says(rows, target, by_accuracy):
    known, correct = (np.array(column) for column in zip(*rows, strict=True))
    known = known.astype(float)
    how = {"accuracy": target} if by_accuracy else {"coverage": target}
    found = fit_threshold(known, correct, **how)

    def shown(rows):
        return (rows.sum() + 1) / (len(rows) + 2)

    if found is None:
        assert all(shown(correct[known >= value]) < target for value in known)
        return
    accepted = known >= found.value
    assert accepted.mean() == pytest.approx(found.coverage)
    assert correct[accepted].mean() == pytest.approx(found.accuracy)
    reached = shown(correct[accepted]) if by_accuracy else found.coverage
    assert reached >= target - 1e-9


def test_separation_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(2, 1, 300), rng.normal(0, 1, 200)
    found = separation(known, unknown)
    labels = np.repeat([1, 0], [300, 200])
    scores = np.concatenate([known, unknown])
    assert found["auroc"] == pytest.approx(roc_auc_score(labels, scores))
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert found["fpr95"] == pytest.approx(false[np.searchsorted(true, 0.95)])


def test_metrics_of_what_is_accepted():
    found = accepted_metrics(CORRECT, np.array([False, False, False, True, True]))
    assert (found["n"], found["coverage"]) == (5, 0.6)
    assert found["accuracy"] == pytest.approx(2 / 3)
    # Wilson's for 2 of 3, as in published tables.
    assert found["accuracy_interval"] == pytest.approx([0.2077, 0.9385], abs=1e-4)
    copies = accepted_metrics(CORRECT, np.zeros(5, bool), np.zeros(5, int))
    assert np.diff(copies["accuracy_interval"]) > 0.7
    none = accepted_metrics(CORRECT, np.ones(5, bool))
    assert (none["coverage"], none["accuracy"]) == (0, None)

"""Thresholds for a recall or precision, held against scikit-learn's curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
)

from keras_transfer.evaluation.intervals import wilson_interval
from keras_transfer.evaluation.multilabel_metrics import multilabel_metrics
from keras_transfer.evaluation.thresholds import (
    at_precision,
    at_recall,
    operating_metrics,
    operating_report,
    operating_text,
    too_few,
)
from keras_transfer.exports.answers import Given
from keras_transfer.exports.parity import compare
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.operating import decided_class
from keras_transfer.objectives.outputs import Output

TRUE = np.array([0, 0, 1, 0, 1, 1, 0, 1], bool)
SCORES = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9])


@st.composite
def examples(draw):
    n = draw(st.integers(2, 40))
    # Few different scores, so that there are ties; all of them exact in float32.
    scores = np.array(draw(st.lists(st.integers(0, 16), min_size=n, max_size=n))) / 16
    true = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    true[draw(st.integers(0, n - 1))] = True
    return true, scores


TARGETS = st.sampled_from([0.1, 0.5, 0.75, 0.8, 0.9, 0.95, 1.0])


@settings(deadline=None)
@given(examples(), TARGETS)
def test_a_recall_is_reached_with_the_highest_precision_of_the_curve(data, recall):
    true, scores = data
    precisions, recalls, _ = precision_recall_curve(true, scores)
    wanted = max(p for p, r in zip(precisions[:-1], recalls[:-1], strict=True) if r >= recall)
    predicted = scores >= at_recall(true, scores, recall)
    assert recall_score(true, predicted) >= recall
    assert precision_score(true, predicted) == pytest.approx(wanted, abs=1e-12)


@settings(deadline=None)
@given(examples(), TARGETS)
def test_a_precision_is_reached_with_the_highest_recall_of_the_curve(data, precision):
    true, scores = data
    precisions, recalls, _ = precision_recall_curve(true, scores)
    rows = zip(precisions[:-1], recalls[:-1], strict=True)
    wanted = max((r for p, r in rows if p >= precision), default=0)
    found = at_precision(true, scores, precision)
    if not wanted:
        assert found is None
        return
    predicted = scores >= found
    assert precision_score(true, predicted) >= precision
    assert recall_score(true, predicted) == pytest.approx(wanted, abs=1e-12)


def test_thresholds_by_hand():
    # Three of four are found from 0.5 on, with one mistake: 3/4. All of them from 0.3: 4/6.
    assert at_recall(TRUE, SCORES, 0.75) == pytest.approx(0.45)
    assert at_recall(TRUE, SCORES, 0.76) == pytest.approx(0.25)
    # From 0.9 on a precision of 1; from 0.5 on 3/4.
    assert at_precision(TRUE, SCORES, 0.75) == pytest.approx(0.45)
    assert at_precision(TRUE, SCORES, 0.8) == pytest.approx(0.8)
    assert at_precision(~TRUE, SCORES, 0.8) is None
    assert at_recall(np.zeros(3, bool), np.ones(3), 0.9) is None


def test_neighbouring_floats_are_parted():
    one = np.float32(0.3)
    scores = np.array([one, np.nextafter(one, np.float32(1))])
    found = at_precision(np.array([False, True]), scores, 1.0)
    assert (scores >= np.float32(found)).tolist() == [False, True]


@pytest.mark.parametrize("recall", [0.5, 0.8])
def test_scores_that_only_float64_tells_apart_are_answered_as_a_graph_does(recall):
    """Sigmoids of large logits: float32, which a graph compares, rounds many up to a threshold."""
    rng = np.random.default_rng(0)
    true = np.arange(400) < 200
    scores = expit(np.where(true, rng.normal(18, 3, 400), rng.normal(12, 4, 400)))
    threshold = at_recall(true, scores, recall)
    graph = scores.astype("float32") >= np.float32(threshold)
    assert (graph != (scores >= threshold)).any()
    assert graph[true].mean() >= recall

    found = operating_metrics(true, scores, threshold)
    assert (found["recall"], found["predicted"]) == (graph[true].mean(), graph.sum())
    decided = decided_class(
        np.stack([1 - scores, scores], axis=1), {"threshold": threshold, "positive": 1}
    )
    assert decided.tolist() == graph.tolist()
    by_label = {"thresholds": [threshold]}
    assert MultiLabel().decide(scores[:, None], by_label)[:, 0].tolist() == graph.tolist()
    measured = multilabel_metrics(
        true[:, None], scores[:, None], ["a"], thresholds=[threshold], intervals=False
    )
    assert measured["per_label"]["a"]["recall"] == pytest.approx(graph[true].mean())
    assert measured["hamming_loss"] == pytest.approx((graph != true).mean())


def test_a_float64_score_below_its_float32_threshold_is_a_tie_of_an_export():
    """The model's float64 score is next to 1, the threshold is what float32 makes of it: 1."""
    scores = np.array([[1 - 2e-8, 2e-8]])
    output = Output(Classification(), ("ill", "well"), {"threshold": 1.0, "positive": 0})
    assert output.objective.decide(scores, output.decision).tolist() == [0]
    graph = Given(scores.astype("float32").astype(float), np.array([[True, False]]))
    compared = compare(output, scores, graph, np.zeros(1, int))
    assert compared.found["changed"] == 0
    assert compared.found["model_accuracy"] == 1


def test_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    true, scores = rng.random(60) < 0.3, rng.random(60)
    found = operating_metrics(true, scores, 0.4)
    predicted = scores >= 0.4
    assert found["recall"] == pytest.approx(recall_score(true, predicted))
    assert found["precision"] == pytest.approx(precision_score(true, predicted))
    assert found["specificity"] == pytest.approx(recall_score(~true, ~predicted))
    assert found["f1"] == pytest.approx(f1_score(true, predicted))
    assert found["accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert (found["n"], found["positives"], found["predicted"]) == (
        60, true.sum(), predicted.sum(),
    )  # fmt: skip
    sizes = np.ones(true.sum(), int)
    assert found["recall_interval"] == wilson_interval(found["recall"], sizes)


def test_copies_count_once_in_intervals():
    true, scores, families = np.ones(8, bool), np.ones(8), np.zeros(8, int)
    found = operating_metrics(true, scores, 0.5, families)
    assert found["recall_interval"] == wilson_interval(1.0, np.ones(1, int))


def test_what_is_not_defined_is_none():
    found = operating_metrics(np.zeros(3, bool), np.zeros(3), 0.5)
    assert found["recall"] is found["recall_interval"] is found["precision"] is None
    assert found["f1"] is None
    assert found["specificity"] == 1


def test_twenty_positives_do_not_show_a_recall_of_95_percent():
    """Wilson's lower bound of 20 of 20 is 20 / (20 + 1.96^2)."""
    row = operating_metrics(np.ones(20, bool), np.arange(20) / 20, 0.83)
    assert row["predicted"] == 3
    assert too_few(0.95, row, "recall") == pytest.approx(20 / (20 + 1.959964**2), rel=1e-5)
    assert too_few(0.9, row, "precision") == pytest.approx(3 / (3 + 1.959964**2), rel=1e-5)
    many = operating_metrics(np.ones(73, bool), np.ones(73), 0.5)
    assert too_few(0.95, many, "recall") is None  # 0.94999 at 72.99
    none = operating_metrics(np.ones(3, bool), np.zeros(3), 0.5)
    assert too_few(0.9, none, "precision") == 0


def test_copies_do_not_show_more():
    """100 positives that are ten images, ten times each."""
    true, families = np.ones(100, bool), np.repeat(np.arange(10), 10)
    row = operating_metrics(true, np.ones(100), 0.5, families)
    assert too_few(0.95, row, "recall") == pytest.approx(10 / (10 + 1.959964**2), rel=1e-5)


def test_the_text_says_what_was_asked_and_what_it_does():
    report = {"asked": {"recall": 0.75}, "positive": "dog"}
    report |= operating_report(TRUE, SCORES, 0.45)
    text = operating_text(report)
    assert "a recall of 0.75 on val" in text
    assert "dog: 0.4500  recall 0.750 (" in text
    assert "dog at 0.5:  recall 0.750" in text
    lacking = {"asked": {"precision": 0.99}, "positive": "dog"}
    assert "dog: not reached" in operating_text(lacking | operating_report(TRUE, SCORES, None))

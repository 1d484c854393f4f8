"""The gate, by tables worked out by hand."""

import numpy as np
import pytest
from scipy.special import expit

from keras_transfer.errors import CheckFailed
from keras_transfer.exports.answers import Given
from keras_transfer.exports.parity import LIMITS, Comparison, Limits, compare, gate
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.outputs import Output
from keras_transfer.objectives.regression import Regression

CLASSES = Output(Classification(), ("cat", "dog"))
MODEL = np.array([[0.9, 0.1], [0.4, 0.6], [0.50001, 0.49999], [0.2, 0.8]])

LABELS = Output(MultiLabel(), ("big", "old"), {"thresholds": [0.5, 0.3]})
LABEL_MODEL = np.array([[0.9, 0.1], [0.4, 0.4], [0.50001, 0.2], [0.2, 0.8]])
LABEL_TRUE = np.array([[1, 0], [0, 1], [0, 0], [np.nan, np.nan]])

VALUES = Output(Regression(columns=("width", "price")), ("width", "price"))
VALUE_TRUE = np.array([[1.0, 100.0], [3.0, 500.0], [np.nan, np.nan]])  # spreads 1 and 200
VALUE_MODEL = np.array([[1.5, 100.0], [3.0, 520.0], [2.0, 300.0]])


def test_changes_differences_and_accuracies():
    export = np.array([[0.8, 0.2], [0.55, 0.45], [0.5, 0.5], [0.2, 0.8]])

    compared = compare(CLASSES, MODEL, Given(export), np.array([0, 1, 0, 0]))

    assert compared.found == {
        "examples": 4,
        "changed": 1,
        "largest_difference": pytest.approx(0.15),
        "accuracy": 0.5,  # right on the first and the third
        "model_accuracy": 0.75,
    }
    assert compared.text.startswith("another class for 1 of 4 examples")


def test_a_tie_is_no_change():
    export = MODEL.copy()
    export[2] = [0.49999, 0.50001]

    assert compare(CLASSES, MODEL, Given(export), np.zeros(4, int)).found["changed"] == 0


def test_examples_without_a_class_do_not_count_in_accuracy():
    true = np.array([0, -1, -1, 0])

    assert compare(CLASSES, MODEL, Given(MODEL), true).found["accuracy"] == 0.5
    assert compare(CLASSES, MODEL, Given(MODEL), np.full(4, -1)).found["accuracy"] is None


def test_decisions_for_labels_that_change():
    """old of the second falls below 0.3; big of the third is a tie; the fourth's are the same."""
    export = np.array([[0.8, 0.2], [0.4, 0.2], [0.49999, 0.2], [0.3, 0.7]])

    compared = compare(LABELS, LABEL_MODEL, Given(export), LABEL_TRUE)

    assert compared.found == {
        "examples": 4,
        "decisions": 8,
        "changed": 1,
        "largest_difference": pytest.approx(0.2),
        "hamming_loss": pytest.approx(1 / 6),  # old of the second
        "model_hamming_loss": pytest.approx(1 / 6),  # big of the third
    }
    assert compared.text.startswith("another decision for 1 of 8 labels of 4 examples")


def test_what_the_graph_decides_counts_not_what_follows_from_its_probabilities():
    wrong = LABEL_MODEL >= 0.5  # thresholds that are not the model's: old of the second

    compared = compare(LABELS, LABEL_MODEL, Given(LABEL_MODEL, wrong), LABEL_TRUE)

    assert (compared.found["changed"], compared.found["largest_difference"]) == (1, 0.0)
    assert not compared.passes(LIMITS["none"])


@pytest.mark.parametrize(
    ("threshold", "below", "above"),
    [(2e-5, 1e-6, 3e-5), (1 - 2e-5, 1 - 4e-5, 1 - 1e-5), (1e-12, 1e-14, 1e-11)],
)
def test_a_threshold_at_the_end_is_no_tie_of_all_examples(threshold, below, above):
    """A recall of 0.99 takes such thresholds; the export answers ill for all who are well."""
    model, export = (np.r_[np.full(50, 1.0), np.full(50, well)] for well in (below, above))
    positive, truth = export >= threshold, np.arange(100) < 50
    decision = {"threshold": threshold, "positive": 0}
    two = Output(Classification(), ("ill", "well"), decision)
    scores, others = (np.stack([x, 1 - x], axis=1) for x in (model, export))
    answers = Given(others, np.stack([positive, ~positive], axis=1))
    compared = compare(two, scores, answers, (~truth).astype(int))
    assert (compared.found["changed"], compared.found["accuracy"]) == (50, 0.5)
    assert not compared.passes(Limits(0.49, 1.0))

    label = Output(MultiLabel(), ("ill",), {"thresholds": [threshold]})
    answers = Given(export[:, None], positive[:, None])
    compared = compare(label, model[:, None], answers, truth[:, None].astype("float32"))
    assert (compared.found["changed"], compared.found["hamming_loss"]) == (50, 0.5)


@pytest.mark.parametrize("logit", [-20.0, -10.0, 0.0, 10.0, 15.0])
def test_ties_at_a_threshold_are_those_of_logits(logit):
    """3e-4 of logits are a tie; so is a step of float32 next to 1, where that is more."""
    threshold = float(np.float32(expit(logit)))
    label = Output(MultiLabel(), ("ill",), {"thresholds": [threshold]})
    scores = np.array([[expit(logit - 3e-4)], [np.nextafter(np.float32(threshold), np.float32(0))]])
    found = compare(label, scores, Given(scores, scores > 0), np.zeros((2, 1))).found
    assert found["changed"] == 0
    far = np.array([[expit(logit - 0.5)]])
    assert compare(label, far, Given(far, far > 0), np.zeros((1, 1))).found["changed"] == 1


def test_values_are_compared_by_the_spread_of_their_target():
    """0.05 of a spread of 1 is near; 60 of a spread of 200 is 0.3, more than a quarter."""
    export = np.array([[1.55, 100.0], [3.0, 580.0], [2.0, 290.0]])

    compared = compare(VALUES, VALUE_MODEL, Given(export), VALUE_TRUE)

    assert compared.found == {
        "examples": 3,
        "values": 6,
        "spread": [1.0, 200.0],
        "changed": 1,
        "largest_difference": pytest.approx(0.3),
        "mae": pytest.approx([0.275, 40.0]),
        "model_mae": pytest.approx([0.25, 10.0]),
    }
    assert "1 of 6 values moved by more than 0.25 standard deviations" in compared.text
    assert "width 0.275, the model's 0.25, price 40, the model's 10" in compared.text


@pytest.mark.parametrize(
    ("true", "spread"),
    [
        (np.full((3, 2), np.nan), VALUE_MODEL.std(axis=0).tolist()),
        (np.array([[5.0, -2.0]] * 3), [5.0, 2.0]),  # all equal: their magnitude
        (np.array([[0.0, 7.0]] * 3), [1.0, 7.0]),
    ],
)
def test_a_target_without_a_spread(true, spread):
    found = compare(VALUES, VALUE_MODEL, Given(VALUE_MODEL), true).found

    assert found["spread"] == pytest.approx(spread)
    assert (found["changed"], found["largest_difference"]) == (0, 0.0)


def comparison(changed, difference):
    found = {"examples": 100, "changed": changed, "largest_difference": difference}
    return Comparison(found, 100, f"another class for {changed} of 100")


@pytest.mark.parametrize(
    ("changed", "difference", "limits", "passes"),
    [
        (0, 0.0, LIMITS["none"], True),
        (1, 0.0, LIMITS["none"], False),
        (0, 0.01, LIMITS["none"], False),
        (5, 0.9, LIMITS["int8"], True),
        (6, 0.9, LIMITS["int8"], False),
        (0, float("nan"), LIMITS["int8"], False),
        (10, 0.2, Limits(0.1, 0.2), True),
    ],
)
def test_the_gate(changed, difference, limits, passes):
    compared = {"label": comparison(changed, difference)}
    if passes:
        gate(compared, limits)
    else:
        with pytest.raises(CheckFailed, match=f"model does: another class for {changed} of 100"):
            gate(compared, limits)


def test_every_output_must_pass_and_those_that_do_not_are_named():
    compared = {"a": comparison(0, 0.0), "b": comparison(2, 0.0), "c": comparison(3, 0.0)}

    with pytest.raises(CheckFailed) as caught:
        gate(compared, LIMITS["none"])
    assert "output b: another class for 2 of 100; output c: another" in str(caught.value)
    assert "output a" not in str(caught.value)
    gate({"a": compared["a"]}, LIMITS["none"])


@pytest.mark.parametrize("output", [CLASSES, LABELS, VALUES], ids=lambda o: o.objective.type)
def test_an_export_that_answers_nan_does_not_pass(output):
    model = np.full((3, len(output.names)), 0.25)
    true = np.zeros(3, int) if output is CLASSES else np.zeros((3, 2))
    compared = compare(output, model, Given(np.full_like(model, np.nan)), true)

    assert not compared.passes(LIMITS["int8"])

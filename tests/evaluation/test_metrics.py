"""Metrics agree with numbers worked out by hand and with scikit-learn, and hold no NaN."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest

from keras_transfer.errors import BadData, CheckFailed
from keras_transfer.evaluation.metrics import (
    classification_metrics,
    majority_baseline,
    precision_recall_curves,
    summary,
)
from keras_transfer.evaluation.predictions import read_predictions, write_predictions

# Six images; rows of the confusion matrix: cats 2 1 0, dogs 0 1 1, bird 0 0 1.
CLASSES = ("cat", "dog", "bird")
TRUE = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.5, 0.3, 0.2],
        [0.2, 0.7, 0.1],
        [0.3, 0.6, 0.1],
        [0.1, 0.4, 0.5],
        [0.25, 0.25, 0.5],
    ]
)


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_metrics_worked_by_hand():
    metrics = classification_metrics(TRUE, PROBABILITIES, CLASSES)

    assert metrics["n"] == 6
    assert metrics["accuracy"] == pytest.approx(4 / 6)
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # F1 = 2 tp / (2 tp + fp + fn): cat 4/5, dog 2/4, bird 2/3.
    assert metrics["macro_f1"] == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert metrics["weighted_f1"] == pytest.approx((3 * 4 / 5 + 2 / 2 + 2 / 3) / 6)
    # Pairs in the right order: cat 7 of 9, dog 6 of 8, bird 4.5 of 5 (a tie counts half).
    assert metrics["roc_auc"] == pytest.approx((7 / 9 + 6 / 8 + 4.5 / 5) / 3)
    chances = np.array([0.8, 0.5, 0.2, 0.6, 0.4, 0.5])
    assert metrics["log_loss"] == pytest.approx(-np.log(chances).mean())
    assert metrics["confusion_matrix"] == {
        "classes": ["cat", "dog", "bird"],
        "counts": [[2, 1, 0], [0, 1, 1], [0, 0, 1]],
    }
    assert metrics["per_class"]["dog"] == pytest.approx(
        {"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "support": 2}
    )
    assert metrics["per_class"]["cat"]["precision"] == 1.0


def test_wilson_interval_of_newcombes_example():
    """81 of 263 (Newcombe 1998, table I): 0.2553 to 0.3662."""
    true = np.zeros(263, int)
    probabilities = np.where(np.arange(263)[:, None] < 81, [[0.9, 0.1]], [[0.1, 0.9]])

    low, high = classification_metrics(true, probabilities, ("a", "b"))["accuracy_interval"]

    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def outcomes(right, wrong):
    """True labels and probabilities of so many right and wrong answers."""
    said = np.repeat([[0.9, 0.1], [0.1, 0.9]], [right, wrong], axis=0)
    return np.zeros(right + wrong, int), said


def test_copies_count_once_for_the_interval():
    """20 images that are 2 distinct ones, of which one is right: the interval of 1 in 2.

    Wilson's is (p + z2/2n +- z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n), z2 = 3.8415, n = 2:
    (0.5 + 0.9604 +- 1.96 sqrt(0.125 + 0.2401)) / 2.9207 = 0.5 +- 0.4055.
    """
    true, said = outcomes(10, 10)
    metrics = classification_metrics(true, said, "ab", None, np.repeat([7, 3], 10))

    assert (metrics["n"], metrics["distinct"], metrics["accuracy"]) == (20, 2, 0.5)
    assert metrics["accuracy_interval"] == pytest.approx([0.0945, 0.9055], abs=1e-4)
    alone = classification_metrics(*outcomes(1, 1), "ab")["accuracy_interval"]
    assert metrics["accuracy_interval"] == pytest.approx(alone)
    assert "0.095 to 0.905, 20 examples, 2 distinct)" in summary(metrics).splitlines()[0]


def test_families_of_several_sizes_count_as_kishs_number():
    """Sizes 4, 1, 1, 1, 1: 8^2 / (16 + 4) = 3.2 images; 6 of 8 are right."""
    true, said = outcomes(6, 2)
    low, high = classification_metrics(true, said, "ab", None, [0, 0, 0, 0, 1, 2, 3, 4])[
        "accuracy_interval"
    ]
    n, z2 = 3.2, 1.959964**2

    # The bounds are where a share p is z standard errors away from 0.75.
    for bound in (low, high):
        assert (bound - 0.75) ** 2 == pytest.approx(z2 * bound * (1 - bound) / n, rel=1e-5)


@pytest.mark.parametrize(("right", "wrong"), [(3, 0), (0, 5), (60, 7)])
def test_without_copies_families_change_nothing(right, wrong):
    true, said = outcomes(right, wrong)
    alone = classification_metrics(true, said, "ab")

    assert classification_metrics(true, said, "ab", None, np.arange(right + wrong)) == alone
    wilson = binomtest(right, right + wrong).proportion_ci(0.95, "wilson")
    assert alone["accuracy_interval"] == pytest.approx([wilson.low, wilson.high])


def test_images_of_unknown_class_belong_to_no_family():
    true, said = outcomes(2, 2)
    true[3] = -1

    metrics = classification_metrics(true, said, "ab", None, np.array([0, 0, 1, 2]))

    assert (metrics["n"], metrics["distinct"]) == (3, 2)


@st.composite
def labelled(draw):
    classes = draw(st.integers(2, 5))
    n = draw(st.integers(classes, 40))
    rest = draw(hnp.arrays(int, n - classes, elements=st.integers(0, classes - 1)))
    raw = draw(hnp.arrays("float32", (n, classes), elements=st.floats(0.015625, 1, width=32)))
    return np.concatenate([np.arange(classes), rest]), raw / raw.sum(axis=1, keepdims=True)


@settings(max_examples=100)
@given(labelled())
def test_metrics_are_scikit_learns(case):
    true, probabilities = case
    names = [f"class {label}" for label in range(probabilities.shape[1])]
    predicted = probabilities.argmax(axis=1)

    metrics = classification_metrics(true, probabilities, names)

    scores = probabilities[:, 1] if len(names) == 2 else probabilities
    report = sk.classification_report(
        true, predicted, target_names=names, output_dict=True, zero_division=np.nan
    )
    expected = {
        "accuracy": sk.accuracy_score(true, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(true, predicted),
        "macro_f1": sk.f1_score(true, predicted, average="macro"),
        "weighted_f1": sk.f1_score(true, predicted, average="weighted"),
        "roc_auc": sk.roc_auc_score(true, scores, multi_class="ovr"),
        "log_loss": sk.log_loss(true, probabilities),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert metrics["confusion_matrix"]["counts"] == sk.confusion_matrix(true, predicted).tolist()
    for name in names:
        theirs = [report[name][key] for key in ("precision", "recall", "f1-score", "support")]
        ours = [np.nan if v is None else v for v in metrics["per_class"][name].values()]
        assert ours == pytest.approx(theirs, nan_ok=True)


@settings(max_examples=50)
@given(st.integers(0, 3), st.integers(1, 6))
def test_classes_without_images_give_null_and_no_warning(label, n):
    """All images of one class of four, answers all over."""
    probabilities = np.roll(np.eye(4), 1, axis=1)[np.arange(n) % 4]

    metrics = classification_metrics(np.full(n, label), probabilities, "abcd")

    assert metrics["roc_auc"] is None
    assert metrics["pr_auc"] is None
    assert metrics["balanced_accuracy"] == metrics["accuracy"]
    for name, row in metrics["per_class"].items():
        assert (row["recall"] is None) == (name != "abcd"[label])
    json.dumps(metrics, allow_nan=False)


@pytest.mark.parametrize(
    ("trained", "rarest"),
    [
        (None, "bird"),  # 3, 2 and 1 of them are measured
        ((5, 9, 7), "cat"),
        ((9, 9, 9), "bird"),  # as few: the fewest here
        ((0, 9, 9), "cat"),
    ],
)
def test_the_rarest_class_is_that_with_the_fewest_to_train_on(trained, rarest):
    metrics = classification_metrics(TRUE, PROBABILITIES, CLASSES, trained)

    assert metrics["minority_class"] == rarest
    assert metrics["minority_recall"] == metrics["per_class"][rarest]["recall"]


def test_a_class_that_is_not_measured_is_not_the_rarest():
    metrics = classification_metrics(np.array([0, 1, 1]), np.eye(3), CLASSES, (9, 5, 1))
    assert metrics["minority_class"] == "dog"


def test_images_of_unknown_class_are_left_out():
    true = np.concatenate([TRUE, [-1, -1]])
    probabilities = np.concatenate([PROBABILITIES, [[1, 0, 0], [0, 1, 0]]])

    metrics = classification_metrics(true, probabilities, CLASSES)

    assert metrics == classification_metrics(TRUE, PROBABILITIES, CLASSES)


def test_metrics_from_the_file_are_those_from_memory(tmp_path):
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 200)
    probabilities = rng.dirichlet(np.ones(3), 200).astype("float32")
    write_predictions(tmp_path / "p.csv", map(str, range(200)), true, probabilities, CLASSES)
    back = read_predictions(tmp_path / "p.csv")

    from_file = classification_metrics(back.true, back.probabilities, back.classes)

    assert from_file == classification_metrics(true, probabilities, CLASSES)


def test_a_certain_mistake_is_finite():
    """log_loss of a probability of 0 is cut at the smallest step of float64: -log(2.2e-16)."""
    metrics = classification_metrics(np.array([0, 1]), np.array([[0.0, 1], [0, 1]]), "ab")

    assert metrics["log_loss"] == pytest.approx(-np.log(np.finfo(float).eps) / 2)


def test_nan_is_a_failed_check():
    broken = PROBABILITIES.copy()
    broken[2, 1] = np.nan

    with pytest.raises(CheckFailed, match="1 of 6 predictions are not numbers"):
        classification_metrics(TRUE, broken, CLASSES)


@pytest.mark.parametrize("true", [np.zeros(0, int), np.array([-1])])
def test_nothing_to_measure_is_bad_data(true):
    with pytest.raises(BadData, match="nothing to measure"):
        classification_metrics(true, np.full((len(true), 3), 1 / 3), CLASSES)
    with pytest.raises(BadData, match="nothing to measure"):
        majority_baseline(np.array([1, 2, 3]), true, CLASSES)


def test_majority_baseline_answers_the_train_splits_largest_class():
    """Dogs are most of train, 2 of the 6 in test: F1 of dog is 2 * 2 / (2 * 2 + 4) = 1/2."""
    baseline = majority_baseline(np.array([5, 9, 2]), TRUE, CLASSES)

    assert baseline == pytest.approx(
        {
            "class": "dog",
            "accuracy": 2 / 6,
            "balanced_accuracy": 1 / 3,
            "macro_f1": 1 / 6,
            "weighted_f1": 1 / 6,
        }
    )


def test_majority_baseline_of_a_class_that_test_lacks():
    assert majority_baseline(np.array([0, 0, 9]), np.array([0, 1, 1]), CLASSES) == {
        "class": "bird",
        "accuracy": 0.0,
        "balanced_accuracy": 0.0,
        "macro_f1": 0.0,
        "weighted_f1": 0.0,
    }


def test_the_summary():
    """ECE: three of 0.5, of which 2 are right, and alone 0.8 (right), 0.7 (wrong), 0.6 (right)."""
    assert (3 * abs(2 / 3 - 0.5) + 0.2 + 0.7 + 0.4) / 6 == pytest.approx(0.3)
    lines = summary(classification_metrics(TRUE, PROBABILITIES, CLASSES)).splitlines()

    assert lines == [
        "accuracy           0.667  (95 % interval 0.300 to 0.903, 6 examples)",
        "balanced accuracy  0.722",
        "macro F1           0.656",
        "rarest class       1.000  (recall of bird)",
        "ROC AUC            0.809",
        "PR AUC             0.650",
        "log loss           0.774",
        "ECE                0.300  (expected calibration error)",
        "",
        "class  precision  recall     F1  examples",
        "cat        1.000   0.667  0.800         3",
        "dog        0.500   0.500  0.500         2",
        "bird       0.500   1.000  0.667         1",
        "",
        "true \\ predicted  cat  dog  bird",
        "cat                 2    1     0",
        "dog                 0    1     1",
        "bird                0    0     1",
    ]


def test_the_summary_leaves_out_a_matrix_too_wide_for_a_terminal_and_shows_gaps():
    metrics = classification_metrics(np.array([0, 1]), np.eye(13)[:2], [f"c{i}" for i in range(13)])

    text = summary(metrics)

    assert "true \\ predicted" not in text
    assert "ROC AUC            -" in text
    assert "c12            -       -      -         0" in text


def test_the_summary_of_one_class_alone_shows_gaps():
    """Three cats, of which one is taken for a dog."""
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])

    lines = summary(classification_metrics(np.zeros(3, int), probabilities, ("cat", "dog")))

    assert "ROC AUC            -\n" in lines
    assert "PR AUC             -\n" in lines
    rows = [line.split() for line in lines.splitlines()]
    assert ["cat", "1.000", "0.667", "0.800", "3"] in rows
    assert ["dog", "0.000", "-", "0.000", "0"] in rows


def test_the_rarest_class_and_precision_recall_worked_by_hand():
    """Average precision: mean precision at each right image, ties counted together.

    cat: ranks 1, 2 and 5 of 0.8 0.5 0.3 0.25 0.2: (1 + 1 + 3/5) / 3. dog: 0.6 is second, 0.4 is
    third: (1/2 + 2/3) / 2. bird: one of two at 0.5: 1/2.
    """
    metrics = classification_metrics(TRUE, PROBABILITIES, CLASSES)

    assert (metrics["minority_class"], metrics["minority_recall"]) == ("bird", 1.0)
    wanted = ((1 + 1 + 3 / 5) / 3 + (1 / 2 + 2 / 3) / 2 + 1 / 2) / 3
    assert metrics["pr_auc"] == pytest.approx(wanted)
    curves = precision_recall_curves(TRUE, PROBABILITIES, CLASSES)
    assert ("bird", 0.5, 0.5, 1.0) in curves
    assert ("dog", 0.4, pytest.approx(2 / 3), 1.0) in curves

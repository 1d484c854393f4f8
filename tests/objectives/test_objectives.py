"""What all objectives have in common: names, settings, metrics, files, decisions."""

import json
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.evaluation.metrics import classification_metrics, majority_baseline
from keras_transfer.evaluation.predictions import write_predictions
from keras_transfer.group import Group
from keras_transfer.objectives.base import Labels
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.regression import Regression
from keras_transfer.objectives.table import OBJECTIVES, AnyObjective
from keras_transfer.training.monitors import mode


class Settings(Group):
    objective: AnyObjective = Classification()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_given_by_its_name(name):
    found = Settings(objective=name).objective
    assert type(found) is OBJECTIVES[name]
    assert Settings(**json.loads(Settings(objective=name).model_dump_json())).objective == found


def test_settings_come_with_the_type():
    given = {"type": "regression", "columns": ["x", "y"], "error": "huber"}
    assert Settings(objective=given).objective == Regression(columns=("x", "y"), error="huber")


def test_several_objectives_by_column_survive_json():
    given = {"kind": "classification", "price": {"type": "regression", "error": "mae"}}
    found = Settings(objective=given)
    assert found.objective == {"kind": Classification(), "price": Regression(error="mae")}
    assert Settings(**json.loads(found.model_dump_json())) == found


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("regresion", UnknownName, "Did you mean 'regression'"),
        ({"type": "multi_label"}, UnknownName, "Did you mean 'multilabel'"),
        ({"columns": ["x"]}, ValidationError, "columns"),  # of a classification
        ({}, BadConfiguration, "name a column and what is predicted of it"),
        (
            {"price": "regression", "kind": "multilable"},
            UnknownName,
            "objective.kind: .* Did you mean 'multilabel'",
        ),
        ({"type": "regression", "class_weight": {}}, ValidationError, "class_weight"),
    ],
)
def test_a_wrong_objective_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        Settings(objective=given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Regression(columns=("x", "x")), "name each target once"),
        (lambda: MultiLabel(columns=("x", "x")), "name each label once"),
        (lambda: MultiLabel(separator=" "), "should not be blank"),
        (lambda: MultiLabel(separator=""), "separator"),
        (lambda: Regression(delta=0), "delta"),
        (lambda: Classification(label_smoothing=1), "label_smoothing"),
        (lambda: Classification(weight=0), "weight"),
        (lambda: Classification(imbalance="pos_weight"), "imbalance"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


def test_class_weight_is_a_mapping():
    assert Classification(class_weight={5: 2}).class_weight == {"5": 2.0}
    with pytest.raises(BadConfiguration, match="imbalance = class_weight"):
        Classification(class_weight="balanced")


def test_objectives_import_nothing_heavy():
    code = (
        "import sys; from keras_transfer.objectives.table import OBJECTIVES\n"
        "for cls in OBJECTIVES.values(): cls().model_dump(); cls.model_json_schema()\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'scipy', 'PIL'}\n"
        "sys.exit(sorted(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


NAMES = ("a", "b")
CASES = {
    "classification": (
        Classification(),
        np.array([0, 1, 1, -1]),
        np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]]),
    ),
    "multilabel": (
        MultiLabel(),
        np.array([[1, 0], [1, 1], [0, 1], [np.nan, np.nan]]),
        np.array([[0.9, 0.1], [0.3, 0.8], [0.2, 0.4], [0.5, 0.5]]),
    ),
    "regression": (
        Regression(),
        np.array([[1, 10], [2, 30], [4, 20], [np.nan, np.nan]]),
        np.array([[1.5, 10], [2, 20], [3, 20], [0, 0]]),
    ),
}


@pytest.mark.parametrize(("objective", "true", "scores"), CASES.values(), ids=CASES)
def test_metrics_baseline_and_summary_of_each(objective, true, scores):
    dtype = "int32" if true.ndim == 1 else "float32"
    train = Labels(true.astype(dtype), NAMES)
    decision = objective.decision(true, scores)

    metrics = objective.evaluate(true, scores, NAMES, decision=decision, train=train)
    baseline = objective.baseline(train, true, NAMES)

    json.dumps([metrics, baseline, decision], allow_nan=False)
    assert metrics["n"] == 3
    for name in objective.headline:
        assert isinstance(metrics[name], float)
        assert isinstance(baseline[name], float)
    assert isinstance(objective.summary(metrics), str)
    assert objective.baseline_name in ("majority", "prevalence", "mean")
    assert set(objective.monitors.values()) <= {"min", "max"}


@pytest.mark.parametrize(("objective", "true", "scores"), CASES.values(), ids=CASES)
def test_metrics_from_the_file_are_those_from_memory(objective, true, scores, tmp_path):
    decision = objective.decision(true, scores)
    path = tmp_path / "p.csv"

    objective.write_predictions(path, "wxyz", true, scores, NAMES, decision=decision)
    back = objective.read_predictions(path)

    np.testing.assert_array_equal(back.decided, objective.decide(scores, decision))
    assert objective.evaluate(
        back.true, back.scores, back.names, decision=decision
    ) == objective.evaluate(true, scores, NAMES, decision=decision)


def test_a_classifiers_numbers_and_file_are_those_it_always_had(tmp_path):
    objective, true, scores = CASES["classification"]
    train = Labels(np.array([0, 0, 0, 1], "int32"), NAMES)

    metrics = objective.evaluate(true, scores, NAMES, train=train)
    objective.write_predictions(tmp_path / "new.csv", "wxyz", true, scores, NAMES)
    write_predictions(tmp_path / "old.csv", "wxyz", true, scores, NAMES)

    assert metrics == classification_metrics(true, scores, NAMES, [3, 1])
    assert metrics["minority_class"] == "b"
    assert objective.baseline(train, true, NAMES) == majority_baseline(
        np.array([3, 1]), true, NAMES
    )
    assert (tmp_path / "new.csv").read_bytes() == (tmp_path / "old.csv").read_bytes()


def test_a_class_without_examples_is_shown_by_a_dash():
    names = ("a", "b", "c")
    metrics = Classification().evaluate(np.array([0, 1]), np.eye(3)[:2], names)
    assert metrics["roc_auc"] is None
    assert "c              -       -      -         0" in Classification().summary(metrics)


def test_thresholds_decide_what_labels_are_predicted():
    """Label a parts at 0.25, between its positives and the 0.2; label b between 0.1 and 0.4."""
    objective, true, scores = CASES["multilabel"]

    decision = objective.decision(true, scores)

    assert decision["thresholds"] == pytest.approx([0.25, 0.25])
    assert objective.decide(scores, decision)[:3].tolist() == (true[:3] > 0).tolist()
    assert objective.decide(scores)[:3].tolist() == [[True, False], [False, True], [False, False]]
    assert objective.evaluate(true, scores, NAMES, decision=decision)["micro_f1"] == 1


def test_every_monitor_is_chosen_by_in_its_own_direction():
    """A metric whose direction is not known would keep the worst epoch without a word."""
    for objective in OBJECTIVES.values():
        assert {name: mode(name) for name in objective.monitors} == objective.monitors

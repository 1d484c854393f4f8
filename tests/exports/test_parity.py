"""The gate, by tables worked out by hand."""

import numpy as np
import pytest

from keras_transfer.errors import CheckFailed
from keras_transfer.exports.parity import LIMITS, Limits, compare, gate

MODEL = np.array([[0.9, 0.1], [0.4, 0.6], [0.50001, 0.49999], [0.2, 0.8]])


def test_changes_differences_and_accuracies():
    export = np.array([[0.8, 0.2], [0.55, 0.45], [0.5, 0.5], [0.2, 0.8]])

    found = compare(MODEL, export, np.array([0, 1, 0, 0]))

    assert found == {
        "images": 4,
        "changed": 1,
        "largest_difference": pytest.approx(0.15),
        "accuracy": 0.5,  # right on the first and the third
        "model_accuracy": 0.75,
    }


def test_a_tie_is_no_change():
    export = MODEL.copy()
    export[2] = [0.49999, 0.50001]

    assert compare(MODEL, export, np.zeros(4))["changed"] == 0


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
    found = {
        "images": 100,
        "changed": changed,
        "largest_difference": difference,
        "accuracy": 0.9,
        "model_accuracy": 0.91,
    }
    if passes:
        gate(found, limits)
    else:
        with pytest.raises(CheckFailed, match=f"another class for {changed} of 100"):
            gate(found, limits)

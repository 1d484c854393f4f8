"""Errors of a regression, against numbers worked out by hand and scikit-learn."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm

from keras_transfer.errors import BadData, CheckFailed
from keras_transfer.evaluation.layout import is_better, metric_text
from keras_transfer.evaluation.regression_metrics import (
    mean_baseline,
    regression_metrics,
    regression_summary,
)
from keras_transfer.evaluation.weighted import target_errors

# Errors 1, -1, 0, 2 of the first target; the second is met exactly.
TRUE = np.array([[1.0, 10], [2, 20], [3, 30], [6, 20]])
PREDICTED = np.array([[2.0, 10], [1, 20], [3, 30], [8, 20]])


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_metrics_worked_by_hand():
    """Mean 3, squared deviations 4 + 1 + 0 + 9 = 14, squared errors 1 + 1 + 0 + 4 = 6.

    Ranks 1 2 3 4 against 2 1 3 4: Spearman 1 - 6 * 2 / (4 * 15) = 0.8.
    """
    metrics = regression_metrics(TRUE, PREDICTED, ["x", "y"])

    x, y = metrics["per_target"].values()
    wanted = {"mae": 1.0, "rmse": 1.5**0.5, "r2": 1 - 6 / 14, "spearman": 0.8}
    assert {name: x[name] for name in wanted} == pytest.approx(wanted)
    assert (y["mae"], y["rmse"], y["r2"]) == (0, 0, 1)
    assert metrics["n"] == 4
    for name, value in wanted.items():
        assert metrics[name] == pytest.approx((value + y[name]) / 2)
    assert y["mae_interval"] == [0, 0]
    json.dumps(metrics, allow_nan=False)


VALUES = st.floats(-1000, 1000, width=32)


@st.composite
def predicted(draw):
    n, targets = draw(st.integers(3, 30)), draw(st.integers(1, 3))
    pair = [draw(hnp.arrays(float, (n, targets), elements=VALUES)) for _ in range(2)]
    pair[0][:2] = [[-1.0] * targets, [1.0] * targets]  # no target is constant
    return pair


@settings(max_examples=60)
@given(predicted())
def test_metrics_are_scikit_learns(pair):
    names = [f"t{i}" for i in range(pair[0].shape[1])]

    metrics = regression_metrics(*pair, names, intervals=False)
    weighted = target_errors(np.ones((1, len(pair[0]))), *pair)

    for name, theirs in (
        ("mae", sk.mean_absolute_error),
        ("rmse", sk.root_mean_squared_error),
        ("r2", sk.r2_score),
    ):
        each = theirs(*pair, multioutput="raw_values")
        assert metrics[name] == pytest.approx(theirs(*pair))
        assert [row[name] for row in metrics["per_target"].values()] == pytest.approx(each)
        np.testing.assert_allclose(weighted[name][0], each, rtol=1e-9, atol=1e-9)


@settings(max_examples=60)
@given(predicted(), st.data())
def test_weighted_errors_are_those_of_repeated_examples(pair, data):
    n = len(pair[0])
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    counts[:2] = np.maximum(counts[:2], 1)
    rows = np.repeat(np.arange(n), counts)
    weighted = target_errors(counts[None].astype(float), *pair)
    for name, theirs in (("mae", sk.mean_absolute_error), ("r2", sk.r2_score)):
        each = theirs(pair[0][rows], pair[1][rows], multioutput="raw_values")
        np.testing.assert_allclose(weighted[name][0], each, rtol=1e-9, atol=1e-9)


def test_the_digits_of_a_target_far_from_zero_are_kept():
    true = 1e9 + np.arange(10.0)[:, None]
    found = target_errors(np.ones((1, 10)), true, true + 1)["r2"]
    assert found == pytest.approx(1 - 10 / 82.5)


def test_the_interval_of_the_mae_is_that_of_a_mean():
    """Absolute errors of 0 and 2, half and half: standard error 1 / sqrt(n)."""
    error = np.tile([0.0, 2.0], 200)[:, None]
    true = np.random.default_rng(0).normal(size=(400, 1))

    low, high = regression_metrics(true, true + error, ["x"])["mae_interval"]

    reach = norm.ppf(0.975) / 20
    assert (low, high) == pytest.approx((1 - reach, 1 + reach), abs=0.015)


def test_intervals_repeat_and_copies_widen_them():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(50, 1))
    said = true + rng.normal(size=(50, 1))
    copies = np.repeat(np.arange(50), 4)

    def width(found):
        return np.subtract(*found["mae_interval"][::-1])

    once = regression_metrics(true, said, ["x"])
    naive = regression_metrics(true[copies], said[copies], ["x"])
    honest = regression_metrics(true[copies], said[copies], ["x"], families=copies)
    assert once == regression_metrics(true, said, ["x"])
    assert width(naive) == pytest.approx(width(once) / 2, rel=0.2)
    assert width(honest) == pytest.approx(width(once), rel=0.15)


@pytest.mark.parametrize(
    ("true", "said", "missing"),
    [
        ([1.0, 1, 1], [1.0, 2, 3], {"r2", "spearman", "r2_interval"}),
        ([1.0, 2, 3], [1.0, 1, 1], {"spearman"}),
        ([5.0], [4.0], {"r2", "spearman", "r2_interval"}),
    ],
)
def test_what_is_not_defined_is_none(true, said, missing):
    metrics = regression_metrics(np.array(true)[:, None], np.array(said)[:, None], ["x"])

    assert {name for name, value in metrics.items() if value is None} == missing
    json.dumps(metrics, allow_nan=False)
    assert "rank correlation  -" in regression_summary(metrics)


def test_examples_that_are_not_known_are_left_out():
    true = np.vstack([TRUE, [[np.nan, np.nan]]])
    said = np.vstack([PREDICTED, [[1, 1]]])
    families = np.array([0, 1, 2, 3, 0])
    assert regression_metrics(true, said, "xy", families=families) == regression_metrics(
        TRUE, PREDICTED, "xy"
    )


def test_what_cannot_be_measured():
    with pytest.raises(BadData, match="nothing to measure"):
        regression_metrics(np.full((2, 1), np.nan), np.ones((2, 1)), "x")
    with pytest.raises(CheckFailed, match="2 of 4 predictions are not numbers"):
        regression_metrics(TRUE, np.where(TRUE == 20, np.inf, TRUE), "xy")


def test_the_baseline_by_hand():
    """Train 0, 0, 3: mean 1, median 0. Of 1, 5: errors 0 and 4; 1 and 5."""
    train, true = np.array([[0.0], [0], [3], [np.nan]]), np.array([[1.0], [5]])

    found = mean_baseline(train, true, ["x"])

    assert (found.pop("mean"), found.pop("median")) == ({"x": 1.0}, {"x": 0.0})
    wanted = {"mae": 2.0, "rmse": 8**0.5, "r2": 1 - 16 / 8, "median_mae": 3.0}
    assert found == pytest.approx(wanted)


def test_the_summary():
    metrics = regression_metrics(TRUE, PREDICTED, ["x", "height"])

    lines = regression_summary(metrics).splitlines()

    assert lines[0].startswith("MAE               0.5  (95 % interval 0.")
    assert lines[0].endswith(", 4 examples)")
    assert lines[3:] == [
        "rank correlation  0.9",
        "",
        "target  MAE   RMSE      R2  rank correlation",
        "x         1  1.225  0.5714               0.8",
        "height    0      0       1                 1",
    ]
    assert len(regression_summary(regression_metrics(TRUE, PREDICTED, "xy")).splitlines()) == 8
    one = regression_metrics(TRUE[:, :1], PREDICTED[:, :1], ["x"])
    assert len(regression_summary(one).splitlines()) == 4


@pytest.mark.parametrize(
    ("metric", "better", "text"),
    [
        ("mae", "lower", "1234"),
        ("max_error", "lower", "1234"),
        ("log_loss", "lower", "1234.4321"),
        ("r2", "higher", "1234.4321"),
    ],
)
def test_errors_are_better_if_lower_and_have_the_datas_units(metric, better, text):
    assert (is_better(metric), metric_text(metric, 1234.4321)) == (better, text)

"""Temperatures against other optimizers, and metrics of probabilities worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from keras_transfer.evaluation.calibration import (
    BOUNDS,
    calibrate,
    fit_temperature,
    log_losses,
)
from keras_transfer.evaluation.calibration_metrics import calibration_metrics
from keras_transfer.evaluation.reliability import equal_counts, reliability


def classes(n, temperature, k=3, seed=0):
    """Logits that are calibrated once they are divided by the temperature, and classes."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, k))
    true = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return logits * temperature, np.minimum(true, k - 1)


def labels(n, temperature, k=4, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, k))
    return logits * temperature, (rng.random((n, k)) < expit(logits)).astype(float)


@pytest.mark.parametrize("made", [classes, labels])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_that_of_a_minimizer(made, temperature):
    outputs, true = made(2000, temperature)
    found = fit_temperature(outputs, true)
    other = minimize_scalar(
        lambda log: log_losses(outputs, true, np.exp(log)).mean(),
        bounds=np.log(BOUNDS),
        method="bounded",
        options={"xatol": 1e-7},
    )
    assert found == pytest.approx(np.exp(other.x), rel=1e-4)
    assert found == pytest.approx(temperature, rel=0.1)


def test_two_classes_are_a_logistic_regression_without_intercept():
    """Of the difference of two logits d: p = expit(d / T), so that 1 / T is its coefficient."""
    outputs, true = classes(500, 2.0, k=2)
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10)
    model.fit(np.diff(outputs, axis=1), true)
    assert 1 / fit_temperature(outputs, true) == pytest.approx(model.coef_.item(), rel=1e-4)


def test_losses_are_those_of_scikit_learn():
    outputs, true = classes(50, 2.0)
    wanted = log_loss(true, softmax(outputs / 1.7, axis=1))
    assert log_losses(outputs, true, 1.7).mean() == pytest.approx(wanted)
    outputs, true = labels(50, 2.0)
    wanted = np.mean([log_loss(y, expit(z / 1.7)) for y, z in zip(true.T, outputs.T, strict=True)])
    assert log_losses(outputs, true, 1.7).mean() == pytest.approx(wanted)


def test_an_optimum_outside_of_the_bounds_is_a_bound():
    true = np.array([0, 1])
    assert fit_temperature(np.array([[1.0, 0.0], [0.0, 1.0]]), true) == BOUNDS[0]
    assert fit_temperature(np.array([[0.0, 1.0], [1.0, 0.0]]), true) == BOUNDS[1]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.3, 4.0), st.floats(0.5, 2.0), st.sampled_from([2, 3, 7]))
def test_outputs_that_are_scaled_have_a_temperature_that_is_scaled(seed, temperature, scale, k):
    outputs, true = classes(150, temperature, k, seed)
    found, other = fit_temperature(outputs, true), fit_temperature(scale * outputs, true)
    if BOUNDS[0] < min(found, other) and max(found, other) < BOUNDS[1]:
        assert other == pytest.approx(scale * found, rel=1e-5)
    # No other temperature has a lower loss.
    lowest = log_losses(outputs, true, found).mean()
    for t in (0.9 * found, 1.1 * found):
        if BOUNDS[0] <= t <= BOUNDS[1]:
            assert lowest <= log_losses(outputs, true, t).mean() + 1e-12
    # The order of classes stays.
    assert ((outputs / found).argmax(axis=1) == outputs.argmax(axis=1)).all()


def test_an_overconfident_network_is_calibrated():
    outputs, true = classes(300, 2.5)
    found = calibrate(outputs, true)
    assert found.reason == ""
    assert found.examples == 300
    assert found.temperature == fit_temperature(outputs, true)
    assert found.before == pytest.approx(log_losses(outputs, true).mean())
    # A temperature that has seen an example fits it better than one that has not.
    assert log_losses(outputs, true, found.temperature).mean() < found.after < found.before
    other, known = classes(5000, 2.5, seed=1)
    assert log_losses(other, known, found.temperature).mean() < log_losses(other, known).mean()


@pytest.mark.parametrize(
    ("n", "temperature", "reason"),
    [(99, 2.5, "takes 100 labelled"), (300, 1.0, "does not clearly lower")],
)
def test_the_temperature_stays_1(n, temperature, reason):
    outputs, true = classes(n, temperature)
    found = calibrate(outputs, true)
    assert found.temperature == 1
    assert reason in found.reason


@pytest.mark.parametrize("wrong", [0, 4, 5])
def test_the_temperature_stays_1_with_fewer_than_five_mistakes(wrong):
    """Without one, the lower the temperature, the lower the loss."""
    outputs, _ = classes(200, 0.1)
    true = outputs.argmax(axis=1)
    true[:wrong] = (true[:wrong] + 1) % 3
    found = calibrate(outputs, true).reason
    assert found.startswith(f"{wrong} answers on the val split are wrong") == (wrong < 5)
    outputs, _ = labels(200, 0.1)
    true = (outputs > 0).astype(float)
    true[:wrong, 0] = 1 - true[:wrong, 0]
    found = calibrate(outputs, true).reason
    assert found.startswith(f"{wrong} answers on the val split are wrong") == (wrong < 5)


def test_copies_are_no_evidence():
    """12 examples, 25 times each: folds of the copies would hold the same examples."""
    outputs, true = classes(12, 1.6, seed=0)
    every, known = np.tile(outputs, (25, 1)), np.tile(true, 25)
    apart, together = calibrate(every, known), calibrate(every, known, np.tile(np.arange(12), 25))
    assert together.after > apart.after


def test_metrics_of_classes_by_hand():
    """Four examples of two classes; the bins of equal width are (9/15, 10/15] and so on."""
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.36, 0.64], [0.35, 0.65]])
    true = np.array([0, 1, 1, 1])
    found = calibration_metrics(true, scores)
    # 0.9: half of them right. 0.64 and 0.65: both right.
    assert found["ece"] == pytest.approx(0.5 * abs(0.9 - 0.5) + 0.5 * (1 - 0.645))
    # Of equal counts: 0.64; 0.65; 0.9 and 0.9, which are equal.
    assert found["adaptive_ece"] == pytest.approx((0.36 + 0.35 + 0.8) / 4)
    assert found["brier"] == pytest.approx(2 * (0.01 + 0.81 + 0.36**2 + 0.35**2) / 4)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.1, 0.64, 0.65]).mean())


def test_metrics_are_those_of_scikit_learn_and_of_the_diagram():
    outputs, true = classes(400, 2.0, k=2)
    scores = softmax(outputs, axis=1)
    found = calibration_metrics(true, scores)
    assert found["brier"] == pytest.approx(2 * brier_score_loss(true, scores[:, 1]))
    assert found["log_loss"] == pytest.approx(log_loss(true, scores))
    diagram = reliability(scores.max(axis=1), scores.argmax(axis=1) == true)
    assert found["ece"] == pytest.approx(diagram.ece)
    for name in ("ece", "adaptive_ece", "brier", "log_loss"):
        low, high = found[f"{name}_interval"]
        assert 0 <= low < high
    assert set(calibration_metrics(true, scores, intervals=False)) == {
        "ece", "adaptive_ece", "brier", "log_loss"
    }  # fmt: skip


def test_several_labels_are_events_each():
    scores = np.array([[0.9, 0.2], [0.9, 0.8]])
    true = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = calibration_metrics(true, scores)
    # Probabilities 0.9, 0.9: half of them happen; 0.2: none; 0.8: all.
    assert found["ece"] == pytest.approx((2 * 0.4 + 0.2 + 0.2) / 4)
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.81 + 0.04) / 4)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.1, 0.8]).mean())


def test_bins_of_equal_counts_hold_equally_many():
    counts = np.bincount(equal_counts(np.random.default_rng(0).random(300)))
    assert counts.tolist() == 15 * [20]
    assert equal_counts(np.ones(5)).tolist() == 5 * [0]


def test_copies_widen_the_intervals():
    outputs, true = classes(200, 1.0)
    scores = softmax(outputs, axis=1)
    alone = calibration_metrics(true, scores)["log_loss_interval"]
    copied = calibration_metrics(np.tile(true, 4), np.tile(scores, (4, 1)))["log_loss_interval"]
    families = np.tile(np.arange(200), 4)
    known = calibration_metrics(np.tile(true, 4), np.tile(scores, (4, 1)), families)
    assert np.diff(copied) < 0.7 * np.diff(alone)
    assert np.diff(known["log_loss_interval"]) == pytest.approx(np.diff(alone), rel=0.2)


def test_a_probability_of_0_is_a_large_loss_not_an_infinite_one():
    scores = softmax(np.array([[2000.0, 0.0]]), axis=1)
    assert scores[0, 1] == 0
    assert calibration_metrics(np.array([1]), scores)["log_loss"] == pytest.approx(36.04, abs=0.01)

"""Curves of labels, held against scikit-learn; the choice between them and a temperature."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from keras_transfer.evaluation.calibration import calibrate, log_losses
from keras_transfer.evaluation.calibration_metrics import calibration_metrics
from keras_transfer.evaluation.isotonic import EACH, GAP, fit_curves
from keras_transfer.networks.label_curves import uncalibrated, with_curves


def labels_of(rng, n=400, labels=2, bend=lambda z: z):
    """Logits on a grid that is wider than ``GAP``, and labels with other chances."""
    logits = rng.integers(-64, 65, (n, labels)) / 16
    return logits, (rng.random((n, labels)) < expit(bend(logits))).astype("float32")


def model_of(curves, labels):
    given = keras.Input((labels,), name="x")
    plain = keras.Model({"x": given}, {"label": keras.layers.Identity()(given)})
    return with_curves(plain, "label", curves.ramps(), curves.fitted)


@pytest.mark.parametrize("seed", range(5))
def test_curves_are_those_of_scikit_learn_in_arrays_and_layers(seed):
    rng = np.random.default_rng(seed)
    logits, true = labels_of(rng, bend=lambda z: 3 * z - 1)
    curves = fit_curves(logits, true)
    others = rng.normal(0, 4, (200, 2)).astype("float32")
    low = 1 / 402
    wanted = np.stack(
        [
            IsotonicRegression(y_min=low, y_max=1 - low, out_of_bounds="clip")
            .fit(logits[:, i], true[:, i])
            .predict(others[:, i])
            for i in range(2)
        ],
        axis=1,
    )
    assert expit(curves.apply(others)) == pytest.approx(wanted, abs=1e-7)
    found = model_of(curves, 2).predict({"x": others}, verbose=0)["label"]
    assert expit(found) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("chances", [(0.1, 0.9), (0.02, 0.5, 0.98)])
def test_steps_are_those_of_scikit_learn(seed, chances):
    """Of near knots some go, but the plateaus around them neither move nor slope."""
    rng, n = np.random.default_rng(seed), 10_000
    cuts = np.linspace(-1, 1, len(chances) + 1)[1:-1]
    logits, others = rng.normal(size=(n, 1)), rng.normal(size=(20_000, 1))
    true = rng.random((n, 1)) < np.array(chances)[np.searchsorted(cuts, logits)]
    curves = fit_curves(logits, true)
    plain = IsotonicRegression(y_min=1 / (n + 2), y_max=1 - 1 / (n + 2), out_of_bounds="clip")
    knots = plain.fit(logits[:, 0], true[:, 0]).X_thresholds_
    assert (np.diff(knots) < GAP * logits.std()).any()
    apart = np.abs(expit(curves.apply(others))[:, 0] - plain.predict(others[:, 0]))
    away = np.abs(others - knots).min(axis=1) > GAP * logits.std()
    assert away.mean() > 0.98
    assert apart[away].max() < 1e-9
    assert apart.mean() < 5e-4


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.floats(-30, 30), st.floats(0, 30))
def test_a_higher_logit_has_no_lower_probability(seed, first, more):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (60, 1))
    true = (rng.random((60, 1)) < 0.5).astype("float32")
    curves = fit_curves(logits, true)
    least = GAP / 4 * logits.std() - 1e-12
    assert all((np.diff(x) >= least).all() for x in curves.x)
    assert all((np.diff(y) >= 0).all() for y in curves.y)
    low, high = curves.apply(np.array([[first], [first + more]]))
    assert low <= high
    assert np.isfinite([low, high]).all()


def test_a_rare_label_keeps_its_logits_and_the_network_is_saved(tmp_path):
    rng = np.random.default_rng(0)
    logits, true = labels_of(rng, labels=3)
    true[:, 2] = 0
    true[: EACH - 1, 2] = 1
    curves = fit_curves(logits, true)
    assert curves.fitted.tolist() == [True, True, False]
    model = model_of(curves, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        found = one.predict({"x": logits.astype("float32")}, verbose=0)["label"]
        np.testing.assert_array_equal(found[:, 2], logits[:, 2].astype("float32"))
        assert found[:, :2] == pytest.approx(curves.apply(logits)[:, :2], abs=1e-3)
    before = keras.Model(loaded.input, uncalibrated(loaded))
    x = logits.astype("float32")
    np.testing.assert_array_equal(before.predict({"x": x}, verbose=0)["label"], x)


def test_an_infinite_logit_has_the_end_of_its_curve():
    rng = np.random.default_rng(0)
    logits, true = labels_of(rng)
    true[:, 1] = 0  # keeps its logits
    curves = fit_curves(logits, true)
    ends = np.array([[np.inf, np.inf], [-np.inf, -np.inf], [0.0, 1.5]], "float32")
    found = model_of(curves, 2).predict({"x": ends}, verbose=0)["label"]
    assert expit(found[:2, 0]) == pytest.approx(curves.y[0][[-1, 0]], abs=1e-5)
    assert found[:, 1].tolist() == ends[:, 1].tolist()
    assert curves.apply(ends)[:2, 0] == pytest.approx(found[:2, 0], abs=1e-4)


def test_what_a_temperature_cannot_mend_takes_curves():
    """One label says too much, the other too little: no single number serves both."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (1500, 2))
    true = (rng.random((1500, 2)) < expit(logits * [0.3, 3])).astype("float32")
    fit, test = slice(750), slice(750, None)
    found = calibrate(logits[fit], true[fit], method="auto")
    assert found.method == "isotonic"
    assert found.changes
    assert [*found.candidates] == ["temperature", "isotonic"]
    assert found.after == found.candidates["isotonic"] < found.candidates["temperature"]
    plain, scored = (expit(x) for x in (logits[test], found.apply(logits[test])))
    before, after = (calibration_metrics(true[test], x, intervals=False) for x in (plain, scored))
    assert after["brier"] < before["brier"]
    assert after["log_loss"] < before["log_loss"]
    by_number = calibrate(logits[fit], true[fit], method="temperature")
    assert log_losses(found.apply(logits[test]), true[test]).mean() < (
        log_losses(by_number.apply(logits[test]), true[test]).mean()
    )


def test_what_one_temperature_mends_takes_one():
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 4, (300, 2))
    true = (rng.random((300, 2)) < expit(logits / 3)).astype("float32")
    found = calibrate(logits, true, method="auto")
    assert found.method == "temperature"
    assert found.temperature == pytest.approx(3, rel=0.3)


def test_what_is_right_stays():
    rng = np.random.default_rng(3)
    logits, true = labels_of(rng, n=200)
    found = calibrate(logits, true, method="isotonic")
    assert not found.changes
    assert "calibration does not clearly lower the log loss" in found.reason
    np.testing.assert_array_equal(found.apply(logits), logits)

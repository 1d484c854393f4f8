"""Tests of drift, held against SciPy and numbers by hand."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency, kstest, norm

from keras_transfer.domains.drift_tests import (
    confidence_drift,
    detectable_share,
    holm,
    share_drift,
)


def chances(rng, n, sure=1.0):
    logits = rng.normal(0, sure, (n, 3))
    found = np.exp(logits)
    return found / found.sum(axis=1, keepdims=True)


def test_p_values_are_uniform_where_nothing_has_changed():
    rng = np.random.default_rng(0)
    pairs = [(chances(rng, 80), chances(rng, 60)) for _ in range(120)]
    by_confidence = [confidence_drift(*pair).p_value for pair in pairs]
    assert kstest(by_confidence, "uniform").pvalue > 0.01
    by_shares = [
        share_drift(*(one.argmax(axis=1) for one in pair), 3).p_value for pair in pairs[:60]
    ]
    assert 0.35 < np.mean(by_shares) < 0.65
    assert np.mean(np.array(by_shares) <= 0.05) <= 0.12


def test_another_confidence_is_found_with_its_effect():
    rng = np.random.default_rng(1)
    found = confidence_drift(chances(rng, 300), chances(rng, 300, sure=4.0))
    assert found.p_value < 1e-6
    assert 0.3 < found.effect <= 1
    # Without overlap D is 1.
    assert confidence_drift(np.full((9, 2), 0.5), np.eye(2)[[0] * 9]).effect == 1


def test_cramers_v_by_hand_and_by_scipy():
    source, target = np.repeat([0, 1], [30, 10]), np.repeat([0, 1], [10, 30])
    # phi of a 2 x 2 table: (30 30 - 10 10) / 40^2.
    assert share_drift(source, target, 2).effect == pytest.approx(0.5)
    rng = np.random.default_rng(2)
    source, target = rng.integers(0, 3, 50), rng.integers(0, 3, 70)
    table = [np.bincount(one, minlength=4) for one in (source, target)]
    chi2 = chi2_contingency(np.array(table)[:, :3], correction=False).statistic
    # The fourth class is never predicted.
    assert share_drift(source, target, 4).effect == pytest.approx(np.sqrt(chi2 / 120))
    assert share_drift(np.zeros(9, int), np.zeros(9, int), 2).effect == 0


def test_p_values_are_adjusted_as_holm_does():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8})["b"] == 1


def test_the_difference_that_can_be_seen_by_simulation():
    """Of shares 0.5 and 0.5 + d a z test at 0.05 finds four of five."""
    d = detectable_share(200, 200, 0.05)
    assert d == pytest.approx((1.959964 + 0.841621) * np.sqrt(0.25 / 100), rel=1e-5)
    rng = np.random.default_rng(3)
    # Around one half, where the variance is the largest.
    first, second = (rng.binomial(200, 0.5 + sign * d / 2, 4000) / 200 for sign in (-1, 1))
    z = (second - first) / np.sqrt(2 * 0.25 / 200)
    assert np.mean(z > norm.ppf(0.975)) == pytest.approx(0.8, abs=0.03)
    assert detectable_share(3, 3, 0.05) == 1

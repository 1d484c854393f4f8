import numpy as np
import pytest

from keras_transfer.evaluation.selective import risk_coverage


def test_by_hand():
    """Accepted in the order 0.9, 0.8, 0.7, 0.6; the third is wrong."""
    found = risk_coverage(np.array([0.7, 0.9, 0.6, 0.8]), np.array([False, True, True, True]))
    assert found.threshold.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert found.coverage.tolist() == [0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(found.risk, [0, 0, 1 / 3, 1 / 4])
    assert found.area == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    assert found.at(0.5) == (0.8, 0.5, 0.0)
    assert found.at(0.6) == (0.7, 0.75, pytest.approx(1 / 3))
    assert found.at(1.0) == (0.6, 1.0, 0.25)


def test_equal_confidences_are_accepted_together():
    found = risk_coverage(np.array([0.5, 0.5, 0.9]), np.array([True, False, True]))
    assert found.coverage.tolist() == [pytest.approx(1 / 3), 1]
    np.testing.assert_allclose(found.risk, [0, 1 / 3])


def test_the_curve_ends_at_the_error_rate():
    rng = np.random.default_rng(0)
    confidence, correct = rng.uniform(size=200).round(2), rng.uniform(size=200) < 0.7
    found = risk_coverage(confidence, correct)
    assert found.risk[-1] == pytest.approx(1 - correct.mean())
    for threshold, coverage, risk in zip(*found, strict=True):
        accepted = confidence >= threshold
        assert (coverage, risk) == (accepted.mean(), pytest.approx(1 - correct[accepted].mean()))

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from keras_transfer.evaluation.reliability import BINS, reliability


def predictions(n=400):
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, n)
    return confidence, rng.uniform(size=n) < confidence**2


def test_bins_are_those_of_scikit_learn():
    confidence, correct = predictions()
    found = reliability(confidence, correct)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=BINS, strategy="uniform")
    filled = found.counts > 0
    np.testing.assert_allclose(found.accuracy[filled], accuracy)
    np.testing.assert_allclose(found.confidence[filled], mean)
    assert found.counts.sum() == 400
    assert found.counts[0] == 0
    assert np.isnan(found.accuracy[0])
    # |accuracy - confidence|, weighted by the share of the examples in the bin.
    expected = np.sum(found.counts[filled] / 400 * np.abs(accuracy - mean))
    assert found.ece == pytest.approx(expected)
    assert found.overconfidence == pytest.approx(confidence.mean() - correct.mean())


def test_by_hand():
    """Four bins: (0.5, 0.75] holds 0.6 and 0.75, one of them right; (0.75, 1] 0.9 and 1."""
    found = reliability(np.array([0.6, 0.75, 0.9, 1.0]), np.array([True, False, True, True]), 4)
    assert found.counts.tolist() == [0, 0, 2, 2]
    assert found.ece == pytest.approx(0.5 * abs(0.5 - 0.675) + 0.5 * abs(1 - 0.95))
    assert found.overconfidence == pytest.approx(0.8125 - 0.75)


@pytest.mark.parametrize(("value", "place"), [(0.0, 0), (1.0, BINS - 1), (1 / BINS, 0)])
def test_values_on_edges_belong_to_the_bin_below(value, place):
    assert reliability(np.array([value]), np.array([True])).counts[place] == 1

"""Extrapolation: what a known law gives back, and where nothing is said."""

import numpy as np
import pytest

from keras_transfer.evaluation.learning_curve import doubling, power_law
from keras_transfer.evaluation.paired import align_predictions
from keras_transfer.evaluation.prediction_files import Predicted

SIZES = np.array([50, 100, 200, 400, 800])


def answers(errors, n=10_000):
    """Predictions of so many wrong answers; which ones varies."""
    rng = np.random.default_rng(0)
    true = np.arange(n) % 2
    wrong = [rng.permutation(n) < round(error * n) for error in errors]
    keys = np.array([str(number) for number in range(n)], object)
    said = [np.where(one, 1 - true, true) for one in wrong]
    return align_predictions(
        [[Predicted(keys, true, np.eye(2)[one], one, ("a", "b"))] for one in said]
    )


def test_an_exact_law_is_found_again():
    errors = 0.1 * (SIZES / 800) ** -0.5 + 0.02
    assert power_law(SIZES, errors, 1000) == pytest.approx([0.1, 0.5, 0.02], abs=1e-4)


def test_the_gain_of_doubling():
    """Errors of 0.1 (n/800)^-0.5 + 0.02: doubling takes 0.1 (1 - 2^-0.5) = 0.0293 away."""
    aligned = answers(0.1 * (SIZES / 800) ** -0.5 + 0.02)

    found = doubling(SIZES, aligned)

    low, high = found["interval"]
    assert found["gain"] == pytest.approx(0.0293, abs=1e-3)
    assert low < 0.0293 < high < 0.06
    assert found["law"]["a"] == pytest.approx(0.1 * 800**0.5, rel=0.05)


def test_too_few_sizes_are_refused():
    aligned = answers([0.3, 0.2, 0.1])
    assert "4 sizes or more; there are 3" in doubling(SIZES[:3], aligned)["refused"]


@pytest.mark.parametrize(
    "errors", [(0.5, 0.5, 0.5, 0.5, 0.1), (0.3, 0.1, 0.25, 0.2, 0.29), (0.2, 0.2, 0.2, 0.35, 0.1)]
)
def test_errors_that_follow_no_law_are_refused(errors):
    aligned = answers(errors, 200)
    assert "no power law" in doubling(SIZES, aligned)["refused"]


def test_a_law_bears_the_chance_of_200_images():
    """0.05 (n/800)^-0.5 + 0.02 and a deviation of 200 images, to either side in turn."""
    errors = 0.05 * (SIZES / 800) ** -0.5 + 0.02
    errors += np.array([1, -1, 1, -1, 1]) * np.sqrt(errors * (1 - errors) / 200)
    aligned = answers(errors, 200)
    assert "gain" in doubling(SIZES, aligned)


def test_errors_that_do_not_fall_are_refused():
    aligned = answers([0.1, 0.1, 0.1, 0.1, 0.1])
    assert "no trend" in doubling(SIZES, aligned)["refused"]

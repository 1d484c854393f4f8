"""SMOTE on features: imbalanced-learn's, joined to our tables."""

import numpy as np
import pytest

from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.features.smote import smote
from keras_transfer.features.store import Table

pytest.importorskip("imblearn")


def table(labels, weights=None):
    n = len(labels)
    features = np.arange(2 * n, dtype="float16").reshape(n, 2, 1)
    keys = [f"p{i}" for i in range(n)]
    weights = np.ones(n) if weights is None else weights
    samples = Samples.of(None, ("cat", "dog"), keys, labels, weights=weights)
    return Table([features], np.zeros(n, int), np.arange(n)), samples


def test_new_features_lie_on_the_line_between_two_of_their_class():
    """Dogs are (10, 11) and (12, 13): what is new is (10 + t, 11 + t) with 0 <= t <= 2."""
    features, samples = smote(*table([0] * 5 + [1] * 2, [1] * 5 + [2, 4]), seed=3)

    assert samples.counts().tolist() == [5, 5]
    rows = features.take(np.arange(10))
    np.testing.assert_array_equal(rows[:7].ravel(), np.arange(14))
    new = rows[7:, :, 0]
    assert np.all((new[:, 0] >= 10) & (new[:, 0] <= 12))
    np.testing.assert_allclose(new[:, 1], new[:, 0] + 1, atol=1e-5)
    assert samples.weights[7:].tolist() == [3, 3, 3]


def test_one_image_has_no_neighbour():
    with pytest.raises(BadData, match=r"at least; found:?\s+dog: 1"):
        smote(*table([0, 0, 0, 1]), seed=0)

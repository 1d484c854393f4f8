"""The cross-validated linear probe, against scikit-learn's own cross-validation."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_transfer.errors import BadData
from keras_transfer.learners.linear_probe import FOLDS, linear_probe


def drawn(n=90, channels=8, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return rng.normal(size=(n, channels)) + rng.normal(size=(classes, channels))[labels], labels


def predicted(features, labels, strength, folds):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
    return cross_val_predict(model, features, labels, cv=folds, method="predict_proba")


def folds_of(features, labels, families):
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    return [*splitter.split(features, labels, families)]


def test_predictions_are_those_of_cross_validation():
    features, labels = drawn()
    families = np.arange(len(labels))
    found = linear_probe(features, labels, families, strengths=(0.1,))

    expected = predicted(features, labels, 0.1, folds_of(features, labels, families))
    assert found.scores == pytest.approx(expected, abs=1e-6)
    assert found.decided.tolist() == expected.argmax(axis=1).tolist()
    assert found.strengths == (0.1,) * FOLDS


def test_the_strength_of_a_fold_is_the_best_on_the_other_folds():
    features, labels = drawn()
    families, strengths = np.arange(len(labels)), (1e-4, 1e-2, 1.0)
    folds = folds_of(features, labels, families)
    by_strength = [predicted(features, labels, strength, folds) for strength in strengths]
    found = linear_probe(features, labels, families, strengths=strengths)

    for (train, held), strength in zip(folds, found.strengths, strict=True):
        losses = [log_loss(labels[train], scores[train]) for scores in by_strength]
        best = int(np.argmin(losses))
        assert strength == strengths[best]
        assert found.scores[held] == pytest.approx(by_strength[best][held], abs=2e-3)


def test_a_family_is_in_one_fold():
    """Labels are random, and every image is there four times: only copies could be known."""
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(30, 40)), 4, axis=0)
    labels = np.repeat(np.arange(30) % 2, 4)
    families = np.repeat(np.arange(30), 4)

    honest = linear_probe(features, labels, families, strengths=(1.0,))
    copied = linear_probe(features, labels, np.arange(120), strengths=(1.0,))
    assert (copied.decided == labels).mean() > 0.95
    assert (honest.decided == labels).mean() < 0.75


def test_a_class_may_be_smaller_than_the_number_of_folds():
    features, labels = drawn(40)
    labels[:] = np.arange(40) % 2
    labels[:2] = 2
    found = linear_probe(features, labels, np.arange(40))

    assert found.scores.shape == (40, 3)
    assert found.scores.sum(axis=1) == pytest.approx(1)


def test_a_class_of_copies_of_one_image_is_refused():
    features, labels = drawn(30)
    with pytest.raises(BadData, match="two or more examples of every class"):
        linear_probe(features, labels, np.where(labels == 1, 0, np.arange(30) + 1))

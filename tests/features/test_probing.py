"""A lower precision of features is judged by what it changes for those who learn from them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import NearestNeighbors

from keras_transfer.features.probing import harmless, neighbour_agreement, probe_change

UNKNOWN = np.full(60, -1)


@pytest.fixture
def clusters():
    """(60, 8) features of three classes, far from zero, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return 20 + np.eye(8)[labels] * 4 + rng.normal(size=(60, 8)), labels


def test_the_probe_is_that_of_scikit_learn(clusters):
    exact, labels = clusters
    features = exact + np.random.default_rng(1).normal(size=exact.shape)

    found = probe_change(features, exact, labels)

    same, moved, rises = [], [], []
    for train, held in StratifiedKFold(5, shuffle=True, random_state=0).split(exact, labels):
        answers = []
        for rows in (features, exact):
            centred = rows - rows.mean(axis=0)
            model = LogisticRegression(C=10 / 8, max_iter=1000)
            model.fit(centred[train] / centred.std(), labels[train])
            answers.append(model.predict_proba(centred[held] / centred.std()))
        some, others = answers
        for row, (one, other) in zip(held, zip(some, others, strict=True), strict=True):
            same.append(one.argmax() == other.argmax())
            moved.append(max(abs(one[[0, 1, 2]] - other).sum() / 2, 0))
            rises.append(np.log(other[labels[row]] / one[labels[row]]))
    assert found.agreement == pytest.approx(np.mean(same))
    assert found.probability == pytest.approx(np.mean(moved), abs=1e-6)
    assert found.loss == pytest.approx(np.mean(rises), abs=1e-6)
    assert found.loss_error == pytest.approx(np.std(rises, ddof=1) / 60**0.5, abs=1e-6)


def test_equal_features_change_nothing(clusters):
    exact, labels = clusters

    assert probe_change(exact, exact, labels) == (1, 0, 0, 0)
    assert neighbour_agreement(exact, exact) == 1
    assert harmless(exact, exact, labels)
    assert harmless(exact, exact, UNKNOWN)


def test_a_small_error_where_the_classes_lie_is_refused(clusters):
    """Relative to the features it is 6 %, and the classes are gone."""
    exact, labels = clusters
    mixed = exact - np.eye(8)[labels] * 4

    assert np.linalg.norm(mixed - exact) / np.linalg.norm(exact) < 0.07
    assert not harmless(mixed, exact, labels)
    assert not harmless(mixed, exact, UNKNOWN)


def test_the_same_error_where_nothing_lies_is_not(clusters):
    """All features moved alike: no classifier with a bias could tell."""
    exact, labels = clusters

    assert harmless(exact + 1.3, exact, labels)
    assert harmless(exact + 1.3, exact, UNKNOWN)


def test_neighbours_are_those_of_scikit_learn(clusters):
    exact, _ = clusters
    features = exact + np.random.default_rng(1).normal(size=exact.shape)

    def nearest(rows):
        return NearestNeighbors(n_neighbors=2).fit(rows).kneighbors(rows)[1][:, 1]

    wanted = (nearest(features) == nearest(exact)).mean()
    assert neighbour_agreement(features, exact) == pytest.approx(wanted)


def test_maps_and_tokens_are_averaged(clusters):
    exact, labels = clusters
    maps = np.stack([exact - 1, exact + 1], axis=1)

    assert probe_change(maps.reshape(60, 2, 1, 8), exact, labels).probability < 1e-9
    assert neighbour_agreement(maps, exact) == 1


def test_classes_of_few_examples_are_left_out(clusters):
    """Four examples cannot lie in five folds; of one class alone neighbours decide."""
    exact, labels = clusters
    rare = np.where(np.arange(60) < 4, 7, labels)
    alone = np.where(labels == 0, 0, -1)

    assert harmless(exact, exact, rare)
    assert not harmless(np.roll(exact, 1, axis=0), exact, alone)


def test_a_few_examples_prove_nothing(clusters):
    """Of two, the nearest other one is always the same."""
    exact, _ = clusters

    assert not harmless(exact[:2], exact[:2], UNKNOWN[:2])
    assert not harmless(exact[:9], exact[:9], UNKNOWN[:9])
    assert harmless(exact[:10], exact[:10], UNKNOWN[:10])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(clusters, value):
    exact, labels = clusters
    features = exact.copy()
    features[3, 2] = value

    assert not harmless(features, exact, labels)
    assert not harmless(features, exact, UNKNOWN)

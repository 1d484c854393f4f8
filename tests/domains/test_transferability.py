"""Transferability scores, against numbers by hand, direct formulas and a published table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf

from keras_transfer.domains.transferability import (
    h_score,
    leep,
    log_me,
    nce,
    regularized_h_score,
    weighted_tau,
)

seeds = st.integers(0, 2**16)


def drawn(seed, n=40, channels=6, classes=3):
    """Features that tell classes apart a little, and the labels; every class occurs."""
    rng = np.random.default_rng(seed)
    labels = np.append(np.arange(classes), rng.integers(0, classes, n - classes))
    return rng.normal(size=(n, channels)) + rng.normal(size=(classes, channels))[labels], labels


def probabilities(seed, n=40, classes=5):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), n)


def maximum_evidence(features, targets):
    """Of one class, from the density of y ~ N(0, F F' / a + I / b) and a general optimizer."""
    n = len(targets)

    def negative(logs):
        a, b = np.exp(np.clip(logs, -30, 30))
        covariance = features @ features.T / a + np.eye(n) / b
        return -multivariate_normal(np.zeros(n), covariance).logpdf(targets) / n

    starts = [(a, b) for a in (-2.0, 2.0) for b in (0.0, 3.0)]
    return max(-minimize(negative, start, method="Nelder-Mead").fun for start in starts)


@pytest.mark.parametrize(("n", "channels"), [(30, 4), (12, 20)])
def test_log_me_is_the_maximum_of_the_evidence(n, channels):
    features, labels = drawn(n, n, channels)
    expected = np.mean([maximum_evidence(features, 1.0 * (labels == c)) for c in range(3)])

    # The small term that keeps a perfect fit finite is below the tolerance.
    assert log_me(features, labels) == pytest.approx(expected, abs=2e-4)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_log_me_does_not_depend_on_order_unit_or_rotation(seed):
    features, labels = drawn(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    score = log_me(features, labels)

    assert log_me(features[order], labels[order]) == pytest.approx(score, abs=1e-5)
    assert log_me(1000 * features, labels) == pytest.approx(score, abs=1e-5)
    assert log_me(features @ rotation, labels) == pytest.approx(score, abs=1e-5)
    assert log_me(features, (labels + 1) % 3) == pytest.approx(score, abs=1e-5)


def test_log_me_rises_with_what_the_features_tell():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    noise = rng.normal(size=(200, 8))
    scores = [log_me(noise + far * np.eye(4, 8)[labels], labels) for far in (0, 0.5, 1, 2, 4)]

    assert scores == sorted(scores)
    assert np.isfinite(log_me(np.eye(4)[labels], labels))  # a perfect fit


def test_h_score_by_hand():
    """Values 0, 2 of class 0 and 4, 6 of class 1: variance between 4, in all 5."""
    assert h_score(np.array([[0.0], [2], [4], [6]]), np.array([0, 0, 1, 1])) == pytest.approx(4 / 5)


def direct_h_score(features, labels, inverse, covariance):
    means = np.stack([features[labels == label].mean(axis=0) for label in labels])
    return np.trace(inverse(covariance(features)) @ covariance(means))


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_h_score_is_its_formula_and_invariant_under_invertible_maps(seed):
    features, labels = drawn(seed)
    rng = np.random.default_rng(seed)
    mixed = features @ (rng.normal(size=(6, 6)) + 6 * np.eye(6)) + rng.normal(size=6)
    order = rng.permutation(len(labels))
    score = h_score(features, labels)
    expected = direct_h_score(features, labels, np.linalg.pinv, lambda x: np.cov(x, rowvar=False))

    assert score == pytest.approx(expected)
    assert 0 <= score <= 2 + 1e-9
    assert h_score(mixed, labels) == pytest.approx(score)
    assert h_score(features[order], labels[order]) == pytest.approx(score)


def test_h_score_of_few_examples_is_full_but_the_regularized_one_is_not():
    noise = np.random.default_rng(0).normal(size=(12, 50))
    labels = np.arange(12) % 3
    assert h_score(noise, labels) == pytest.approx(2)
    assert regularized_h_score(noise, labels) < 1


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([4, 60]))
def test_regularized_h_score_is_its_formula(seed, channels):
    features, labels = drawn(seed, channels=channels)
    fitted = LedoitWolf().fit(features)
    between = direct_h_score(
        features, labels, lambda _: np.eye(channels), lambda x: np.cov(x, rowvar=False, ddof=0)
    )
    assert between > 0
    means = np.stack([features[labels == label].mean(axis=0) for label in labels])
    shrunk = (1 - fitted.shrinkage_) * np.cov(means, rowvar=False, ddof=0)
    expected = np.trace(np.linalg.inv(fitted.covariance_) @ shrunk)

    assert regularized_h_score(features, labels) == pytest.approx(expected)


def test_leep_and_nce_by_hand():
    """Two examples of class 0, one of class 1; the source classes are a and b.

    p(0, a) = (0.8 + 0.6) / 3, p(1, a) = 0.1 / 3, so p(0 | a) = 14/15 and p(0 | b) = 6/15.
    """
    source = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    labels = np.array([0, 0, 1])
    of_a, of_b = 14 / 15, 6 / 15
    expected = [0.8 * of_a + 0.2 * of_b, 0.6 * of_a + 0.4 * of_b, 0.1 / 15 + 0.9 * 9 / 15]

    assert leep(source, labels) == pytest.approx(np.log(expected).mean())
    assert nce(source, labels) == 0  # a is always 0, b is always 1
    # Source class a has classes 0, 0 and 1; H(Y | Z) = 3/4 H(1/3).
    certain = np.eye(2)[[0, 0, 0, 1]]
    entropy = -(np.log(1 / 3) / 3 + np.log(2 / 3) * 2 / 3) * 3 / 4
    assert nce(certain, np.array([0, 0, 1, 1])) == pytest.approx(-entropy)


def direct_leep(source, labels):
    n, total = len(labels), 0.0
    for i in range(n):
        likelihood = 0.0
        for z in range(source.shape[1]):
            joint = sum(source[j, z] for j in range(n) if labels[j] == labels[i]) / n
            likelihood += joint / (source[:, z].sum() / n) * source[i, z]
        total += np.log(likelihood)
    return total / n


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_laws_of_leep_and_nce(seed):
    source, (_, labels) = probabilities(seed), drawn(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    hard = np.eye(5)[source.argmax(axis=1)]

    assert leep(source, labels) == pytest.approx(direct_leep(source, labels))
    assert leep(source, labels) <= 0
    assert nce(source, labels) <= 0
    assert leep(source[order], labels[order]) == pytest.approx(leep(source, labels))
    # A classifier that is certain has one and the same score by both.
    assert leep(hard, labels) == pytest.approx(nce(source, labels))
    # Labels that the source class determines.
    assert nce(source, source.argmax(axis=1) % 3) == pytest.approx(0)
    # Independent of the labels: nothing but their entropy is left.
    shares = np.bincount(labels) / len(labels)
    same = np.tile(source[:1], (len(labels), 1))
    assert leep(same, labels) == pytest.approx((shares * np.log(shares)).sum())


# Ten ImageNet networks on CIFAR-10: accuracy after fine-tuning, and scores as published with the
# Transfer Learning Library (thuml/Transfer-Learning-Library, examples/model_selection/README.md).
ACCURACY = [96.2, 97.5, 96.8, 97.7, 97.9, 97.2, 97.4, 97.4, 95.7, 96.8]
PUBLISHED = {
    "H-score": ([5.911, 6.363, 6.567, 6.901, 6.945, 6.210, 6.547, 6.706, 5.928, 6.018], 0.800),
    "LEEP": (
        [-1.385, -1.259, -1.010, -0.829, -0.838, -1.035, -0.934, -0.888, -1.100, -1.066],
        0.638,
    ),
    "LogME": ([0.293, 0.349, 0.388, 0.463, 0.469, 0.302, 0.343, 0.369, 0.291, 0.304], 0.785),
    "NCE": (
        [-1.139, -1.060, -1.007, -0.838, -0.851, -1.006, -0.946, -0.866, -1.089, -1.086],
        0.714,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_weighted_tau_of_a_published_table(name):
    scores, tau = PUBLISHED[name]
    assert weighted_tau(ACCURACY, scores) == pytest.approx(tau, abs=6e-4)


def test_weighted_tau_of_one_network_is_not_defined():
    assert np.isnan(weighted_tau([0.9], [1.0]))

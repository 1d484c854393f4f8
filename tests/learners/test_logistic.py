"""The solved linear head against scikit-learn's own pipeline, and how C is chosen."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from keras_transfer.learners import examples as examples_module
from keras_transfer.learners.examples import Examples, folds
from keras_transfer.learners.logistic import FALLBACK, GRID, fit_logistic


def points(n=120, channels=6, classes=3, seed=0):
    """Features of different location and scale, noisy labels, weights."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, channels))
    features = (z * rng.uniform(0.1, 9, channels) + 5 * rng.normal(size=channels)).astype("float32")
    noise = rng.gumbel(size=(n, classes))
    labels = (2 * z @ rng.normal(size=(channels, classes)) + noise).argmax(axis=1)
    return Examples(features[None], labels, rng.uniform(0.5, 2, n), np.arange(n))


def probabilities(head, features):
    return softmax(features.astype("float64") @ head.kernel + head.bias, axis=1)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_solution_is_that_of_scikit_learn_on_standardised_features(classes):
    examples = points(classes=classes)
    (features,), labels, weights, _ = examples

    head = fit_logistic(examples, classes, seed=0)

    scaler = StandardScaler().fit(features.astype("float64"), sample_weight=weights)
    scaled = scaler.transform(features.astype("float64"))
    reference = LogisticRegression(C=head.c, tol=1e-10, max_iter=10_000)
    reference.fit(scaled, labels, sample_weight=weights)
    wanted = reference.predict_proba(scaled)
    assert head.converged
    assert (head.kernel.dtype, head.bias.dtype) == ("float32", "float32")
    assert probabilities(head, features) == pytest.approx(wanted, abs=5e-4)


def test_other_examples_choose_c_where_they_are_given():
    """The value of the grid whose loss on them is the lowest, by scikit-learn alone."""
    examples, held = points(n=40), points(n=200).take(np.arange(40, 200))
    head = fit_logistic(examples, 3, seed=0, held=held)

    scaler = StandardScaler()
    scaler.fit(examples.features[0].astype("float64"), sample_weight=examples.weights)
    losses = {}
    for c in GRID:
        model = LogisticRegression(C=c, tol=1e-8, max_iter=10_000)
        model.fit(
            scaler.transform(examples.features[0]), examples.labels, sample_weight=examples.weights
        )
        shares = model.predict_proba(scaler.transform(held.features[0]))
        losses[c] = log_loss(held.labels, shares, sample_weight=held.weights)
    assert head.c == min(losses, key=losses.get)
    assert head.log_loss == pytest.approx(losses[head.c], rel=1e-3)
    assert head.folds == 1


def test_weights_count_as_repetitions():
    """An example of weight 2 is two equal examples, as in a bootstrap sample."""
    examples = points(n=60)
    times = np.random.default_rng(1).integers(1, 4, 60)
    rows = np.repeat(np.arange(60), times)

    weighted = fit_logistic(examples._replace(weights=times.astype(float)), 3, seed=0)
    repeated = fit_logistic(
        examples.take(rows)._replace(weights=np.ones(len(rows)), families=rows), 3, seed=0
    )

    features = examples.features[0]
    # Folds are dealt otherwise, so C may differ by a step.
    assert np.abs(np.log10(weighted.c / repeated.c)) <= 0.51
    if weighted.c == repeated.c:
        assert probabilities(weighted, features) == pytest.approx(
            probabilities(repeated, features), abs=1e-3
        )


def test_c_has_the_lowest_log_loss_on_held_out_examples():
    """The chosen C against all others, by folds of the same examples and the plain classes."""
    examples = points(n=90, channels=40)
    (features,), _, weights, families = examples
    scaled = StandardScaler().fit(features, sample_weight=weights).transform(features)
    parts = [*folds(examples._replace(features=scaled[None]), 0)]
    assert sorted(np.concatenate([held.families for _, held in parts])) == [*families]

    def loss(c):
        total = 0.0
        for train, held in parts:
            model = LogisticRegression(C=c, tol=1e-8, max_iter=5000)
            model.fit(train.features[0], train.labels, sample_weight=train.weights)
            found = model.predict_log_proba(held.features[0])
            total -= held.weights @ found[np.arange(len(found)), held.labels]
        return total / weights.sum()

    head = fit_logistic(examples, 3, seed=0)

    losses = {c: loss(c) for c in GRID}
    assert head.c == min(losses, key=losses.get)
    assert head.log_loss == pytest.approx(losses[head.c], rel=1e-3)
    assert head.folds == 5


def test_examples_of_a_family_stay_in_one_fold():
    examples = points(n=60)._replace(families=np.arange(60) // 3)

    for train, held in folds(examples, 0):
        assert not {*train.families} & {*held.families}
        assert {*held.labels} <= {*train.labels}


def test_a_class_with_one_example_is_learnt_and_never_judged():
    examples = points(n=40)
    labels = np.array([0, 1] * 20)
    labels[7] = 2
    examples = examples._replace(labels=labels)

    for train, held in folds(examples, 0):
        assert 2 not in held.labels
        assert len(train.labels) + len(held.labels) <= 40
    head = fit_logistic(examples, 3, seed=0)
    assert head.log_loss is not None
    assert np.isfinite(head.kernel).all()


def test_with_one_example_of_each_class_c_is_the_stated_fallback():
    examples = points(n=3)._replace(labels=np.arange(3), weights=np.ones(3))

    head = fit_logistic(examples, 3, seed=0)

    assert (head.c, head.log_loss, head.folds) == (FALLBACK, None, 0)
    assert (probabilities(head, examples.features[0]).argmax(axis=1) == np.arange(3)).all()


def test_few_examples_of_each_class_make_fewer_folds():
    labels = np.arange(9) % 3
    assert len([*folds(points(n=9)._replace(labels=labels), 0)]) == 3


def test_a_class_without_examples_has_almost_no_probability():
    examples = points(classes=2)

    head = fit_logistic(examples, 4, seed=0)

    assert probabilities(head, examples.features[0])[:, 2:].max() < 1e-8


def test_views_are_further_rows_and_only_the_clean_one_is_held_out():
    examples = points(n=30)
    noise = np.random.default_rng(3).normal(size=examples.features.shape).astype("float32")
    views = examples._replace(features=np.concatenate([examples.features, noise]))

    assert all(held.features.shape[0] == 2 for _, held in folds(views, 0))
    plain, twice = (
        fit_logistic(given, 3, seed=0)
        for given in (examples, views._replace(features=np.tile(examples.features, (2, 1, 1))))
    )
    # The same view twice is the same problem.
    assert twice.c == plain.c
    assert twice.log_loss == pytest.approx(plain.log_loss, rel=1e-3)
    assert twice.kernel == pytest.approx(plain.kernel, abs=1e-3)


def test_many_examples_choose_c_by_some_of_them(monkeypatch):
    monkeypatch.setattr(examples_module, "MAX_ROWS", 60)

    head = fit_logistic(points(), 3, seed=0)

    assert head.rows == 60
    assert head.folds == 5


def test_a_channel_of_rounding_gets_no_weight():
    """Of MiniLM's 384 channels one is -1.2e-7, with a deviation of 4e-9: a weight of millions."""
    examples = points(n=200, channels=6)
    noise = np.random.default_rng(3).integers(0, 2, (1, 200, 1)) * np.float32(4e-9) - 1.2e-7
    with_dead = examples._replace(
        features=np.concatenate([examples.features, noise.astype("float32")], axis=2)
    )

    alone, head = (fit_logistic(given, 3, seed=0) for given in (examples, with_dead))

    assert np.abs(head.kernel[-1]).max() < 1e-3
    assert head.kernel[:-1] == pytest.approx(alone.kernel, rel=1e-3, abs=1e-4)

"""Adapted features as layers of a network, against the estimators and scikit-learn."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler, normalize

from keras_transfer.domains import subspaces, tca, weighting
from keras_transfer.errors import BadData, CheckFailed
from keras_transfer.learners import transforms
from keras_transfer.learners.examples import Examples
from keras_transfer.learners.fitting import fit_learner
from keras_transfer.learners.heads import TransformedHead
from keras_transfer.learners.table import LEARNERS
from keras_transfer.learners.transforms import adapt, with_target
from keras_transfer.workflows.learner_heads import learner_logits, mapped

CHANNELS = 6
MAPS = {
    "tca": lambda: tca.TCA(4),
    "tca_any_length": lambda: tca.TCA(4, normalize=False),
    "jda": lambda: tca.JDA(4),
    "coral": subspaces.CORAL,
    "subspace_alignment": lambda: subspaces.SubspaceAlignment(4),
    "domain_standardization": subspaces.PerDomainStandardization,
}
STANDARDIZED = ("subspace_alignment",)
"""Others scale features themselves."""
FEW = {
    "random_forest": {"n_estimators": 5, "min_samples_leaf": 2},
    "gradient_boosting": {"max_iter": 5, "learning_rate": 0.1},
}


def points(n=60, classes=3, seed=0, shift=0.0, scale=1.0):
    """Features of several scales, all of which a domain may shift and scale."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    means = np.random.default_rng(9).normal(size=(classes, CHANNELS))
    features = 2 * means[labels] + rng.normal(size=(n, CHANNELS))
    scales = 10.0 ** np.arange(-2, CHANNELS - 2)
    features = scale * (features + shift) * scales
    return Examples(features[None].astype("float32"), labels, np.ones(n), np.arange(n))


def target(n=50, seed=1):
    return points(n, seed=seed, shift=3.0, scale=1.7)


def graph(outputs_of):
    """A function of features, traced for an unknown number of examples."""
    given = keras.Input((CHANNELS,))
    model = keras.Model(given, outputs_of(given))
    spec = tf.TensorSpec([None, CHANNELS], tf.float32)
    traced = tf.function(model, input_signature=[spec])
    return lambda features: traced(features).numpy()


@pytest.mark.parametrize("name", MAPS)
def test_the_graph_does_to_new_target_rows_what_the_estimator_does(name):
    source, new = points(), target(seed=7).features[0]
    estimator = MAPS[name]()
    adapted = adapt(estimator, source, target().features[0])
    scaler = StandardScaler().fit(source.features[0].astype("float64"))
    wanted = estimator.transform(scaler.transform(new) if name in STANDARDIZED else new)
    found = graph(lambda features: mapped(adapted.map, features))(new)

    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-5 * np.abs(wanted).max())


def test_rows_of_zeros_stay_zeros_where_lengths_are_made_equal():
    adapted = adapt(tca.JDA(4), points(), target().features[0])
    zeros = np.zeros((2, CHANNELS), "float32")

    assert graph(lambda features: mapped(adapted.map, features))(zeros) == pytest.approx(0)


def test_blocks_of_several_networks_have_equal_lengths_before_rows_are_scaled():
    source = points()
    adapted = adapt(tca.TCA(3), source, target().features[0], blocks=[4, 2])
    scale = adapted.map.standard.scale
    rows = source.features[0] / scale

    assert [len(set(scale[:4])), len(set(scale[4:]))] == [1, 1]
    for part in (rows[:, :4], rows[:, 4:]):
        assert (part**2).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
    new = target(seed=7).features[0]
    wanted = normalize(new / scale) @ adapted.map.kernel
    assert graph(lambda x: mapped(adapted.map, x))(new) == pytest.approx(wanted, abs=1e-5)


def test_source_and_target_have_the_same_means_and_scales_after_coral():
    source, other = points(), target()
    adapted = adapt(subspaces.CORAL(), source, other.features[0])

    moved, stays = adapted.examples.features[0].astype(float), other.features[0].astype(float)
    assert adapted.target == pytest.approx(stays)
    spread = stays.std(axis=0)
    assert moved.mean(axis=0) / spread == pytest.approx(stays.mean(axis=0) / spread, abs=1e-4)
    assert moved.std(axis=0) / spread == pytest.approx(np.ones(CHANNELS), abs=0.2)


def test_a_shifted_and_scaled_copy_is_won_back_by_standardization():
    """By construction: after it the copy is the source itself."""
    source = points()
    copied = source.features[0] * np.float32(1.7) + np.float32(4.0) * source.features[0].std(axis=0)
    adapted = adapt(subspaces.PerDomainStandardization(), source, copied)
    head = TransformedHead(adapted.map, fit_learner("lda", {}, adapted.examples, 3, 0).head)
    plain = fit_learner("lda", {}, source, 3, 0).head

    found = [
        (graph(lambda x, one=one: learner_logits(one, x))(copied).argmax(1) == source.labels).mean()
        for one in (plain, head)
    ]
    assert found[0] < 0.7 < 0.95 < found[1]
    assert adapted.target == pytest.approx(adapted.examples.features[0], abs=1e-4)


@pytest.mark.parametrize("name", list(LEARNERS))
def test_every_learner_stands_behind_a_transform(name):
    """The graph on plain rows answers as that of the learner alone on transformed rows."""
    adapted = adapt(tca.JDA(4), points(), target().features[0])
    head = fit_learner(name, FEW.get(name, {}), adapted.examples, 3, 0).head
    both = graph(lambda features: learner_logits(TransformedHead(adapted.map, head), features))
    given = keras.Input(adapted.target.shape[1:])
    alone = keras.Model(given, learner_logits(head, given))

    found = softmax(both(target().features[0]), axis=1)
    assert found == pytest.approx(softmax(alone(adapted.target).numpy(), axis=1), abs=1e-4)


def test_all_views_are_transformed_by_what_the_clean_one_taught():
    source = points()
    views = source._replace(features=np.concatenate([source.features, points(seed=2).features]))
    one, two = (adapt(tca.TCA(3), each, target().features[0]) for each in (source, views))

    assert two.examples.features.shape == (2, 60, 3)
    assert np.array_equal(two.examples.features[:1], one.examples.features)
    assert np.array_equal(two.examples.features[1], one.source(points(seed=2).features[0]))


@pytest.mark.parametrize("estimator", [weighting.KMM(), weighting.KLIEP()])
def test_weights_are_factors_of_those_of_the_data(estimator):
    """Half of the source lies where the target is; a learner of scikit-learn gets their product."""
    near, far = points(60), points(60, seed=3, shift=30.0)
    both = Examples(
        np.concatenate([near.features, far.features], axis=1),
        np.concatenate([near.labels, far.labels]),
        np.repeat([1.0, 2.0], [90, 30]),
        np.arange(120),
    )
    adapted = adapt(estimator, both, points(seed=4).features[0])
    used = adapted.examples

    assert adapted.weights.mean() == pytest.approx(1)
    assert adapted.weights[:60].sum() > 0.99 * adapted.weights.sum()
    kept = adapted.weights > transforms.LIGHTEST
    assert used.weights == pytest.approx((adapted.weights * both.weights)[kept])
    assert used.features[0] == pytest.approx(both.features[0][kept])
    assert adapted.effective == pytest.approx(used.weights.sum() ** 2 / (used.weights**2).sum())
    scaler = StandardScaler().fit(used.features[0], sample_weight=used.weights)
    fitted = fit_learner("logistic_regression", {"C": 0.5}, used, 3, 0)
    wanted = LogisticRegression(C=0.5, max_iter=1000).fit(
        scaler.transform(used.features[0]), used.labels, used.weights
    )
    new = points(seed=5).features[0]
    found = softmax(graph(lambda x: learner_logits(fitted.head, x))(new), axis=1)
    assert found == pytest.approx(wanted.predict_proba(scaler.transform(new)), abs=1e-3)


def test_weights_that_leave_one_class_are_refused():
    source = points(60, classes=2)
    away = np.where(source.labels[:, None] == 1, 1e4, 0) * np.ones(CHANNELS)
    moved = source._replace(features=(source.features + away).astype("float32"))
    few = points(40, classes=2, seed=2).take(np.arange(0, 40, 2)).features[0]
    with pytest.raises(BadData, match="all of one class"):
        adapt(weighting.KLIEP([0.3]), moved, few)


def test_labelled_target_examples_weigh_as_much_as_those_of_the_source():
    source = points()._replace(weights=np.linspace(1, 3, 60))
    source = source._replace(features=np.tile(source.features, (2, 1, 1)))
    more = target(9)
    joined = with_target(source, more.features[0], more.labels, np.zeros(9, int))

    assert joined.features.shape == (2, 69, CHANNELS)
    assert joined.features[1, 60:] == pytest.approx(more.features[0])
    assert joined.weights[60:].tolist() == pytest.approx([2.0] * 9)
    assert joined.families[60:].tolist() == [60] * 9


def test_matrices_that_do_not_fit_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr(transforms, "fits", lambda size: size < 40 * 60**2)
    with pytest.raises(CheckFailed, match="KMM needs 0 GB of memory for 60 source examples"):
        adapt(weighting.KMM(), points(), target().features[0])
    assert adapt(subspaces.CORAL(), points(), target().features[0]).weights is None

"""Learners as layers, against scikit-learn's own answers; their parameters and refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from keras_transfer.config.groups import Learner
from keras_transfer.config.learner_checks import WITHOUT_WEIGHTS
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.learners import trees
from keras_transfer.learners.calibration import calibrate
from keras_transfer.learners.discriminant import ShrunkLDA
from keras_transfer.learners.examples import Examples, folds
from keras_transfer.learners.fitting import check_parameters, fit_learner
from keras_transfer.learners.mixing import mixing_weights
from keras_transfer.learners.svm import RbfSVM
from keras_transfer.learners.table import LEARNERS
from keras_transfer.workflows.learner_heads import learner_logits

# Small models: what is tested is that layers answer as scikit-learn does.
FEW = {
    "random_forest": {"n_estimators": 9, "min_samples_leaf": 2},
    "gradient_boosting": {"max_iter": 7, "learning_rate": 0.1},
}
MARGINS = ("linear_svm", "svm", "nearest_mean")


def points(classes, n=90, channels=6, seed=0, noise=1.5):
    """Features of several scales, of classes that overlap."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    features = rng.normal(size=(classes, channels))[labels] + noise * rng.normal(size=(n, channels))
    scales = 10.0 ** np.arange(-2, channels - 2)
    return Examples((features * scales)[None].astype("float32"), labels, np.ones(n), np.arange(n))


def answers(head, features, classes):
    """(n, classes) logits of the layers, saved and loaded, in a graph of unknown batch size."""
    given = keras.Input(features.shape[1:])
    model = keras.Model(given, learner_logits(head, given))
    spec = tf.TensorSpec([None, features.shape[1]], tf.float32)
    logits = tf.function(model, input_signature=[spec])(features).numpy()
    assert logits.shape == (len(features), classes)
    return logits


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", list(LEARNERS))
def test_layers_answer_as_scikit_learn_does(name, classes):
    """Fitted by scikit-learn once more, with the value that was chosen."""
    examples, row = points(classes), LEARNERS[name]
    fitted = fit_learner(name, FEW.get(name, {}), examples, classes, seed=3)
    (features,) = examples.features
    new = points(classes, seed=1).features[0]
    chosen = {fitted.parameter: fitted.value} if fitted.parameter else {}
    seed = {"random_state": 3} if row.seeded else {}
    scaler = StandardScaler().fit(features) if row.standardized else None
    known, asked = (scaler.transform(x) if scaler else x for x in (features, new))
    model = row.make(**FEW.get(name, {}), **chosen, **seed)
    weights = {"sample_weight": np.ones(90)} if row.weighted else {}
    model.fit(known, examples.labels, **weights)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=chosen.get("shrinkage"))
    oracle.fit(known, examples.labels)
    found = answers(fitted.head, new, classes)

    if name in MARGINS:  # calibrated: one slope for all classes, and a shift for each
        values = row.logits(model, asked, classes)
        slope = found[:, 0].std() / values[:, 0].std()
        shifts = found - slope * values
        assert slope > 0
        assert shifts == pytest.approx(np.tile(shifts.mean(axis=0), (90, 1)), abs=5e-3)
    else:
        model = oracle if name == "lda" else model
        assert softmax(found, axis=1) == pytest.approx(model.predict_proba(asked), abs=2e-4)


@pytest.mark.parametrize("name", list(LEARNERS))
def test_a_class_without_examples_is_never_answered(name):
    fitted = fit_learner(name, FEW.get(name, {}), points(3), 5, seed=0)
    found = softmax(answers(fitted.head, points(3).features[0], 5), axis=1)

    assert found[:, 3:].max() < 1e-6
    assert found[:, :3].argmax(1).tolist() != [0] * 90


@pytest.mark.parametrize("name", ["svm", "knn", "random_forest"])
def test_a_model_is_read_back_from_its_file(name, tmp_path):
    fitted = fit_learner(name, FEW.get(name, {}), points(3), 3, seed=0)
    given = keras.Input((6,))
    keras.Model(given, learner_logits(fitted.head, given)).save(tmp_path / "model.keras")
    (features,) = points(3).features

    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded(features).numpy() == pytest.approx(answers(fitted.head, features, 3), abs=1e-5)


def test_one_against_the_rest_is_that_of_scikit_learn():
    examples = points(3)
    features = StandardScaler().fit_transform(examples.features[0])
    found = RbfSVM(C=3.0).fit(features, examples.labels, np.ones(90))
    wanted = OneVsRestClassifier(SVC(C=3.0)).fit(features, examples.labels)

    new = np.random.default_rng(1).normal(size=(50, 6))
    assert found.decision_function(new) == pytest.approx(wanted.decision_function(new), abs=1e-3)
    two = examples.labels % 2
    found = RbfSVM(gamma=0.3).fit(features, two, np.ones(90))
    wanted = SVC(gamma=0.3).fit(features, two)
    assert found.decision_function(new) == pytest.approx(wanted.decision_function(new), abs=1e-3)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("channels", [6, 200])
def test_discriminant_analysis_is_that_of_scikit_learn(classes, channels):
    """With fewer and with more examples than channels."""
    rng = np.random.default_rng(0)
    labels = np.arange(70) % classes * (np.arange(70) > 9)  # the first class is the largest
    features = rng.normal(size=(70, channels)) + rng.normal(size=(classes, channels))[labels]
    found = ShrunkLDA(0.3).fit(features, labels)
    wanted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(features, labels)

    assert found.coef_ == pytest.approx(wanted.coef_, abs=1e-8)
    assert found.intercept_ == pytest.approx(wanted.intercept_, abs=1e-8)


@pytest.mark.parametrize("name", [name for name in LEARNERS if LEARNERS[name].weighted])
def test_weights_count(name):
    """Of two overlapping classes the one with all the weight is answered everywhere."""
    examples = points(2, noise=5.0)
    heavy = examples._replace(weights=np.where(examples.labels == 1, 1.0, 1e-4))
    fitted = fit_learner(name, FEW.get(name, {}), heavy, 2, seed=0)

    found = answers(fitted.head, points(2, seed=1, noise=5.0).features[0], 2).argmax(1)
    assert found.mean() > 0.8


def test_learners_without_weights_are_those_of_the_table():
    assert set(WITHOUT_WEIGHTS) == {name for name in LEARNERS if not LEARNERS[name].weighted}


def test_the_names_of_settings_are_those_of_the_table():
    assert set(Learner.model_fields["name"].annotation.__args__) == set(LEARNERS)


def test_the_number_of_neighbors_has_the_highest_accuracy_on_held_out_examples():
    examples = points(3, n=150)
    fitted = fit_learner("knn", {}, examples, 3, seed=5)
    features = StandardScaler().fit_transform(examples.features[0]).astype("float32")
    scaled = examples._replace(features=features[None])

    def accuracy(k):
        right = []
        for train, held in folds(scaled, 5):
            model = KNeighborsClassifier(k).fit(train.features[0], train.labels)
            right += [*(model.predict(held.features[0]) == held.labels)]
        return np.mean(right)

    scores = {k: accuracy(k) for k in LEARNERS["knn"].grid}
    best = max(scores.values())
    assert fitted.score == pytest.approx(best)
    assert fitted.value == next(k for k, score in scores.items() if score == best)  # the simplest


def test_a_parameter_that_is_given_is_not_searched():
    fitted = fit_learner("knn", {"n_neighbors": 4}, points(3), 3, seed=0)

    assert (fitted.parameter, fitted.head.k) == ("", 4)


def test_one_example_of_each_class_leaves_the_middle_of_the_grid():
    examples = points(3, n=3)
    fitted = fit_learner("logistic_regression", {}, examples, 3, seed=0)

    assert (fitted.folds, fitted.score, fitted.value) == (0, None, 0.01)


def test_the_same_seed_gives_the_same_trees_and_another_others():
    heads = [
        fit_learner("random_forest", FEW["random_forest"], points(3), 3, seed=seed).head
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(heads[0].threshold, heads[1].threshold)
    assert not np.array_equal(heads[0].threshold, heads[2].threshold)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6, width=32))
def test_rounded_thresholds_compare_alike(threshold, value):
    (rounded,) = trees._rounded_down(np.array([threshold]))

    for number in (np.float32(value), np.float32(threshold), rounded):
        assert (number <= rounded) == (float(number) <= threshold)


def test_calibration_of_two_classes_is_platts_sigmoid():
    rng = np.random.default_rng(0)
    decisions = rng.normal(size=400)
    labels = (rng.uniform(size=400) < 1 / (1 + np.exp(-(2 * decisions - 0.5)))).astype(int)
    wanted = LogisticRegression(C=1e6).fit(decisions[:, None], labels)

    slope, shift = calibrate(np.stack([-decisions, decisions], 1) / 2, labels, np.ones(400))
    assert slope == pytest.approx(wanted.coef_[0, 0], rel=0.03)
    assert shift[1] - shift[0] == pytest.approx(wanted.intercept_[0], abs=0.03)


def test_calibration_undoes_a_scale():
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(3000, 4))
    probabilities = softmax(logits, axis=1)
    labels = np.array([rng.choice(4, p=row) for row in probabilities])
    slope, shift = calibrate(10 * logits, labels, np.ones(3000))

    assert slope == pytest.approx(0.1, rel=0.05)
    assert shift == pytest.approx(np.zeros(4), abs=0.15)
    after = softmax(slope * 10 * logits + shift, axis=1)
    assert log_loss(labels, after) <= log_loss(labels, probabilities) + 0.002


def test_weights_of_a_mean_have_the_lowest_log_loss():
    """Against a grid; of one classifier that knows nothing the weight is 0."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    good = softmax(2 * np.eye(3)[labels] + rng.normal(size=(300, 3)), axis=1)
    other = softmax(2 * np.eye(3)[labels] + 1.5 * rng.normal(size=(300, 3)), axis=1)

    def loss(share):
        return log_loss(labels, share * good + (1 - share) * other)

    weights = mixing_weights([good, other], labels)
    grid = np.linspace(0, 1, 201)
    assert weights[0] == pytest.approx(grid[np.argmin([loss(x) for x in grid])], abs=0.01)
    assert weights.sum() == pytest.approx(1)
    perfect, guess = np.eye(3)[labels], np.full((300, 3), 1 / 3)
    assert mixing_weights([perfect, guess], labels) == pytest.approx([1, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        ("svm", {"c": 1}, UnknownName, "parameter of svm.*C"),
        ("svm", {"C": -1}, BadConfiguration, "learner.parameters, for svm: .*'C'"),
        ("knn", {"metric": "cosine"}, UnknownName, "n_neighbors"),
        ("random_forest", {"random_state": 1}, BadConfiguration, "seed"),
        ("linear_svm", {"class_weight": "balanced"}, BadConfiguration, "imbalance"),
        ("lda", {"solver": "svd"}, UnknownName, "shrinkage"),
        ("lda", {"shrinkage": 0}, BadConfiguration, "above 0 and at most 1"),
        ("gradient_boosting", {"max_iter": "ten"}, BadConfiguration, "max_iter"),
    ],
)
def test_refusals(name, parameters, error, message):
    with pytest.raises(error, match=message):
        check_parameters(name, parameters)


def test_every_learner_takes_its_defaults():
    for name in LEARNERS:
        check_parameters(name, {})

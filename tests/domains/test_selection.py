"""Criteria without target labels, against numbers by hand, direct formulas and known densities."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.neighbors import KNeighborsClassifier

from keras_transfer.domains.accuracy_estimates import mean_entropy
from keras_transfer.domains.criterion_names import CRITERION_NAMES
from keras_transfer.domains.density_ratio import density_ratios
from keras_transfer.domains.selection import (
    CRITERIA,
    Evidence,
    deep_embedded_risk,
    reverse_validation,
)
from keras_transfer.errors import BadData, CheckFailed, UnknownName

seeds = st.integers(0, 2**16)
OF_TARGET = ("information_maximization", "entropy", "soft_neighborhood_density")
OF_FEATURES = ("importance_weighted", "deep_embedded", "reverse_validation")


def column(*values):
    return np.array(values, float)[:, None]


def sure(*values):
    """Two classes, the first with these probabilities."""
    return np.concatenate([column(*values), 1 - column(*values)], axis=1)


def on_target(table):
    """Evidence for criteria that read the target's probabilities only."""
    return Evidence(column(), sure(), np.array([], int), column(), np.asarray(table))


def drawn(seed, n=30, classes=4):
    return softmax(2 * np.random.default_rng(seed).normal(size=(n, classes)), axis=1)


def test_the_table_has_the_names():
    assert tuple(CRITERIA) == CRITERION_NAMES
    with pytest.raises(UnknownName, match=r"No criterion is called 'entrpy'.*'entropy'"):
        CRITERIA["entrpy"]


def test_the_names_need_no_library():
    heavy = "{'tensorflow', 'keras', 'sklearn', 'scipy'}"
    imported = "import sys; import keras_transfer.domains.criterion_names"
    check = f"{imported}; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Predictions of the target.


def test_entropy_and_information_by_hand():
    """Rows (1, 0) and (1/2, 1/2): mean entropy log(2) / 2; their mean is (3/4, 1/4)."""
    evidence = on_target(sure(1, 0.5))

    assert CRITERIA["entropy"](evidence) == pytest.approx(-np.log(2) / 2)
    of_mean = 0.75 * np.log(4 / 3) + 0.25 * np.log(4)
    information = CRITERIA["information_maximization"](evidence)
    assert information == pytest.approx(of_mean - np.log(2) / 2)
    # Certain, and all classes in use: the most there is; one class for all: nothing.
    assert CRITERIA["information_maximization"](on_target(np.eye(3))) == pytest.approx(np.log(3))
    assert CRITERIA["information_maximization"](on_target(sure(1, 1, 1))) == 0


def test_soft_neighborhood_density_by_hand():
    """Of three rows two are equal: for these, similarities 20 and 0; for the third, 0 and 0."""
    near = 1 / (1 + np.exp(-20))
    pair = -near * np.log(near) - (1 - near) * np.log(1 - near)

    value = CRITERIA["soft_neighborhood_density"](on_target(sure(1, 1, 0)))
    assert value == pytest.approx((2 * pair + np.log(2)) / 3)
    # One neighbour each.
    assert CRITERIA["soft_neighborhood_density"](on_target(sure(1, 0.2))) == pytest.approx(0)


def direct_density(table):
    total = 0.0
    for i, first in enumerate(table):
        logits = [
            first @ second / (np.linalg.norm(first) * np.linalg.norm(second)) / 0.05
            for j, second in enumerate(table)
            if j != i
        ]
        shares = softmax(logits)
        total -= sum(share * np.log(share) for share in shares)
    return total / len(table)


def whole_density(table):
    """With the whole matrix at once, and -1 / 0.05 on its diagonal as skada has it."""
    rows = table / np.linalg.norm(table, axis=1, keepdims=True)
    logits = rows @ rows.T / 0.05
    np.fill_diagonal(logits, -20)
    shares = softmax(logits, axis=1)
    return -(shares * np.log(shares)).sum(axis=1).mean()


def test_soft_neighborhood_density_is_that_of_the_paper_in_any_number_of_blocks():
    few, many = drawn(0, 40), drawn(1, 2500)  # of which 1,600 are one block

    density = CRITERIA["soft_neighborhood_density"]
    assert density(on_target(few)) == pytest.approx(direct_density(few), rel=1e-12)
    assert density(on_target(few)) == pytest.approx(whole_density(few), rel=1e-6)
    assert density(on_target(many)) == pytest.approx(whole_density(many), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 30), st.integers(2, 5))
def test_laws_of_the_criteria_of_the_target(seed, n, classes):
    table = drawn(seed, n, classes)
    rng = np.random.default_rng(seed)
    values = {name: CRITERIA[name](on_target(table)) for name in OF_TARGET}

    slack = 1e-12
    assert -np.log(classes) - slack <= values["entropy"] <= 0
    assert values["entropy"] == pytest.approx(-mean_entropy(table, draws=1).value)
    assert -slack <= values["information_maximization"] <= np.log(classes) + slack
    assert -slack <= values["soft_neighborhood_density"] <= np.log(n - 1) + slack
    for moved in (table[rng.permutation(n)], table[:, rng.permutation(classes)]):
        assert {name: CRITERIA[name](on_target(moved)) for name in OF_TARGET} == pytest.approx(
            values
        )
    twice = on_target(np.concatenate([table, table]))
    assert CRITERIA["entropy"](twice) == pytest.approx(values["entropy"])
    information = values["information_maximization"]
    assert CRITERIA["information_maximization"](twice) == pytest.approx(information)
    # All predictions equal: no information, and the greatest density.
    equal = on_target(np.tile(table[:1], (n, 1)))
    assert CRITERIA["information_maximization"](equal) == pytest.approx(0, abs=1e-12)
    assert CRITERIA["soft_neighborhood_density"](equal) == pytest.approx(np.log(n - 1))


# Labels of the source.


def test_source_accuracy_by_hand():
    evidence = on_target(sure(0.5))._replace(
        source_probabilities=sure(0.9, 0.6, 0.2, 0.4), source_labels=np.array([0, 1, 1, 1])
    )
    assert CRITERIA["source"](evidence) == 3 / 4


def test_deep_embedded_risk_by_hand():
    """W = 1, 3 and L = 1, 0: mean(WL) = 1/2, Cov = -1, Var = 2, so eta = 1/2: 1/2 + 1 - 1/2."""
    assert deep_embedded_risk(np.array([1.0, 3.0]), np.array([1.0, 0.0])) == pytest.approx(1)


def test_weights_that_are_equal_but_for_rounding_need_no_control_variate():
    """Cov / Var of rounding errors is some number of any size."""
    losses = np.arange(4.0)
    for rounding in (0, 1e-12, 1e-6):
        weights = 1.00001 + rounding * np.array([1, -1, 2, -2])
        assert deep_embedded_risk(weights, losses) == pytest.approx(1.5, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 50), st.floats(0, 5))
def test_laws_of_the_deep_embedded_risk(seed, n, loss):
    rng = np.random.default_rng(seed)
    weights, losses = rng.exponential(size=n), rng.exponential(size=n)
    order = rng.permutation(n)
    assume(weights.std() > 0.05 * weights.mean())

    covariance = np.cov(weights * losses, weights, ddof=1)
    eta = -covariance[0, 1] / covariance[1, 1]
    direct = (weights * losses).mean() + eta * weights.mean() - eta
    value = deep_embedded_risk(weights, losses)
    assert value == pytest.approx(direct, rel=1e-9, abs=1e-9)
    assert deep_embedded_risk(weights[order], losses[order]) == pytest.approx(value, abs=1e-9)
    # A loss that is the same for all is the risk, whatever the weights.
    assert deep_embedded_risk(weights, np.full(n, loss)) == pytest.approx(loss, abs=1e-9)


def test_a_control_variate_keeps_the_mean_and_lowers_the_variance():
    """Source N(0, 1), target N(1, 1), true weights, and a loss that grows towards the target."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 200))
    weights, losses = np.exp(rows - 0.5), np.logaddexp(0, rows)
    plain = (weights * losses).mean(axis=1)
    controlled = [deep_embedded_risk(*pair) for pair in zip(weights, losses, strict=True)]

    expected = gaussian_mean(lambda x: np.logaddexp(0, x), 1)
    assert np.mean(plain) == pytest.approx(expected, abs=0.03)
    assert np.mean(controlled) == pytest.approx(expected, abs=0.03)
    assert np.std(controlled) < 0.7 * np.std(plain)


def gaussian_mean(function, mean):
    """Of x from N(mean, 1), by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return weights @ function(nodes + mean) / weights.sum()


def shifted(seed, n, m, shift=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 1)), rng.normal(size=(m, 1)) + shift


@pytest.mark.parametrize("sizes", [(3000, 3000), (4000, 1000)])
def test_density_ratios_of_two_gaussians(sizes):
    """N(1, 1) over N(0, 1) is exp(x - 1/2); domains of different sizes do not change it."""
    source, target = shifted(0, *sizes)
    others = np.linspace(-2, 2, 200)[:, None]

    held_out = density_ratios(source, target)
    assert density_ratios(source, target, others) == pytest.approx(
        np.exp(others[:, 0] - 0.5), rel=0.2
    )
    assert held_out.mean() == pytest.approx(1, abs=0.05)
    assert held_out == pytest.approx(np.exp(source[:, 0] - 0.5), rel=0.35)
    assert (density_ratios(source, target) == held_out).all()


@pytest.mark.parametrize("seed", range(5))
def test_density_ratios_are_about_1_without_a_shift(seed):
    """Also where a classifier with as many features as rows can tell all its own rows apart."""
    rng = np.random.default_rng(seed)
    weights = density_ratios(rng.normal(size=(60, 200)), rng.normal(size=(60, 200)))
    assert 0.8 < weights.mean() < 1.25
    assert weights.sum() ** 2 / (weights**2).sum() > 45


def test_density_ratios_of_outliers_are_truncated():
    """Four rows should have weights with the sum 4: none of them is greater than 2."""
    source, target = shifted(0, 50, 50, shift=30)
    far = density_ratios(source, target, column(-1e12, 0, 30, 1e12))
    assert far[2:] == pytest.approx([2, 2])
    assert (far > 0).all()
    assert (far[:2] < 0.1).all()


@pytest.mark.parametrize("held_out", [True, False], ids=["cross-fitted", "train features"])
@pytest.mark.parametrize("name", ["importance_weighted", "deep_embedded"])
def test_weighted_source_risk_is_the_target_risk(name, held_out):
    """Label 0 for all, p_0 = sigmoid(-x): the loss log(1 + e^x) grows from source to target."""
    source, target = shifted(1, 4000, 4000)
    probabilities = sure(*(1 / (1 + np.exp(source[:, 0]))))
    labels = np.zeros(4000, int)
    train = None if held_out else shifted(2, 4000, 1)[0]
    evidence = Evidence(source, probabilities, labels, target, np.full((4000, 2), 0.5), train)

    expected = gaussian_mean(lambda x: np.logaddexp(0, x), 1)
    unweighted = -np.log(probabilities[:, 0]).mean()
    assert CRITERIA[name](evidence) == pytest.approx(-expected, abs=0.05)
    assert expected - unweighted > 0.4


def test_importance_weighting_by_hand():
    """Of two kinds of rows the source has 3/4 and 1/4, the target 1/4 and 3/4, so w = 1/3 and 3."""
    kinds = np.repeat([0.0, 1.0], [600, 200])
    source, target = kinds[:, None], 1 - kinds[:, None]
    probabilities, labels = sure(*np.where(kinds == 0, 0.9, 0.5)), np.zeros(800, int)
    evidence = Evidence(source, probabilities, labels, target, sure(*target[:, 0]))

    expected = (np.log(0.9) + 3 * np.log(0.5)) / 4
    assert density_ratios(source, target) == pytest.approx(np.where(kinds == 0, 1 / 3, 3), rel=0.2)
    assert CRITERIA["importance_weighted"](evidence) == pytest.approx(expected, rel=0.02)
    assert CRITERIA["deep_embedded"](evidence) == pytest.approx(expected, rel=0.02)
    # The same loss for all, here the greatest that counts: it is the risk for any weights.
    wrong = evidence._replace(source_probabilities=sure(*[0] * 800))
    for name in ("importance_weighted", "deep_embedded"):
        assert CRITERIA[name](wrong) == pytest.approx(np.log(1e-7))


def test_reverse_validation_by_hand():
    """The boundary between the target's predictions is 0; of four source rows one is beyond it."""
    evidence = Evidence(
        source_features=column(-1, 1, 3, -1),
        source_probabilities=sure(0.5, 0.5, 0.5, 0.5),
        source_labels=np.array([0, 1, 0, 0]),
        target_features=column(-2, -1, 1, 2),
        target_probabilities=sure(0.9, 0.6, 0.4, 0.2),
    )
    assert CRITERIA["reverse_validation"](evidence) == 3 / 4
    collapsed = evidence._replace(target_probabilities=sure(0.9, 0.6, 0.7, 0.8))
    assert CRITERIA["reverse_validation"](collapsed) == 3 / 4  # the share of class 0
    # By the nearest neighbour, 3 belongs to class 0, as 2 does in the target.
    evidence = evidence._replace(target_probabilities=sure(0.9, 0.6, 0.4, 0.8))
    assert reverse_validation(evidence, nearest_neighbor) == 1


def nearest_neighbor(features, labels):
    return KNeighborsClassifier(1).fit(features, labels).predict


# What each criterion sees of a model that has failed.

CENTERS = np.array([[3.0, 0.0], [-1.5, 2.6], [-1.5, -2.6]])


def model(source, target, labels):
    """Evidence of a head whose classes lie at the centres."""
    heads = [softmax(rows @ CENTERS.T, axis=1) for rows in (source, target)]
    return Evidence(source, heads[0], labels, target, heads[1])


def outcomes():
    """A good model and failed ones, of 300 examples in three classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    source, target = (CENTERS[labels] + mean + rng.normal(size=(300, 2)) for mean in (0, 0.5))
    points = CENTERS[0] + 0.1 * rng.normal(size=(2, 300, 2))
    exchanged = target + (CENTERS[[1, 0, 2]] - CENTERS)[labels]
    return {
        "good": model(source, target, labels),
        "collapsed": model(*points, labels),
        "target collapsed": model(source, points[1], labels),
        "exchanged": model(source, exchanged, labels),
    }


SEEN = {
    "information_maximization": {"collapsed", "target collapsed"},
    "entropy": set(),
    "soft_neighborhood_density": set(),
    "source": {"collapsed"},
    "importance_weighted": {"collapsed"},
    "deep_embedded": {"collapsed"},
    "reverse_validation": {"collapsed", "target collapsed"},
}
"""Failures that lower a criterion by more than noise; docs/adaptation.md has this table."""


@pytest.mark.parametrize("name", CRITERION_NAMES)
def test_failures_that_a_criterion_sees(name):
    values = {outcome: CRITERIA[name](evidence) for outcome, evidence in outcomes().items()}
    good = values.pop("good")
    assert {outcome for outcome, value in values.items() if value < good - 0.03} == SEEN[name]


@pytest.mark.parametrize(
    ("name", "preferred"),
    [
        ("entropy", {"collapsed", "target collapsed"}),
        ("soft_neighborhood_density", {"collapsed", "target collapsed"}),
        ("importance_weighted", {"target collapsed"}),
        ("deep_embedded", {"target collapsed"}),
    ],
)
def test_a_collapse_that_a_criterion_prefers(name, preferred):
    values = {outcome: CRITERIA[name](evidence) for outcome, evidence in outcomes().items()}
    better = {outcome for outcome, value in values.items() if value > values["good"] + 0.01}
    assert better - {"exchanged"} == preferred


# What is refused.

VALID = Evidence(
    column(0, 1, 2), sure(0.9, 0.2, 0.6), np.array([0, 1, 0]), column(0, 1, 3), sure(0.8, 0.1, 0.5)
)


@pytest.mark.parametrize("name", CRITERION_NAMES)
def test_three_examples_are_enough(name):
    assert np.isfinite(CRITERIA[name](VALID))
    assert isinstance(CRITERIA[name](VALID), float)


@pytest.mark.parametrize(
    ("names", "change", "error", "message"),
    [
        (OF_TARGET, {"target_probabilities": sure()}, BadData, r"target.*shape \(0, 2\)"),
        (OF_TARGET, {"target_probabilities": sure(0.5, np.nan)}, CheckFailed, "1 of 2 rows"),
        (OF_TARGET, {"target_probabilities": [[2.0, -1], [1, 0]]}, CheckFailed, "not logits"),
        (OF_TARGET[2:], {"target_probabilities": sure(0.5)}, BadData, "two or more"),
        (("source", *OF_FEATURES), {"source_labels": [0, 1, 2]}, BadData, "1 of 3 source labels"),
        (("source", *OF_FEATURES), {"source_labels": [0, 1]}, ValueError, "2 labels and 3"),
        (
            ("source", *OF_FEATURES),
            {"source_probabilities": sure(0.5, np.nan, 0.5)},
            CheckFailed,
            "rows of the source",
        ),
        (OF_FEATURES, {"target_features": column(0, np.nan, 1)}, CheckFailed, "1 of 3 rows"),
        (OF_FEATURES, {"target_features": np.ones((3, 2))}, BadData, "1 features and the target 2"),
        (OF_FEATURES, {"target_features": column(0, 1)}, ValueError, "predictions of target"),
        (OF_FEATURES, {"source_features": column(0, 1)}, ValueError, "predictions of source"),
        (OF_FEATURES[:2], {"source_train_features": np.ones((3, 2))}, BadData, "2 features"),
        (OF_FEATURES[2:], {"target_probabilities": np.eye(3)}, BadData, "3 classes instead of 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(names, change, error, message):
    for name in names:
        with pytest.raises(error, match=message):
            CRITERIA[name](VALID._replace(**change))

"""Weights of source rows: known density ratios, general solvers, and laws."""

import re

import numpy as np
import pytest
from halves import Halves
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize
from scipy.stats import norm
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.utils.estimator_checks import check_estimator

from keras_transfer.domains.weighting import KLIEP, KMM, median_distance
from keras_transfer.errors import BadConfiguration, BadFeatures

BOTH = [KMM(), KLIEP()]
seeds = st.integers(0, 2**16)


def name(estimator):
    return type(estimator).__name__


def joined(source, target):
    """Rows with their domains, source rows first."""
    return np.concatenate([source, target]), np.repeat([1, -1], [len(source), len(target)])


def gaussians(seed=0, n=600, mean=0.5, deviation=0.8):
    """Source N(0, 1) and target N(mean, deviation²) in one dimension."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (n, 1)), rng.normal(mean, deviation, (n, 1))


def density_ratio(rows, mean=0.5, deviation=0.8):
    return (norm(mean, deviation).pdf(rows) / norm(0, 1).pdf(rows))[:, 0]


@pytest.mark.parametrize("estimator", BOTH, ids=name)
@pytest.mark.parametrize(("mean", "deviation"), [(0.5, 0.8), (-0.7, 0.6)])
def test_weights_are_the_density_ratio_of_two_gaussians(estimator, mean, deviation):
    source, target = gaussians(mean=mean, deviation=deviation)
    rows, domain = joined(source, target)
    weights = estimator.fit(rows, sample_domain=domain).weights_
    true = density_ratio(source, mean, deviation)

    assert np.corrcoef(weights, true)[0, 1] > 0.95
    assert np.abs(weights - true).mean() < 0.15  # of weights whose mean is 1
    # Weighted, the source has the target's moments.
    assert np.average(source[:, 0], weights=weights) == pytest.approx(target.mean(), abs=0.05)
    variance = np.average((source[:, 0] - target.mean()) ** 2, weights=weights)
    assert variance == pytest.approx(target.var(), abs=0.06)


def test_a_straight_line_is_fitted_where_the_target_is():
    """The example of Shimodaira (2000), -x + x³: the best line depends on where it must fit."""
    source, target = gaussians(mean=1.0, deviation=0.5)
    rows, domain = joined(source, target)
    curve = rows[:, 0] ** 3 - rows[:, 0]
    own = curve[domain < 0]

    def error(weights):
        line = LinearRegression().fit(source, curve[domain > 0], sample_weight=weights)
        return ((line.predict(target) - own) ** 2).mean()

    best = ((LinearRegression().fit(target, own).predict(target) - own) ** 2).mean()
    for estimator in BOTH:
        weights = estimator.fit(rows, sample_domain=domain).weights_
        # Most of what is lost without weights is won back.
        assert error(weights) - best < 0.2 * (error(None) - best), name(estimator)


@settings(max_examples=6)
@given(seeds, st.sampled_from([(1000.0, None), (2.0, 0.05), (1.5, 0.0)]))
def test_kmm_minimizes_its_objective(seed, limits):
    """Against SLSQP, a general solver."""
    bound, slack = limits
    source, target = gaussians(seed, 25, 0.8, 0.5)
    rows, domain = joined(source, target)
    kmm = KMM(0.7, bound=bound, slack=slack, tolerance=1e-7, max_iter=100_000)
    weights = kmm.fit(rows, sample_domain=domain).weights_

    kernel = rbf_kernel(source, gamma=1 / (2 * 0.7**2))
    linear = rbf_kernel(source, target, gamma=1 / (2 * 0.7**2)).sum(axis=1)
    near = 0.8 if slack is None else slack  # (sqrt(25) - 1) / sqrt(25)
    sums = LinearConstraint(np.ones((1, 25)), 25 * (1 - near), 25 * (1 + near))

    def objective(b):
        return b @ kernel @ b / 2 - linear @ b

    best = minimize(
        objective,
        np.ones(25),
        jac=lambda b: kernel @ b - linear,
        bounds=[(0, bound)] * 25,
        constraints=sums,
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    assert objective(weights) <= best.fun + 2e-7 * 25**2
    assert (weights >= 0).all()
    assert (weights <= bound).all()
    assert 1 - near - 1e-9 <= weights.mean() <= 1 + near + 1e-9


def test_kmm_by_hand():
    """Source 0 and 9, target 0, 0, 9, far apart: K = I, k = 2/3 (2, 1), and so is b."""
    rows = np.array([[0.0], [9], [0], [0], [9]])
    kmm = KMM(0.5, tolerance=1e-12).fit(rows, sample_domain=[1, 1, -1, -1, -1])

    assert kmm.weights_ == pytest.approx([4 / 3, 2 / 3], abs=1e-5)


def test_kliep_by_hand():
    """Source 0 and 9, target 0, 0, 9, far apart: log w1 + log w1 + log w2 with w1 + w2 = 2."""
    rows = np.array([[0.0], [9], [0], [0], [9]])
    kliep = KLIEP([0.5], tolerance=1e-9).fit(rows, sample_domain=[1, 1, -1, -1, -1])

    assert kliep.weights_ == pytest.approx([4 / 3, 2 / 3], abs=1e-4)
    assert kliep.density_ratio([[0.0], [9], [4]]) == pytest.approx([4 / 3, 2 / 3, 0], abs=1e-4)


def test_kliep_maximizes_its_objective():
    """Against SLSQP, on the coefficients themselves."""
    source, target = gaussians(3, 30)
    rows, domain = joined(source, target)
    kliep = KLIEP([0.6], tolerance=1e-5, max_iter=100_000).fit(rows, sample_domain=domain)

    on_target, on_source = (rbf_kernel(x, target, gamma=1 / 0.72) for x in (target, source))

    def objective(a):
        return -np.log(on_target @ a).mean()

    masses = on_source.mean(axis=0)
    best = minimize(
        objective,
        np.full(30, 1 / masses.sum()),
        jac=lambda a: -on_target.T @ (1 / (on_target @ a)) / 30,
        bounds=[(0, None)] * 30,
        constraints=LinearConstraint(masses[None], 1, 1),
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    assert (kliep.centers_ == target).all()
    assert objective(kliep.coefficients_) == pytest.approx(best.fun, abs=2e-5)
    assert kliep.weights_ == pytest.approx(kliep.density_ratio(source))


def test_the_width_of_kliep_is_the_one_that_held_out_rows_prefer():
    """The mean of log w on held-out rows is at most the divergence of the two Gaussians."""
    source, target = gaussians(n=1000)
    rows, domain = joined(source, target)
    kliep = KLIEP([0.003, 0.5, 50.0]).fit(rows, sample_domain=domain)
    divergence = np.log(density_ratio(target)).mean()

    assert kliep.width_ == 0.5
    assert kliep.scores_[1] == pytest.approx(divergence, abs=0.03)
    assert kliep.scores_[2] == pytest.approx(0, abs=0.01)  # so wide that all weights are equal
    assert np.log(kliep.density_ratio(target)).mean() == pytest.approx(divergence, abs=0.05)


# Laws.


@pytest.mark.parametrize("estimator", BOTH, ids=name)
@settings(max_examples=8)
@given(seeds, st.integers(1, 4), st.floats(-1.5, 1.5))
def test_weights_are_not_negative_and_have_a_mean_of_about_1(estimator, seed, channels, shift):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(80, channels)), rng.normal(size=(60, channels)) + shift
    rows, domain = joined(source, target)
    weights = estimator.fit(rows, sample_domain=domain).weights_

    assert weights.shape == (80,)
    assert (weights >= 0).all()
    assert weights.mean() == pytest.approx(1, abs=0.1 if name(estimator) == "KMM" else 1e-6)


@pytest.mark.parametrize("estimator", BOTH, ids=name)
def test_without_a_shift_weights_are_about_equal(estimator):
    source, target = gaussians(n=1000, mean=0, deviation=1)
    rows, domain = joined(source, target)
    weights = estimator.fit(rows, sample_domain=domain).weights_

    assert weights.std() < 0.2
    # As many rows as if all counted alike, nearly.
    assert weights.sum() ** 2 / (weights**2).sum() > 950


def test_the_same_rows_have_equal_weights():
    source, _ = gaussians(n=50)
    rows, domain = joined(source, source)

    assert KMM().fit(rows, sample_domain=domain).weights_ == pytest.approx(np.ones(50), abs=1e-3)


@pytest.mark.parametrize("estimator", [KMM(), KLIEP([0.5])], ids=name)
def test_the_order_of_rows_does_not_matter(estimator):
    rows, domain = joined(*gaussians(n=80))
    order = np.random.default_rng(1).permutation(160)
    weights = estimator.fit(rows, sample_domain=domain).weights_
    other = clone(estimator).fit(rows[order], sample_domain=domain[order]).weights_

    assert other == pytest.approx(weights[order[order < 80]], abs=1e-6)


@pytest.mark.parametrize("estimator", BOTH, ids=name)
def test_weights_do_not_depend_on_the_unit(estimator):
    rows, domain = joined(*gaussians(n=80))
    weights = estimator.fit(rows, sample_domain=domain).weights_

    scaled = clone(estimator).fit(1000 * rows, sample_domain=domain).weights_
    assert scaled == pytest.approx(weights, abs=1e-6)


def test_the_median_distance_by_hand():
    """0, 1, 3: distances 1, 2, 3; equal rows do not count."""
    assert median_distance(np.array([[0.0], [1], [3], [3]])) == 2


class HalvedKMM(Halves, KMM):
    pass


class HalvedKLIEP(Halves, KLIEP):
    pass


@pytest.mark.filterwarnings("ignore:Skipping check check_array_api_input")
@pytest.mark.parametrize("halved", [HalvedKMM, HalvedKLIEP])
def test_conventions_of_scikit_learn_are_kept(halved):
    check_estimator(halved())


# Refusals.


@pytest.mark.parametrize(
    ("estimator", "text"),
    [
        (KMM(0), "A kernel has the width 0: give a number above 0"),
        (KMM(bound=0.5), "bound is 0.5 and slack is"),
        (KMM(slack=-1), "slack is -1"),
        (KLIEP([]), "KLIEP needs a width"),
        (KLIEP([1, -1]), "A kernel has the width -1"),
        (KLIEP(n_centers=0), "n_centers of 1 or more"),
        (KLIEP(cv=1), "cv of 2 or more"),
    ],
)
def test_settings_without_meaning_are_refused(estimator, text):
    rows, domain = joined(*gaussians(n=20))

    with pytest.raises(BadConfiguration, match=re.escape(text)):
        estimator.fit(rows, sample_domain=domain)


@pytest.mark.parametrize("estimator", BOTH, ids=name)
@pytest.mark.parametrize(
    ("rows", "domain", "text"),
    [
        (np.eye(4), [1, 1, 1, 1], "0 samples are of a target domain"),
        (np.eye(4), [-1, -1, -1, -1], "0 samples are of a source domain"),
        (np.full((4, 2), np.nan), [1, 1, -1, -1], "4 of 4 rows contain NaN or inf"),
        (np.ones((4, 2)), [1, 1, -1, -1], "All rows are equal: give features that vary"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(estimator, rows, domain, text):
    with pytest.raises(BadFeatures, match=re.escape(text)):
        estimator.fit(rows, sample_domain=domain)


def test_other_columns_than_those_of_fit_are_refused():
    rows, domain = joined(*gaussians(n=20))
    kliep = KLIEP([1.0]).fit(rows, sample_domain=domain)

    with pytest.raises(BadFeatures, match="X has 2 features, but KLIEP is expecting 1 features"):
        kliep.density_ratio(np.ones((2, 2)))


def test_a_target_that_no_source_row_is_near_is_refused():
    rows, domain = joined(np.arange(9.0)[:, None], 1e6 + np.arange(9.0)[:, None])

    with pytest.raises(BadFeatures, match="No source row is near any target row"):
        KLIEP([1.0]).fit(rows, sample_domain=domain)


@pytest.mark.parametrize(
    "estimator",
    [KMM(tolerance=1e-12, max_iter=20), KLIEP([0.5], tolerance=1e-12, max_iter=20)],
    ids=name,
)
def test_it_is_said_where_a_solver_has_not_converged(estimator):
    rows, domain = joined(*gaussians(n=100))

    with pytest.warns(ConvergenceWarning, match="has not converged in 20 steps: .* Give a greater"):
        estimator.fit(rows, sample_domain=domain)

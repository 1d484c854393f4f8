"""Adaptation of features: published accuracies, the papers' formulas, what must not matter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from halves import TransformedHalves, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils.estimator_checks import check_estimator

from keras_transfer.domains.subspaces import CORAL, PerDomainStandardization, SubspaceAlignment
from keras_transfer.domains.tca import JDA, TCA
from keras_transfer.errors import BadConfiguration, BadData, BadFeatures

ALL = [TCA(3), JDA(3), SubspaceAlignment(3), CORAL(), PerDomainStandardization()]
seeds = st.integers(0, 2**16)


def name(estimator):
    return type(estimator).__name__


def drawn(seed=0, source=30, target=20, channels=5, classes=3):
    """Rows, labels and domains in mixed order; the target is turned, stretched and moved."""
    rng = np.random.default_rng(seed)
    n = source + target
    labels = np.arange(n) % classes
    rows = rng.normal(size=(n, channels)) + 3 * rng.normal(size=(classes, channels))[labels]
    domain = np.repeat([1, -1], [source, target])
    moved = rows @ (np.eye(channels) + 0.3 * rng.normal(size=(channels, channels))) + 1
    rows = np.where(domain[:, None] > 0, rows, moved)
    order = rng.permutation(n)
    return rows[order], labels[order], domain[order]


# The table of published accuracies.


@pytest.fixture(scope="module")
def digits(shared_data):
    """By direction: rows, labels, domains of the pair of Long et al., source rows first."""
    with h5py.File(shared_data / "mnist_usps" / "MNIST_vs_USPS.mat") as file:
        mnist, usps = ((file[f"X{s}"][:], file[f"Y{s}"][0].astype(int)) for s in "st")

    def joined(source, target):
        rows, labels = (np.concatenate(pair) for pair in zip(source, target, strict=True))
        return rows, labels, np.repeat([1, -1], [len(source[1]), len(target[1])])

    return {"USPS -> MNIST": joined(usps, mnist), "MNIST -> USPS": joined(mnist, usps)}


def nearest(rows, labels, domain):
    """Accuracy on the target of 1-nearest neighbour fitted to the source, in percent."""
    source, target = domain > 0, domain < 0
    fitted = KNeighborsClassifier(1).fit(rows[source], labels[source])
    return round(100 * fitted.score(rows[target], labels[target]), 2)


TABLE = {
    "USPS -> MNIST": {"NN": 44.70, "PCA": 44.95, "TCA": 51.05, "JDA": 59.65},
    "MNIST -> USPS": {"NN": 65.94, "PCA": 66.22, "TCA": 56.28, "JDA": 67.28},
}


@pytest.mark.real_data
@pytest.mark.parametrize("direction", TABLE)
def test_accuracies_published_with_jda_are_reproduced(digits, direction):
    """Long et al. (ICCV 2013), reproduced independently; labels of the target are not used."""
    rows, labels, domain = digits[direction]
    hidden = np.where(domain > 0, labels, -1)
    unit = normalize(rows)
    jda = JDA(100)
    found = {
        "NN": nearest(unit, labels, domain),
        "PCA": nearest(PCA(100, svd_solver="full").fit_transform(unit), labels, domain),
        "TCA": nearest(TCA(100).fit_transform(rows, sample_domain=domain), labels, domain),
        "JDA": nearest(jda.fit_transform(rows, hidden, sample_domain=domain), labels, domain),
    }

    assert found == TABLE[direction]
    right = (jda.target_labels_ == labels[domain < 0]).mean()
    assert 100 * right == pytest.approx(found["JDA"], abs=0.005)


# The eigenproblem, against matrices that are written out in full.


def full_problem(rows, weights):
    """X H X' and X M X' + 0.1 I with n x n matrices, M from pairs of weights and contrasts."""
    n, channels = rows.shape
    centring = np.eye(n) - np.ones((n, n)) / n
    distance = sum(weight * np.outer(e, e) for weight, e in weights)
    distance = distance / np.linalg.norm(distance, "fro")
    return rows.T @ centring @ rows, rows.T @ distance @ rows + 0.1 * np.eye(channels)


def residual(estimator, scatter, distance):
    """Largest |A v - w B v| / |w B v|, with v and w of the estimator."""
    v, w = estimator.components_.T, estimator.eigenvalues_
    return (np.linalg.norm(scatter @ v - distance @ v * w, axis=0) / w).max()


def contrast(one, other):
    return one / one.sum() - other / other.sum()


# The second has fewer rows than columns: a problem of rank 50, not of 200.
@pytest.mark.parametrize("channels", [5, 200])
def test_tca_solves_its_eigenproblem(channels):
    rows, _, domain = drawn(channels=channels)
    tca = TCA(4).fit(rows, sample_domain=domain)
    unit = normalize(rows)
    problem = full_problem(unit, [(1, contrast(domain > 0, domain < 0))])

    assert residual(tca, *problem) < 1e-6
    largest = np.linalg.eigvals(np.linalg.solve(problem[1], problem[0])).real
    assert tca.eigenvalues_ == pytest.approx(np.sort(largest)[::-1][:4])
    assert np.linalg.norm(tca.components_, axis=1) == pytest.approx(np.ones(4))
    assert tca.transform(rows) == pytest.approx(unit @ tca.components_.T)


def test_jda_solves_its_eigenproblem_with_the_labels_that_it_found():
    rows, labels, domain = drawn(1, 60, 40)
    jda = JDA(3).fit(rows, labels, sample_domain=domain)
    found = labels.copy()
    found[domain < 0] = jda.target_labels_
    source = domain > 0
    classes = [contrast(source & (found == c), ~source & (found == c)) for c in range(3)]

    # The labels have come to rest, so that they are those of the problem that was solved last.
    assert jda.n_iter_ < 10
    problem = full_problem(
        normalize(rows), [(3, contrast(source, ~source)), *((1, e) for e in classes)]
    )
    assert residual(jda, *problem) < 1e-6
    assert np.linalg.norm(jda.transform(rows), axis=1) == pytest.approx(np.ones(100))


def test_a_class_that_the_target_lacks_has_no_term():
    rng = np.random.default_rng(0)
    labels = np.append(np.arange(60) % 3, np.arange(40) % 2)
    rows = rng.normal(size=(100, 5)) + 9 * np.eye(3, 5)[labels]
    jda = JDA(3).fit(rows, labels, sample_domain=np.repeat([1, -1], [60, 40]))

    assert (jda.target_labels_ == labels[60:]).all()
    assert np.isfinite(jda.components_).all()


def test_tca_by_hand():
    """Source (0, 0), (2, 0), target (0, 1), (2, 1): they vary along x, and differ along y.

    X H X' = diag(4, 1). e X = (0, -1), |e e'| = 4 * 1/4 = 1, so that X M X' + I = diag(1, 2).
    """
    rows = np.array([[0.0, 0], [2, 0], [0, 1], [2, 1]])
    tca = TCA(regularization=1, normalize=False).fit(rows, sample_domain=[1, 1, -1, -1])

    assert tca.eigenvalues_ == pytest.approx([4, 0.5])
    assert tca.components_ == pytest.approx(np.eye(2))


def test_tca_with_a_small_regularization_brings_the_means_together():
    rows, _, domain = drawn(2)

    def distance(regularization):
        tca = TCA(2, regularization=regularization, normalize=False)
        moved = tca.fit_transform(rows, sample_domain=domain)
        means = [moved[side].mean(axis=0) for side in (domain > 0, domain < 0)]
        return np.linalg.norm(means[0] - means[1]) / moved.std()

    assert distance(1e-6) < 0.01 < 0.2 < distance(1e6)


def test_tca_on_a_kernel_matrix_is_kernel_tca():
    """(K H K) v = w (K M K + I / 10) v of Pan et al.: n x n, with rows of K as features."""
    rows, _, domain = drawn(3)
    kernel = rbf_kernel(rows, gamma=0.05)
    tca = TCA(2, normalize=False).fit(kernel, sample_domain=domain)

    assert residual(tca, *full_problem(kernel, [(1, contrast(domain > 0, domain < 0))])) < 1e-6


# CORAL and subspace alignment, against the papers and skada.

GIVEN = np.array(
    [[3, 1, 4], [-1, 5, 9], [2, 6, 5], [3, -5, 8], [-9, 7, 9], [3, 2, 3], [8, 4, 6], [2, -6, 4],
     [3, 3, 8]], "float64",
)  # fmt: skip
GIVEN_DOMAIN = np.array([1, -1, 1, 1, -1, -1, 1, -1, 1])
# By skada 0.6.0 (NumPy 2.4.6), once: CORALAdapter(reg=0.25), CORALAdapter() and
# SubspaceAlignmentAdapter(2), each .fit_transform(GIVEN, sample_domain=GIVEN_DOMAIN). Its CORAL
# centres both domains at 0, ours leaves the target's rows where they are.
SKADA_CORAL = [
    [0.242028, -2.23513, -3.656594], [0.25, 3, 2.75], [-4.992006, 6.265515, 0.71723],
    [0.920779, -7.739785, 0.31502], [-7.75, 5, 2.75], [4.25, 0, -3.25],
    [7.156435, 0.125196, -1.283745], [3.25, -8, -2.25], [-3.327236, 3.584204, 3.90809],
]  # fmt: skip
SKADA_CORAL_AUTO = [
    [-0.270247, -1.688556, -3.300569], [0.25, 3, 2.75], [-4.342027, 5.638002, -0.284014],
    [-0.728526, -7.337583, 1.740673], [-7.75, 5, 2.75], [4.25, 0, -3.25],
    [8.343277, 0.586733, -1.559457], [3.25, -8, -2.25], [-3.002476, 2.801404, 3.403367],
]  # fmt: skip
SKADA_ALIGNED = [
    [0.473629, -0.944524], [2.864652, 1.961378], [3.533242, 1.943251], [-3.600105, -5.64967],
    [9.347225, -2.075378], [-3.89776, 3.334915], [-1.132993, 4.465255], [-8.314117, -3.220915],
    [0.726227, 0.185688],
]  # fmt: skip


@pytest.mark.parametrize(
    ("coral", "expected"), [(CORAL(0.25), SKADA_CORAL), (CORAL(), SKADA_CORAL_AUTO)]
)
def test_coral_is_that_of_skada_but_for_the_mean(coral, expected):
    target_mean = GIVEN[GIVEN_DOMAIN < 0].mean(axis=0)
    moved = coral.fit_transform(GIVEN, sample_domain=GIVEN_DOMAIN)

    assert moved - target_mean == pytest.approx(np.array(expected), abs=1e-6)


def test_subspace_alignment_is_that_of_skada():
    aligned = SubspaceAlignment(2).fit_transform(GIVEN, sample_domain=GIVEN_DOMAIN)
    signs = np.sign((aligned * SKADA_ALIGNED).sum(axis=0))  # free, and not ours to know

    assert signs * aligned == pytest.approx(np.array(SKADA_ALIGNED), abs=1e-6)


@settings(max_examples=20)
@given(seeds, st.floats(0, 1))
def test_coral_is_its_formula(seed, share):
    rows, _, domain = drawn(seed)
    source, target = rows[domain > 0], rows[domain < 0]

    def covariance(x):
        c = np.cov(x, rowvar=False, ddof=0)
        return (1 - share) * c + share * np.trace(c) / 5 * np.eye(5)

    mapping = np.linalg.inv(sqrtm(covariance(source))) @ sqrtm(covariance(target))
    moved = CORAL(share).fit_transform(rows, sample_domain=domain)

    expected = (source - source.mean(axis=0)) @ mapping + target.mean(axis=0)
    assert moved[domain > 0] == pytest.approx(expected, abs=1e-8)
    assert (moved[domain < 0] == target).all()


def test_coral_without_shrinkage_gives_the_source_mean_and_covariance_of_the_target():
    rows, _, domain = drawn(5)
    moved = CORAL(0).fit_transform(rows, sample_domain=domain)
    source, target = moved[domain > 0], moved[domain < 0]

    assert source.mean(axis=0) == pytest.approx(target.mean(axis=0))
    assert np.cov(source.T, ddof=0) == pytest.approx(np.cov(target.T, ddof=0))


@pytest.mark.parametrize(("source", "target", "channels"), [(30, 20, 5), (8, 12, 40)])
def test_subspace_alignment_is_its_formula(source, target, channels):
    rows, _, domain = drawn(6, source, target, channels)
    n = min(source - 1, target - 1, channels)
    aligned = SubspaceAlignment().fit_transform(rows, sample_domain=domain)
    bases = [PCA(n, svd_solver="full").fit(rows[side]) for side in (domain > 0, domain < 0)]
    across = bases[0].components_ @ bases[1].components_.T
    expected = bases[0].transform(rows[domain > 0]) @ across

    # Signs of the principal components are free.
    signs = np.sign((expected * aligned[domain > 0]).sum(axis=0))
    assert aligned[domain > 0] == pytest.approx(signs * expected)
    assert aligned[domain < 0] == pytest.approx(signs * bases[1].transform(rows[domain < 0]))


def test_standardization_takes_each_domain_by_itself():
    rows, _, domain = drawn(7, 40, 30)
    domain = domain * (1 + np.arange(70) % 2)  # two sources, two targets
    moved = PerDomainStandardization().fit_transform(rows, sample_domain=domain)

    for one in (-2, -1, 1, 2):
        own = rows[domain == one]
        expected = (own - own.mean(axis=0)) / own.std(axis=0)
        assert moved[domain == one] == pytest.approx(expected)


def test_a_column_that_is_constant_in_a_domain_becomes_0():
    rows, _, domain = drawn()
    rows[domain < 0, 2] = 5
    moved = PerDomainStandardization().fit_transform(rows, sample_domain=domain)

    assert (moved[domain < 0, 2] == 0).all()


# What all have in common.


@pytest.mark.parametrize("estimator", ALL, ids=name)
@settings(max_examples=10)
@given(seeds)
def test_the_order_of_rows_does_not_matter(estimator, seed):
    rows, labels, domain = drawn(seed)
    order = np.random.default_rng(seed).permutation(len(rows))
    moved = estimator.fit_transform(rows, labels, sample_domain=domain)
    other = clone(estimator).fit_transform(rows[order], labels[order], sample_domain=domain[order])

    assert other == pytest.approx(moved[order], abs=1e-6)


@pytest.mark.parametrize("estimator", ALL, ids=name)
def test_labels_of_the_target_are_not_read(estimator):
    rows, labels, domain = drawn()
    secret = labels.astype(object)
    secret[domain < 0] = None
    moved = clone(estimator).fit_transform(rows, labels, sample_domain=domain)

    assert (clone(estimator).fit_transform(rows, secret, sample_domain=domain) == moved).all()


@pytest.mark.parametrize("estimator", ALL, ids=name)
def test_new_rows_are_transformed_like_those_of_fit_and_without_domain_as_target(estimator):
    rows, labels, domain = drawn()
    moved = estimator.fit_transform(rows, labels, sample_domain=domain)
    target = domain < 0

    assert estimator.transform(rows[target]) == pytest.approx(moved[target])
    one = estimator.transform(rows[~target][:1], sample_domain=[1])
    assert one == pytest.approx(moved[~target][:1])


@pytest.mark.parametrize("estimator", ALL, ids=name)
def test_a_domain_with_itself_stays_as_close(estimator):
    """Without a shift a row of the source and the same row of the target go to one place."""
    rows, labels, _ = drawn()
    twice, domain = np.vstack([rows, rows]), np.repeat([1, -1], len(rows))
    moved = estimator.fit_transform(twice, np.tile(labels, 2), sample_domain=domain)

    assert moved[: len(rows)] == pytest.approx(moved[len(rows) :], abs=1e-6)


@pytest.mark.parametrize("estimator", [CORAL(), PerDomainStandardization()], ids=name)
def test_classes_are_found_again_after_a_shift_of_mean_and_scale(estimator):
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    rows = rng.normal(size=(400, 8)) + 6 * np.eye(4, 8)[labels]
    domain = np.repeat([1, -1], 200)
    rows[domain < 0, 0] = 3 * rows[domain < 0, 0] + 30  # which looks like class 0
    assert nearest(rows, labels, domain) == 25

    assert nearest(estimator.fit_transform(rows, sample_domain=domain), labels, domain) > 95


class HalvedTCA(TransformedHalves, TCA):
    pass


class HalvedJDA(TransformedHalves, JDA):
    def fit(self, X, y=None):
        return super().fit(X, np.zeros(rows_of(X)) if y is None else y)


class HalvedAlignment(TransformedHalves, SubspaceAlignment):
    pass


class HalvedCORAL(TransformedHalves, CORAL):
    pass


class HalvedStandardization(TransformedHalves, PerDomainStandardization):
    pass


HALVED = [HalvedTCA, HalvedJDA, HalvedAlignment, HalvedCORAL, HalvedStandardization]


@pytest.mark.filterwarnings("ignore:Skipping check check_array_api_input")
@pytest.mark.parametrize("halved", HALVED)
def test_conventions_of_scikit_learn_are_kept(halved):
    check_estimator(halved())


def test_domains_pass_through_a_pipeline():
    rows, labels, domain = drawn()
    with config_context(enable_metadata_routing=True):
        coral = CORAL().set_fit_request(sample_domain=True)
        coral = coral.set_transform_request(sample_domain=True)
        pipeline = make_pipeline(StandardScaler(), coral)
        moved = pipeline.fit_transform(rows, labels, sample_domain=domain)

    scaled = StandardScaler().fit_transform(rows)
    assert moved == pytest.approx(CORAL().fit_transform(scaled, sample_domain=domain))


def test_columns_have_names():
    rows, _, domain = drawn()
    assert [*TCA(2).fit(rows, sample_domain=domain).get_feature_names_out()] == ["tca0", "tca1"]
    assert len(CORAL().fit(rows, sample_domain=domain).get_feature_names_out()) == 5


ROOT = Path(__file__).parents[2]


def test_the_script_of_the_documentation_runs(tmp_path):
    page = (ROOT / "docs/domains.md").read_text(encoding="utf-8")
    section = page[page.index("## Adapting frozen features") :]
    script = re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)
    rows, labels, domain = drawn(0, 60, 40, 30)
    np.savez(tmp_path / "source.npz", features=rows[domain > 0], labels=labels[domain > 0])
    np.savez(tmp_path / "target.npz", features=rows[domain < 0])
    np.savez(tmp_path / "new.npz", features=rows[domain < 0][:7])

    light = "import sys; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script + light],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\[([012] ){6}[012]\]\n", done.stdout)


# Refusals.


def broken_rows():
    rows, _, domain = drawn()
    rows[[3, 7], 2] = np.nan, np.inf
    return rows, domain


@pytest.mark.parametrize("estimator", ALL, ids=name)
@pytest.mark.parametrize(
    ("rows", "domain", "text"),
    [
        (np.eye(6), np.ones(6), "0 samples are of a target domain, of 6. Give 2 or more"),
        (np.eye(6), -np.ones(6), "0 samples are of a source domain"),
        (np.eye(6), [1, 1, 1, 1, 1, -1], "1 sample is of a target domain"),
        (np.eye(6), [1, 1, 1, 0, -1, -1], "0 in sample_domain is no domain. Give 1, 2, ... for"),
        (np.eye(6), [1, 1, 1, 0.5, -1, -1], "0.5 in sample_domain is no domain"),
        (np.eye(6), ["s", "s", "s", "t", "t", "t"], "'s' in sample_domain is no domain"),
        (np.eye(6), [1, 1, 1, np.nan, -1, -1], "nan in sample_domain is no domain"),
        (np.eye(6), [1, 1, -1], "has the shape (3,), and there are 6 rows"),
        (*broken_rows(), "2 of 50 rows contain NaN or inf. Leave these rows out, or fill"),
    ],
)
def test_rows_and_domains_that_cannot_be_used_are_refused(estimator, rows, domain, text):
    with pytest.raises(BadFeatures, match=re.escape(text)):
        estimator.fit(rows, np.zeros(len(rows)), sample_domain=domain)


@pytest.mark.parametrize("estimator", ALL, ids=name)
def test_other_columns_than_those_of_fit_are_refused(estimator):
    rows, labels, domain = drawn()
    estimator.fit(rows, labels, sample_domain=domain)

    with pytest.raises(BadFeatures, match=r"X has 4 features, but .* is expecting 5 features"):
        estimator.transform(rows[:, :4])


@pytest.mark.parametrize(
    ("estimator", "text"),
    [
        (TCA(6), "n_components is 6, and the rows span 5 directions. Give 1 to 5"),
        (JDA(0), "n_components is 0"),
        (SubspaceAlignment(6), "n_components is 6, and the rows span 5 directions"),
        (TCA(regularization=0), "regularization is 0: give a number above 0"),
        (JDA(max_iter=0), "max_iter is 0"),
        (CORAL(1.5), "shrinkage is 1.5: give 'auto' or a number from 0 to 1"),
        (CORAL("ledoit"), "shrinkage is 'ledoit'"),
    ],
)
def test_settings_that_do_not_suit_the_rows_are_refused(estimator, text):
    rows, labels, domain = drawn()

    with pytest.raises(BadConfiguration, match=re.escape(text)):
        estimator.fit(rows, labels, sample_domain=domain)


def test_a_singular_covariance_is_refused_where_nothing_shrinks_it():
    rows, _, domain = drawn(channels=40)

    with pytest.raises(BadConfiguration, match=r"covariance of the source is singular.*'auto'"):
        CORAL(0).fit(rows, sample_domain=domain)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (None, "JDA needs y, the labels of the source rows"),
        (np.zeros(3), "y has the shape (3,), and there are 50 rows"),
        (np.full(50, np.nan), "30 of 30 source rows have no label"),
        ([None] * 50, "30 of 30 source rows have no label"),
    ],
)
def test_jda_without_labels_is_refused(labels, text):
    rows, _, domain = drawn()

    with pytest.raises(BadFeatures, match=re.escape(text)):
        JDA().fit(rows, labels, sample_domain=domain)


def test_domains_that_standardization_does_not_know_are_refused():
    rows, _, domain = drawn()
    domain[np.flatnonzero(domain < 0)[:9]] = -2
    scaler = PerDomainStandardization().fit(rows, sample_domain=domain)

    with pytest.raises(BadFeatures, match="several targets, -2, -1: say by sample_domain"):
        scaler.transform(rows)
    with pytest.raises(
        BadFeatures, match="sample_domain has 3, of which nothing is known: fit had"
    ):
        scaler.transform(rows[:1], sample_domain=[3])
    domain[0] = 7
    with pytest.raises(BadFeatures, match="Domain 7 has a single row"):
        scaler.fit(rows, sample_domain=domain)


@pytest.mark.parametrize("estimator", [TCA(), SubspaceAlignment()], ids=name)
def test_rows_that_do_not_vary_are_refused(estimator):
    with pytest.raises(BadFeatures, match="All rows of a domain are equal, or all are 0"):
        estimator.fit(np.zeros((6, 3)), sample_domain=[1, 1, 1, -1, -1, -1])


def test_a_refusal_is_bad_data_and_a_value_error():
    assert issubclass(BadFeatures, BadData)
    assert issubclass(BadFeatures, ValueError)

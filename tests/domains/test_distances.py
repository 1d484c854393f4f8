"""Distances between domains, against numbers by hand, direct formulas and known distributions."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.stats import kstest, norm

from keras_transfer.domains.distances import (
    coral_distance,
    frechet_distance,
    mmd,
    proxy_a_distance,
)
from keras_transfer.errors import BadData, CheckFailed

seeds = st.integers(0, 2**16)
NUMBERS = {
    "mmd": lambda source, target: mmd(source, target, permutations=1).value,
    "coral": coral_distance,
    "frechet": frechet_distance,
}


def normal(seed, n=30, channels=5, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, channels)) + shift


def column(*values):
    return np.array(values, float)[:, None]


def mixture(square, median):
    return np.mean([np.exp(-square / (factor * median)) for factor in (0.25, 0.5, 1, 2, 4)])


def test_mmd_by_hand():
    """0, 2 and 1, 3: squared distances 4 inside, 1, 9, 1, 1 across, and their median 2.5."""
    expected = 2 * mixture(4, 2.5) - 2 * (3 * mixture(1, 2.5) + mixture(9, 2.5)) / 4
    assert mmd(column(0, 2), column(1, 3)).value == pytest.approx(expected)


def test_the_p_value_counts_exchanges():
    """Of the three ways to divide 0, 1, 2, 3 into pairs, {0, 1} and {2, 3} are farthest apart."""
    assert mmd(column(0, 1), column(2, 3), permutations=3000).p_value == pytest.approx(
        1 / 3, abs=0.04
    )
    assert mmd(column(0, 2), column(1, 3)).p_value == 1  # the nearest


def direct_mmd(source, target):
    rows = [*source, *target]
    squares = [((x - y) ** 2).sum() for i, x in enumerate(rows) for y in rows[:i]]
    median, n, m = np.median(squares), len(source), len(target)

    def mean(first, second, pairs, same):
        total = 0.0
        for i, x in enumerate(first):
            for j, y in enumerate(second):
                if not (same and i == j):
                    total += mixture(((x - y) ** 2).sum(), median)
        return total / pairs

    inside = mean(source, source, n * (n - 1), True) + mean(target, target, m * (m - 1), True)
    return inside - 2 * mean(source, target, n * m, False)


@pytest.mark.parametrize(("n", "m"), [(7, 12), (2, 3)])
def test_mmd_is_its_formula(n, m):
    source, target = normal(n, n), normal(m, m, shift=0.5)
    assert mmd(source, target).value == pytest.approx(direct_mmd(source, target))
    # Far from the origin, where squares of the features are large.
    assert mmd(source + 1e3, target + 1e3).value == pytest.approx(mmd(source, target).value)


def test_p_values_are_uniform_without_a_shift():
    found = [mmd(normal(2 * s), normal(2 * s + 1), permutations=99, seed=s) for s in range(60)]
    values, p_values = np.transpose(found)

    assert kstest(p_values, "uniform").pvalue > 0.01
    # Unbiased: the estimates lie around 0.
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(60)
    assert (values < 0).any()


def test_p_values_are_small_with_a_shift():
    for seed in range(10):
        moved = mmd(normal(seed), normal(seed + 50, shift=1.0), permutations=99)
        wider = mmd(normal(seed), 3 * normal(seed + 50), permutations=99)
        assert moved.p_value == wider.p_value == 1 / 100


def test_mmd_of_equal_rows():
    """Where no distance, or not even half of them, is above 0."""
    same = np.full((40, 3), 0.1)
    few = np.vstack([same[:37], normal(0, 3, 3)])

    assert mmd(same, same[:5]) == (0, 1)
    assert np.isfinite(mmd(same, few).value)
    assert mmd(few, same[:20]).p_value > 0.05
    assert mmd(few, same + 1).p_value == 1 / 201


def test_frechet_and_coral_by_hand():
    """Variances 2 and 8, means 1 and 5; (5 - 1)² + (sqrt(8) - sqrt(2))² = 18."""
    source, target = column(0, 2), column(3, 7)
    assert frechet_distance(source, target) == pytest.approx(18)
    assert coral_distance(source, target) == pytest.approx((8 - 2) ** 2 / 4)
    # A domain without any variance.
    assert frechet_distance(source, column(4, 4)) == pytest.approx((4 - 1) ** 2 + 2)
    # Correlations 1 and -1 of the same variances: no matrix root of C_s C_t = 0 is needed.
    rising, falling = np.array([[0.0, 0], [2, 2]]), np.array([[0.0, 2], [2, 0]])
    assert frechet_distance(rising, falling) == pytest.approx(8)
    assert coral_distance(rising, falling) == pytest.approx(2 * 4**2 / (4 * 4))


@pytest.mark.parametrize(("n", "m"), [(50, 40), (50, 4), (5, 3)])
def test_frechet_and_coral_are_their_formulas(n, m):
    source, target = normal(1, n, 8), 2 * normal(2, m, 8, shift=0.3)
    ours, theirs = (np.cov(rows, rowvar=False) for rows in (source, target))
    assert coral_distance(source, target) == pytest.approx(((ours - theirs) ** 2).sum() / 256)

    means = ((source.mean(axis=0) - target.mean(axis=0)) ** 2).sum()
    # The matrix root is not defined for singular matrices, but almost so for nearly singular ones.
    root = sqrtm((ours + 1e-9 * np.eye(8)) @ (theirs + 1e-9 * np.eye(8))).real
    expected = means + np.trace(ours + theirs - 2 * root)
    assert frechet_distance(source, target) == pytest.approx(expected, rel=1e-3)
    if min(n, m) > 8:
        root = sqrtm(ours @ theirs).real
        assert frechet_distance(source, target) == pytest.approx(
            means + np.trace(ours + theirs - 2 * root)
        )


@settings(max_examples=15)
@given(seeds, st.sampled_from(sorted(NUMBERS)), st.sampled_from([3, 40]))
def test_laws_of_the_distances(seed, name, channels):
    """Symmetric; the same for rows in any order and rotated features; about 0 for equal ones."""
    distance, rng = NUMBERS[name], np.random.default_rng(seed)
    source, target = normal(seed, 12, channels), 1.5 * normal(seed + 1, 17, channels)
    rotation = np.linalg.qr(rng.normal(size=(channels, channels)))[0]
    value = distance(source, target)

    assert value > (-1 if name == "mmd" else 0)
    assert distance(target, source) == pytest.approx(value)
    assert distance(rng.permutation(source), rng.permutation(target)) == pytest.approx(value)
    assert distance(source @ rotation + 2, target @ rotation + 2) == pytest.approx(value)
    # The unbiased estimate leaves a row and itself out, and so is below 0 by up to 2 / n here.
    assert -2 / 12 <= distance(source, rng.permutation(source)) <= 1e-9
    # With the unit: not at all, by its square, by its fourth power.
    power = {"mmd": 0, "frechet": 2, "coral": 4}[name]
    assert distance(10 * source, 10 * target) == pytest.approx(10**power * value)


def test_an_a_distance_of_separable_domains_is_2():
    """No error among 20 + 20: Wilson's upper end of each rate is z² / (20 + z²)."""
    result = proxy_a_distance(normal(0, 20), normal(1, 20, shift=20))
    upper = norm.ppf(0.975) ** 2 / (20 + norm.ppf(0.975) ** 2)

    assert (result.value, result.error, result.high) == (2, 0, 2)
    assert result.low == pytest.approx(2 * (1 - 2 * np.hypot(upper, upper) / 2))


@pytest.mark.parametrize(("n", "m", "channels"), [(100, 100, 5), (60, 180, 5), (40, 40, 200)])
def test_an_a_distance_without_a_shift_is_about_0(n, m, channels):
    """Also of domains of unequal size, and of more features than examples."""
    found = [
        proxy_a_distance(normal(2 * s, n, channels), normal(2 * s + 1, m, channels), seed=s)
        for s in range(30)
    ]
    assert sum(one.low == 0 for one in found) >= 27
    assert np.mean([one.value for one in found]) < 0.2
    assert np.mean([one.error for one in found]) == pytest.approx(0.5, abs=0.03)


def test_an_a_distance_is_that_of_the_best_classifier():
    """Two normal distributions at distance 2: the least error is the normal tail beyond 1."""
    expected = 2 * (1 - 2 * norm.cdf(-1))
    inside = 0
    for seed in range(20):
        source, target = normal(seed, 200, 2), normal(seed + 99, 200, 2, [2, 0])
        result = proxy_a_distance(source, target, seed=seed)
        inside += result.low <= expected <= result.high
        assert result.low < result.value < result.high
        assert result.value == pytest.approx(2 * (1 - 2 * result.error))
    assert inside >= 17


def test_an_a_distance_is_symmetric_and_has_no_unit():
    source, target = normal(0, 40), normal(1, 40, shift=0.7)
    result = proxy_a_distance(source, target)

    assert proxy_a_distance(1000 * source, 1000 * target) == pytest.approx(result)
    assert proxy_a_distance(target, source).value == pytest.approx(result.value, abs=0.25)
    assert proxy_a_distance(source, target) == result
    assert proxy_a_distance(source[:2], target[:3]).low == 0  # far too few to tell


@pytest.mark.real_data
def test_digits_of_two_origins_and_of_one(shared_data):
    """MNIST and USPS; halves of MNIST, of 1,000 digits each, are no shift."""
    with h5py.File(shared_data / "mnist_usps/MNIST_vs_USPS.mat") as file:
        mnist, usps = (np.array(file[name]) for name in ("Xs", "Xt"))
    order = np.random.default_rng(0).permutation(len(mnist))
    first, second = mnist[order[:1000]], mnist[order[1000:]]

    assert proxy_a_distance(first, usps[:1000]).low > 1.9
    assert mmd(first, usps[:1000], permutations=99).p_value == 1 / 100
    assert proxy_a_distance(first, second).low == 0
    assert mmd(first, second, permutations=99).p_value > 0.05
    assert coral_distance(first, second) < coral_distance(first, usps[:1000]) / 10
    assert frechet_distance(first, second) < frechet_distance(first, usps[:1000]) / 10


@pytest.mark.parametrize("distance", [mmd, coral_distance, frechet_distance, proxy_a_distance])
@pytest.mark.parametrize(
    ("source", "target", "error", "message"),
    [
        (normal(0, 1), normal(1), BadData, r"source has features of shape \(1, 5\).*two or more"),
        (normal(0), np.zeros(9), BadData, r"target has features of shape \(9,\)"),
        (normal(0), np.zeros((4, 2, 2, 5)), BadData, "pool features of images"),
        (normal(0), normal(1, 9, 4), BadData, "source has 5 features and the target 4"),
        (normal(0), np.full((3, 5), np.nan), CheckFailed, "3 of 3 rows of the target's features"),
        (np.full((2, 5), np.inf), normal(0), CheckFailed, "2 of 2 rows of the source's features"),
    ],
)
def test_what_cannot_be_compared_is_refused(distance, source, target, error, message):
    with pytest.raises(error, match=message):
        distance(source, target)

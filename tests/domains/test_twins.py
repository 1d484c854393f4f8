"""Twins by cosine: a plain matrix is the oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer import BadData, CheckFailed
from keras_transfer.domains import twins as module
from keras_transfer.domains.twins import clusters, default_threshold, mean_cosine, twins


def features(n, seed=0, channels=6):
    """Rows of which some are near each other, as after a ReLU."""
    rng = np.random.default_rng(seed)
    centres = rng.gamma(1.0, 1.0, (max(n // 3, 1), channels))
    return centres[rng.integers(0, len(centres), n)] + 0.1 * rng.gamma(1.0, 1.0, (n, channels))


def plain(table, threshold):
    """{(i, j): cosine} from the matrix of all cosines."""
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosines = unit @ unit.T
    rows = np.argwhere(np.triu(cosines, 1) >= threshold)
    return {(int(i), int(j)): cosines[i, j] for i, j in rows}


def pairs_of(found):
    rows = zip(found.first.tolist(), found.second.tolist(), strict=True)
    return dict(zip(rows, found.cosines.tolist(), strict=True))


@pytest.mark.parametrize(("rows", "columns"), [(1024, 8192), (7, 10), (1, 1), (50, 3)])
@pytest.mark.parametrize("threshold", [0.5, 0.95, 0.999])
def test_as_a_plain_matrix_says(monkeypatch, rows, columns, threshold):
    """Whatever the tiles are."""
    monkeypatch.setattr(module, "ROWS", rows)
    monkeypatch.setattr(module, "COLUMNS", columns)
    table = features(60)

    found = twins(table, threshold)

    expected = plain(table, threshold)
    assert expected
    assert pairs_of(found) == pytest.approx(expected, abs=1e-12)
    assert (np.diff(found.cosines) <= 0).all()


@given(st.integers(0, 10_000), st.floats(0.05, 20))
def test_neither_order_nor_length_of_rows_matter(seed, factor):
    table = features(30, seed)
    order = np.random.default_rng(seed).permutation(30)

    found = pairs_of(twins(table[order] * factor, 0.9))

    back = {tuple(sorted((int(order[i]), int(order[j])))): c for (i, j), c in found.items()}
    assert back == pytest.approx(pairs_of(twins(table, 0.9)), abs=1e-12)


@given(st.integers(0, 10_000))
def test_equal_rows_have_cosine_1_and_come_first(seed):
    table = features(20, seed).astype("float32")
    table[13] = table[4]
    found = twins(table, 0.9)
    assert (found.first[0], found.second[0], found.cosines[0]) == (4, 13, 1.0)
    assert twins(table, 1.0).first.tolist() == [4]


def test_symmetric_to_the_last_bit():
    """Turned around, the pairs have the same cosines."""
    table = features(25)
    found, turned = pairs_of(twins(table, 0.8)), pairs_of(twins(table[::-1], 0.8))
    assert {(24 - j, 24 - i): cosine for (i, j), cosine in turned.items()} == found


def test_a_row_of_zeros_is_no_twin():
    table = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    assert pairs_of(twins(table, 0.5)) == {(2, 3): 1.0}
    assert mean_cosine(table) == 1.0


def test_clusters_are_connected_components():
    """0 - 1 - 2 are a chain, 3 - 4 a pair, 5 is alone."""
    pairs = module.Twins(np.array([0, 1, 3]), np.array([1, 2, 4]), np.ones(3))
    found = clusters(pairs, 6)
    assert [found[i] == found[j] for i, j in ((0, 2), (3, 4), (0, 3), (0, 5), (3, 5))] == [
        *(True, True, False, False, False)
    ]
    assert len(set(clusters(twins(np.eye(4), 0.9), 4))) == 4


def test_the_mean_cosine_is_that_of_all_pairs():
    table = features(41, channels=5)
    cosines = [*plain(table, 1e-9).values()]
    assert len(cosines) == 41 * 40 / 2
    assert mean_cosine(table) == pytest.approx(np.mean(cosines), abs=1e-12)
    assert default_threshold(table) == pytest.approx(1 - (1 - np.mean(cosines)) / 6)


def test_the_threshold_adapts_to_the_network():
    """A constant in all features, as networks for texts have it, moves all cosines towards 1."""
    rng = np.random.default_rng(0)
    table = rng.normal(0, 1, (300, 50))
    table[1] = table[0] + 0.1 * rng.normal(0, 1, 50)
    for constant in (0.0, 1.0, 5.0):
        shifted = table + constant
        found = twins(shifted, default_threshold(shifted))
        assert pairs_of(found).keys() == {(0, 1)}


def test_what_is_no_table_of_features_is_refused(monkeypatch):
    with pytest.raises(BadData, match=r"shape \(2, 2, 3\)"):
        twins(np.ones((2, 2, 3)), 0.9)
    with pytest.raises(CheckFailed, match="NaN"):
        twins(np.array([[1.0, np.nan]]), 0.9)
    for threshold in (0.0, 1.1, float("nan")):
        with pytest.raises(BadData, match="above 0 and at most 1"):
            twins(np.ones((2, 2)), threshold)
    monkeypatch.setattr(module, "MOST", 100)
    with pytest.raises(BadData, match=r"More than 100 pairs .* Raise it"):
        twins(np.ones((20, 2)), 0.9)

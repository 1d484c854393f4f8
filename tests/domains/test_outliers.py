"""Distances of single examples, by hand and against all pairs; projections of two domains."""

import numpy as np
import pytest

from keras_transfer.domains.outliers import neighbor_distances
from keras_transfer.domains.projection import projections
from keras_transfer.errors import BadData, CheckFailed


def test_distances_by_hand():
    """Of (0, 5), scaled to (0, 1), the second nearest of (0, 1), (1, 0), (-1, 0) is sqrt 2 away."""
    source = np.array([[0, 2.0], [3, 0], [-1, 0]])
    target = np.array([[0, 5.0], [7, 0]])

    assert neighbor_distances(source, target, neighbors=1) == pytest.approx([0, 0])
    assert neighbor_distances(source, target, neighbors=2) == pytest.approx([2**0.5, 2**0.5])
    # All three are asked for at most: the third of (1, 0) is (-1, 0).
    assert neighbor_distances(source, target) == pytest.approx([2**0.5, 2])


def test_distances_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(40, 6)), rng.normal(size=(9, 6))
    units = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (source, target)]
    pairs = np.linalg.norm(units[1][:, None] - units[0], axis=2)

    assert neighbor_distances(source, target) == pytest.approx(np.sort(pairs, axis=1)[:, 9])
    assert (neighbor_distances(source[::-1], target) == neighbor_distances(source, target)).all()


def test_features_that_cannot_be_compared():
    with pytest.raises(BadData, match="3 features and the target 4"):
        neighbor_distances(np.ones((5, 3)), np.ones((5, 4)))
    with pytest.raises(CheckFailed, match="not numbers"):
        neighbor_distances(np.full((5, 3), np.nan), np.ones((5, 3)))


def test_projections_keep_what_is_apart_apart():
    """Two far domains: the first principal component is the line between them."""
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(30, 5)), rng.normal(size=(20, 5)) + 50
    found = projections(source, target, seed=1)

    assert [*found] == ["PCA", "t-SNE"]
    for first, second in found.values():
        assert first.shape == (30, 2)
        assert second.shape == (20, 2)
    first, second = (plane[:, 0] for plane in found["PCA"])
    assert max(first.min(), second.min()) > min(first.max(), second.max())
    centred = np.concatenate([source, target])
    centred -= centred.mean(axis=0)
    largest = np.linalg.svd(centred, compute_uv=False)[0]
    assert np.linalg.norm(np.concatenate([first, second])) == pytest.approx(largest)
    again = projections(source, target, seed=1)
    assert (again["t-SNE"][0] == found["t-SNE"][0]).all()

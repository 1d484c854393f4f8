"""How far single examples are from a domain, by features of a frozen network."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from keras_transfer.domains.checks import feature_pair

__all__ = ["NEIGHBORS", "neighbor_distances"]

NEIGHBORS = 10
"""Which neighbour counts: the first may be a chance resemblance."""


# One thread, as in `distances`.
@threadpool_limits.wrap(limits=1)
def neighbor_distances(
    source: np.ndarray, target: np.ndarray, *, neighbors: int = NEIGHBORS
) -> np.ndarray:
    """Distance of each target example to its k-th nearest source example (Sun et al., ICML 2022).

    Of features that are scaled to length 1 (arXiv:2204.06507), so from 0 to 2: large for an example
    that resembles none of the source.

    Args:
        source: (n, channels) float, n >= 2.
        target: (m, channels) float, m >= 2.
        neighbors: k; n if there are fewer source examples.

    Returns:
        (m,) float64.

    Raises:
        BadData: See ``feature_pair``.
        CheckFailed: A feature is NaN or infinite.
    """
    source, target = (normalize(rows) for rows in feature_pair(source, target))
    index = NearestNeighbors(n_neighbors=min(neighbors, len(source))).fit(source)
    return index.kneighbors(target)[0][:, -1]

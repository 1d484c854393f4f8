"""Two domains in the plane, to be looked at. Distances there are not those of the features."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from keras_transfer.domains.checks import feature_pair

__all__ = ["projections"]

COMPONENTS = 50
"""Principal components that t-SNE is given, as its author does."""
PERPLEXITY = 30


# One thread, as in `distances`.
@threadpool_limits.wrap(limits=1)
def projections(
    source: np.ndarray, target: np.ndarray, *, seed: int = 0
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Project the features of both domains together.

    Args:
        source: (n, channels) float, n >= 2.
        target: (m, channels) float, m >= 2.
        seed: Random seed of t-SNE.

    Returns:
        "PCA" and "t-SNE" (van der Maaten & Hinton, JMLR 2008): (n, 2) and (m, 2) float each.

    Raises:
        BadData: See ``feature_pair``.
        CheckFailed: A feature is NaN or infinite.
    """
    source, target = feature_pair(source, target)
    rows = np.concatenate([source, target])
    most = min(COMPONENTS, *rows.shape)
    components = PCA(most, svd_solver="full").fit_transform(rows)
    flat = TSNE(
        perplexity=min(PERPLEXITY, (len(rows) - 1) / 3), init="pca", random_state=seed, n_jobs=1
    ).fit_transform(components)
    planes = {"PCA": components[:, :2], "t-SNE": flat}
    return {name: (plane[: len(source)], plane[len(source) :]) for name, plane in planes.items()}

"""What rows of features span."""

from __future__ import annotations

import numpy as np

__all__ = ["decomposed", "with_signs"]


def decomposed(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular value decomposition without the directions of rounding errors.

    Args:
        features: (n, channels) float64.

    Returns:
        (n, rank), (rank,) and (rank, channels), with features = left * singular @ right and
        singular values that descend.
    """
    left, singular, right = np.linalg.svd(features, full_matrices=False)
    # Features are float32. Directions of mere rounding errors would count as much as the others.
    kept = singular > np.finfo("float32").eps * singular[0]
    return left[:, kept], singular[kept], right[kept]


def with_signs(components: np.ndarray) -> np.ndarray:
    """Directions whose sign is free, with the one that makes their largest coordinate positive.

    So that machines and orders of the rows agree.

    Args:
        components: (n, channels) float64.
    """
    largest = np.abs(components).argmax(axis=1)
    return components * np.sign(np.take_along_axis(components, largest[:, None], axis=1))

"""Standardising features, of which some may be constant but for rounding."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import StandardScaler

__all__ = ["fitted_scaler"]

ROUNDING = 1e-6
"""Standard deviation, relative to the root mean square of all features, that rounding may have."""


def fitted_scaler(rows: np.ndarray, weights: np.ndarray | None = None) -> StandardScaler:
    """Fit scikit-learn's scaler, which centres constant features and does not scale them.

    Scikit-learn takes a feature for constant if float64 could not tell. Those of a network come
    from float32 and may be stored as float16: a channel that is 0 but for rounding (MiniLM has
    such) would get a weight of millions, and another rounding another prediction.

    Args:
        rows: (n, channels) features.
        weights: (n,) weights of the rows.
    """
    scaler = StandardScaler().fit(rows, sample_weight=weights)
    scale = np.sqrt(np.mean(scaler.var_ + scaler.mean_**2))
    scaler.scale_[scaler.scale_ < ROUNDING * scale] = 1.0
    return scaler

"""Checks of the arrays that metrics are computed from."""

from __future__ import annotations

import numpy as np

from keras_transfer.errors import BadData, CheckFailed

__all__ = ["check_finite", "known_rows", "to_measure"]


def known_rows(true: np.ndarray) -> np.ndarray:
    """(n,) bool: the examples whose true value is known.

    Args:
        true: (n,) int with -1 where it is not known, or (n, units) float with NaN.
    """
    true = np.asarray(true)
    return true >= 0 if true.ndim == 1 else ~np.isnan(true.astype(float)).any(axis=1)


def check_finite(scores: np.ndarray) -> None:
    """Refuse predictions that are NaN or infinite.

    Args:
        scores: (n, units) float.

    Raises:
        CheckFailed: Some are; the message has their number and the remedy.
    """
    invalid = ~np.isfinite(scores).all(axis=1)
    if invalid.any():
        raise CheckFailed(
            f"{invalid.sum()} of {len(scores)} predictions are not numbers (NaN or infinite); "
            "the model's weights have diverged. Lower the learning rate, or use float32."
        )


def to_measure(true: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the examples whose true values are known.

    Args:
        true: (n, units) float, NaN in a row that is not known.
        scores: (n, units) float.

    Returns:
        (known, units) true values and scores, both float64.

    Raises:
        BadData: No example is known.
        CheckFailed: A score is NaN or infinite.
    """
    true, scores = np.asarray(true, float), np.asarray(scores, float)
    # Broadcasting (n, 1) against (n, units) would give a wrong metric without an error.
    if true.shape != scores.shape:
        raise ValueError(f"true values {true.shape} and scores {scores.shape} differ in shape")
    known = known_rows(true)
    if not known.any():
        raise BadData("There is nothing to measure: the true values of no example are known.")
    check_finite(scores[known])
    return true[known], scores[known]

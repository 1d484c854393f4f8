"""Similarity of the pairs of a batch, as a loss."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["PairSimilarity"]


@keras.saving.register_keras_serializable(package="keras_transfer")
class PairSimilarity(keras.losses.Loss):
    """Squared error of the cosine of two rows, which is to be 1 for one class and 0 for two.

    The loss of SetFit (Tunstall et al. 2022, arXiv:2209.11055) over all pairs of a batch. For row i
    it is the mean of ``(cos(z_i, z_j) - 1)^2`` over the other rows j of its class, and the mean of
    ``cos(z_i, z_j)^2`` over those of other classes, averaged; if a batch lacks one of them, the
    other alone; 0 where there is no other row.
    """

    def __init__(self, name: str = "pair_similarity", **options: Any):
        super().__init__(name=name, **options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) errors of (batch, 1) float numbers of classes and (batch, channels) rows."""
        unit = ops.normalize(y_pred, axis=-1)
        cosines = ops.matmul(unit, ops.transpose(unit))
        labels = ops.reshape(y_true, (-1,))
        same = ops.cast(ops.equal(labels[:, None], labels[None, :]), cosines.dtype)
        other_rows = 1 - ops.eye(ops.shape(cosines)[0], dtype=cosines.dtype)
        errors = ops.square(cosines - same)
        means, present = 0.0, 0.0
        for chosen in (same * other_rows, 1 - same):
            count = ops.sum(chosen, axis=1)
            means += ops.sum(errors * chosen, axis=1) / ops.maximum(count, 1)
            present += ops.cast(count > 0, cosines.dtype)
        return means / ops.maximum(present, 1)

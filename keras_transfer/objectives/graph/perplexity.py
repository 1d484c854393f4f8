"""Perplexity as a metric of an epoch."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["Perplexity"]


@keras.saving.register_keras_serializable(package="keras_transfer")
class Perplexity(keras.metrics.Mean):
    """exp of the weighted mean of ``-log p(token)``, from logits.

    Args:
        name: Name of the metric.
        dtype: Type of the computation.
    """

    def __init__(self, name: str = "perplexity", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take (batch, p) tokens, (batch, p, tokens) logits and (batch, p) weights."""
        logits = ops.cast(y_pred, self.dtype)
        losses = ops.sparse_categorical_crossentropy(y_true, logits, from_logits=True)
        super().update_state(losses, sample_weight=sample_weight)

    def result(self) -> Any:
        """The perplexity of all batches since the last reset; 1 or more."""
        return ops.exp(super().result())

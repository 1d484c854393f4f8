"""Pooling of a sequence of features to one vector, without padding."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

from keras_transfer.tables import Table

__all__ = ["SEQUENCE_POOLINGS"]

Pooling = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


def _average(sequence: keras.KerasTensor, padding_mask: keras.KerasTensor) -> keras.KerasTensor:
    """Weighted by 1/n, so that no sum over a long sequence overflows in float16."""
    mask = ops.cast(padding_mask, sequence.dtype)
    # At least 1: a sequence of padding only must not divide by 0.
    shares = mask / ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1)
    return layers.Dot(axes=1, name="pool")([shares, sequence])


def _maximum(sequence: keras.KerasTensor, padding_mask: keras.KerasTensor) -> keras.KerasTensor:
    # Finite, so that padding alone gives no infinity; float16 ends at -65,504.
    lowest = -6.5e4 if sequence.dtype == "float16" else -3e38
    masked = ops.where(ops.expand_dims(padding_mask, -1), sequence, lowest)
    return layers.GlobalMaxPooling1D(name="pool")(masked)


def _first(sequence: keras.KerasTensor, padding_mask: keras.KerasTensor) -> keras.KerasTensor:
    # The first token is never padding, so the mask is not needed.
    return layers.Identity(name="pool")(sequence[:, 0])


SEQUENCE_POOLINGS: Table[Pooling] = Table(
    "pooling of a sequence", {"avg": _average, "max": _maximum, "token": _first}
)
"""Functions of (batch, length, width) features and the (batch, length) bool mask of those that
count, to (batch, width): mean, maximum, or the first token, [CLS]. Their last layer is "pool"."""

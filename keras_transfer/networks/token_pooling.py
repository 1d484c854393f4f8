"""Pooling of tokens of an image: some of them are of patches, those before are of all of it."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from keras_transfer.networks.heads import POOLINGS, Head
from keras_transfer.tables import Table

__all__ = ["TOKEN_POOLINGS", "pooling_of"]

Pooling = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


def _average_and_maximum(_: keras.KerasTensor, patches: keras.KerasTensor) -> keras.KerasTensor:
    both = [layers.GlobalAveragePooling1D()(patches), layers.GlobalMaxPooling1D()(patches)]
    return layers.Concatenate(name="pool")(both)


TOKEN_POOLINGS: Table[Pooling] = Table(
    "pooling of tokens",
    {
        "avg": lambda _, patches: layers.GlobalAveragePooling1D(name="pool")(patches),
        "max": lambda _, patches: layers.GlobalMaxPooling1D(name="pool")(patches),
        "avgmax": _average_and_maximum,
        "flatten": lambda _, patches: layers.Flatten(name="pool")(patches),
        "token": lambda first, _: layers.Identity(name="pool")(first),
    },
)
"""Functions of the first token (batch, channels), which is the class token or what attention
pooling gives, and those of the patches (batch, patches, channels), to (batch, width)."""


def pooling_of(name: str, prefix_tokens: int | None) -> Head:
    """The pooling of a backbone's features.

    Args:
        name: A row of ``TOKEN_POOLINGS``, or of ``POOLINGS`` for maps.
        prefix_tokens: Number of tokens before those of the patches; None for maps.

    Returns:
        Function from features to (batch, width).
    """
    if prefix_tokens is None:
        return POOLINGS[name]
    pool = TOKEN_POOLINGS[name]
    return lambda features: pool(features[:, 0], features[:, prefix_tokens:])

"""The table of text backbones: constructor and blocks of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.backbones import Marks
from keras_transfer.tables import Table

if TYPE_CHECKING:
    import keras

__all__ = ["TEXT_BACKBONES", "TextBackbone", "build_text_backbone"]


@dataclass(frozen=True)
class TextBackbone:
    """One network.

    Attributes:
        constructor: "module:name", imported when it is built. It is called with
            ``vocabulary_size``, ``length``, ``positions`` and ``sizes``.
        marks: Marks of its blocks.
        sizes: Arguments of the constructor, specific to this network.
        positions: Maximum number of tokens in a sequence.
    """

    constructor: str
    marks: Marks
    sizes: Mapping[str, int]
    positions: int = 512


_LAYERS = Marks(r"(embeddings|layer_\d+)(?:_|$)")


def _transformer(depth: int, width: int, heads: int) -> TextBackbone:
    sizes = {"depth": depth, "width": width, "heads": heads}
    return TextBackbone("keras_transfer.networks.transformer:transformer", _LAYERS, sizes)


TEXT_BACKBONES: Table[TextBackbone] = Table(
    "text backbone",
    {
        "transformer_tiny": _transformer(2, 32, 2),
        "transformer_small": _transformer(4, 128, 4),
    },
)


def build_text_backbone(
    name: str, *, vocabulary_size: int, length: int, dropout: float = 0.0
) -> keras.Model:
    """Build a network for token ids, with random weights.

    Args:
        name: A row of ``TEXT_BACKBONES``.
        vocabulary_size: Number of tokens in the vocabulary.
        length: Tokens of each sequence, padding included.
        dropout: Share of values dropped in training. With 0 it answers in training as it does
            in ``predict``, as cached features need it.

    Returns:
        A functional model called "backbone": ``{"token_ids": (batch, length) int32,
        "padding_mask": (batch, length) bool}`` to (batch, length, width) floats.

    Raises:
        UnknownName: No such network.
        BadConfiguration: It cannot take sequences so long.
    """
    row = TEXT_BACKBONES[name]
    # Two tokens are [CLS] and [SEP], without which no text is encoded.
    if not 2 <= length <= row.positions:
        raise BadConfiguration(
            f"{name} takes sequences of 2 to {row.positions} tokens, not {length}. "
            f"Take length = {row.positions} or less."
        )
    import keras

    module, _, constructor = row.constructor.partition(":")
    network = getattr(import_module(module), constructor)(
        vocabulary_size=vocabulary_size,
        length=length,
        positions=row.positions,
        dropout=dropout,
        **row.sizes,
    )
    return keras.Model(network.input, network.output, name="backbone")

"""The table of text backbones: constructor and blocks of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_transfer.errors import BadConfiguration, BadWeights
from keras_transfer.networks.backbone_spec import HubPreset, Marks
from keras_transfer.networks.hub_text_backbones import HUB_TEXT_BACKBONES, HubText
from keras_transfer.tables import Table

if TYPE_CHECKING:
    import keras

__all__ = ["TEXT_BACKBONES", "TextBackbone", "build_text_backbone"]


PADDING = 128
"""Most rows of an embedding that belong to no token."""


@dataclass(frozen=True)
class TextBackbone:
    """One network.

    Attributes:
        constructor: "module:name", imported when it is built; "" for a network of KerasHub. It is
            called with ``vocabulary_size``, ``length``, ``positions``, ``pairs`` and ``sizes``.
        marks: Marks of its blocks.
        sizes: Arguments of the constructor, specific to this network.
        positions: Maximum number of tokens in a sequence.
        hub: Which network of KerasHub it is.
        parameters: Number of parameters with the vocabulary of that preset.
    """

    constructor: str
    marks: Marks
    sizes: Mapping[str, int]
    positions: int = 512
    hub: HubPreset | None = None
    parameters: int = 0


_LAYERS = Marks(r"(embeddings|layer_\d+)(?:_|$)")


def _transformer(depth: int, width: int, heads: int) -> TextBackbone:
    sizes = {"depth": depth, "width": width, "heads": heads}
    return TextBackbone("keras_transfer.networks.transformer:transformer", _LAYERS, sizes)


def _of_hub(row: HubText) -> TextBackbone:
    return TextBackbone("", _LAYERS, row.hub.config, hub=row.hub, parameters=row.parameters)


TEXT_BACKBONES: Table[TextBackbone] = Table(
    "text backbone",
    {
        "transformer_tiny": _transformer(2, 32, 2),
        "transformer_small": _transformer(4, 128, 4),
        **{name: _of_hub(row) for name, row in HUB_TEXT_BACKBONES.items()},
    },
)


def build_text_backbone(
    name: str,
    *,
    vocabulary_size: int,
    length: int,
    dropout: float = 0.0,
    config: Mapping[str, Any] | None = None,
    pairs: bool = False,
) -> keras.Model:
    """Build a network for token ids, with random weights.

    Args:
        name: A row of ``TEXT_BACKBONES``.
        vocabulary_size: Number of tokens in the vocabulary.
        length: Tokens of each sequence, padding included.
        dropout: Share of values dropped in training. With 0 it answers in training as it does
            in ``predict``, as cached features need it. Networks of KerasHub have none.
        config: What the preset of a network of KerasHub says, as ``preset_config`` returns it.
        pairs: Whether sequences are pairs of texts. Then it also takes ``segment_ids``, (batch,
            length) int32, unless it has no embeddings of segments (DistilBERT).

    Returns:
        A functional model called "backbone": ``{"token_ids": (batch, length) int32,
        "padding_mask": (batch, length) bool}`` to (batch, length, width) floats.

    Raises:
        UnknownName: No such network.
        BadConfiguration: It cannot take sequences so long.
        BadWeights: The preset has embeddings for another number of tokens.
    """
    row = TEXT_BACKBONES[name]
    positions = (config or {}).get("max_sequence_length", row.positions)
    # Two tokens are [CLS] and [SEP], without which no text is encoded.
    if not 2 <= length <= positions:
        raise BadConfiguration(
            f"{name} takes sequences of 2 to {positions} tokens, not {length}. "
            f"Take length = {positions} or less."
        )
    if row.hub is not None:
        return _hub_network(row.hub, config, vocabulary_size, length, pairs)
    import keras

    module, _, constructor = row.constructor.partition(":")
    network = getattr(import_module(module), constructor)(
        vocabulary_size=vocabulary_size,
        length=length,
        positions=positions,
        dropout=dropout,
        pairs=pairs,
        **row.sizes,
    )
    return keras.Model(network.input, network.output, name="backbone")


def _hub_network(
    hub: HubPreset,
    config: Mapping[str, Any] | None,
    vocabulary_size: int,
    length: int,
    pairs: bool,
) -> keras.Model:
    from keras_transfer.networks.hub import FAMILIES, complete, constructor
    from keras_transfer.networks.hub_texts import flat

    family = FAMILIES[hub.family]
    given = {family.vocabulary: vocabulary_size, **complete(hub.family, config or hub.config)}
    # Some networks have a few rows more than tokens, so that their number is a round one.
    if not 0 <= given[family.vocabulary] - vocabulary_size <= PADDING:
        raise BadWeights(
            f"The vocabulary of the preset has {vocabulary_size:,} tokens, and its network "
            f"embeddings for {given[family.vocabulary]:,}: they do not belong together."
        )
    return flat(constructor(family)(**given), family, length, pairs=pairs)

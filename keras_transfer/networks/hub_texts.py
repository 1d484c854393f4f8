"""Networks of KerasHub for texts as backbones, with every block a layer of the graph.

KerasHub's own layers are called one after the other: same weights, same sequence. What it computes
of the first token besides (``pooled_dense``) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_transfer.networks.hub_family import Family, named

__all__ = ["TEXT_FAMILIES", "flat"]

Inputs = Mapping[str, keras.KerasTensor]


def flat(network: Any, family: Family, length: int, *, pairs: bool = False) -> keras.Model:
    """Take a network of KerasHub apart; the model shares its layers.

    Args:
        network: Of the family; it is not used by itself afterwards.
        family: How it is taken apart.
        length: Tokens of each sequence, padding included.
        pairs: Whether sequences are pairs of texts: a network with embeddings of segments then
            takes ``segment_ids``, (batch, length) int32, too.

    Returns:
        ``{"token_ids": (batch, length) int32, "padding_mask": (batch, length) bool}`` to
        (batch, length, width) floats; those at padding mean nothing.
    """
    inputs = {
        "token_ids": keras.Input((length,), dtype="int32", name="token_ids"),
        "padding_mask": keras.Input((length,), dtype="bool", name="padding_mask"),
    }
    if pairs and hasattr(network, "segment_embedding"):
        inputs["segment_ids"] = keras.Input((length,), dtype="int32", name="segment_ids")
    return keras.Model(inputs, family.unrolled(network, inputs), name="backbone")


def _bert(network: Any, inputs: Inputs) -> keras.KerasTensor:
    """BERT, and ELECTRA, whose embeddings may be narrower than its blocks."""
    tokens = named(network.token_embedding, "embeddings_token")(inputs["token_ids"])
    places = named(network.position_embedding, "embeddings_position")(tokens)
    segments = named(network.segment_embedding, "embeddings_segment")(_segments(inputs))
    x = named(network.embeddings_add, "embeddings_add")((tokens, places, segments))
    x = named(network.embeddings_layer_norm, "embeddings_norm")(x)
    projection = getattr(network, "embeddings_projection", None)
    if projection is not None:
        x = named(projection, "embeddings_projection")(x)
    return _layers(network, x, inputs)


def _distil_bert(network: Any, inputs: Inputs) -> keras.KerasTensor:
    x = named(network.embeddings, "embeddings_token")(inputs["token_ids"])
    x = named(network.embeddings_layer_norm, "embeddings_norm")(x)
    return _layers(network, x, inputs)


def _segments(inputs: Inputs) -> keras.KerasTensor:
    """Which text of a pair each token belongs to; a single text is the first."""
    if "segment_ids" in inputs:
        return inputs["segment_ids"]
    # Made of the input: a constant would not be saved with the model.
    return ops.zeros_like(inputs["token_ids"])


def _layers(network: Any, x: keras.KerasTensor, inputs: Inputs) -> keras.KerasTensor:
    """Each reads the mask itself, so that between two of them nothing else passes."""
    for number, layer in enumerate(network.transformer_layers):
        x = named(layer, f"layer_{number}")(x, padding_mask=inputs["padding_mask"])
    return x


_SIZES = ("num_layers", "num_heads", "hidden_dim", "intermediate_dim")

TEXT_FAMILIES: Mapping[str, Family] = {
    "bert": Family(
        "bert.bert_backbone", "BertBackbone", _SIZES, _bert, vocabulary="vocabulary_size"
    ),
    "distil_bert": Family(
        "distil_bert.distil_bert_backbone",
        "DistilBertBackbone",
        _SIZES,
        _distil_bert,
        vocabulary="vocabulary_size",
    ),
    "electra": Family(
        "electra.electra_backbone",
        "ElectraBackbone",
        (*_SIZES, "embedding_dim"),
        _bert,
        vocabulary="vocab_size",
    ),
}
"""Networks with WordPiece tokens."""

"""A small transformer encoder for texts."""

from __future__ import annotations

from collections.abc import Mapping

import keras
from keras import layers

__all__ = ["transformer"]

_EPSILON = 1e-6  # of layer normalisation
_INITIAL = 0.02  # standard deviation of BERT's weights at the start


def transformer(
    *,
    vocabulary_size: int,
    length: int,
    depth: int,
    width: int,
    heads: int,
    positions: int = 512,
    dropout: float = 0.0,
    pairs: bool = False,
) -> keras.Model:
    """Build a transformer encoder (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762).

    Layer normalisation comes before attention and before the feed-forward network, not after
    as in BERT: so it trains from random weights without a warm-up (Xiong et al. 2020,
    https://arxiv.org/abs/2002.04745), which is what a network without published weights is for.
    The feed-forward networks are 4 times as wide. All layers are Keras's own; of each block
    the names begin alike: ``embeddings_...``, ``layer_0_...``, ``layer_1_...``.

    Nothing of a sequence depends on how far it is padded: no token attends to padding, and
    positions are counted from the first token. Each block reads ``padding_mask`` itself, so
    that between two blocks nothing passes but their sequence and that input.

    Args:
        vocabulary_size: Number of tokens in the vocabulary.
        length: Tokens of each sequence, padding included; at most ``positions``.
        depth: Number of blocks of attention and feed-forward network.
        width: Of the embeddings and of each block, a multiple of ``heads``.
        heads: Of each attention.
        positions: Size of the table of positions; networks of other lengths share weights.
        dropout: Share of values dropped in training after the embeddings, in attention, and
            after attention and feed-forward network.
        pairs: Whether sequences are pairs of texts: then it also takes ``segment_ids``, (batch,
            length) int32, 0 or 1, whose embeddings are added.

    Returns:
        ``{"token_ids": (batch, length) int32, "padding_mask": (batch, length) bool}`` to
        (batch, length, width) floats; those at padding mean nothing.
    """
    token_ids = keras.Input((length,), dtype="int32", name="token_ids")
    padding_mask = keras.Input((length,), dtype="bool", name="padding_mask")
    inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
    if pairs:
        inputs["segment_ids"] = keras.Input((length,), dtype="int32", name="segment_ids")
    x = _embedded(inputs, vocabulary_size, positions, width)
    x = _dropped(x, dropout, "embeddings_dropout")
    for number in range(depth):
        name = f"layer_{number}"
        attended = _attention(
            _normalised(x, f"{name}_attention"), padding_mask, name, heads, dropout
        )
        x = layers.Add(name=f"{name}_attention_add")([x, attended])
        changed = _feed_forward(_normalised(x, f"{name}_feed_forward"), name)
        changed = _dropped(changed, dropout, f"{name}_feed_forward_dropout")
        x = layers.Add(name=f"{name}_feed_forward_add")([x, changed])
    # With the normalisation before each block, the sum of all blocks is not normalised yet.
    # Its name puts this layer into the last block, so that it is unfrozen with it.
    x = _normalised(x, f"layer_{depth - 1}_output")
    return keras.Model(inputs, x, name="transformer")


def _embedded(
    inputs: Mapping[str, keras.KerasTensor], vocabulary_size: int, positions: int, width: int
) -> keras.KerasTensor:
    """Sum of the embeddings of each token, of its position, and of its text of a pair."""

    def table(size: int, name: str) -> layers.Layer:
        # Reversible: a head that predicts masked tokens projects by its transpose.
        kind = layers.ReversibleEmbedding if name == "embeddings_token" else layers.Embedding
        return kind(size, width, embeddings_initializer=_initial(), name=name)

    token_ids = inputs["token_ids"]
    # A running number, made of the input: a constant would not be saved with the model.
    places = keras.ops.cumsum(keras.ops.ones_like(token_ids), axis=1) - 1
    tokens = table(vocabulary_size, "embeddings_token")(token_ids)
    summands = [tokens, table(positions, "embeddings_position")(places)]
    if "segment_ids" in inputs:
        summands.append(table(2, "embeddings_segment")(inputs["segment_ids"]))
    return layers.Add(name="embeddings_add")(summands)


def _attention(
    x: keras.KerasTensor, padding_mask: keras.KerasTensor, name: str, heads: int, dropout: float
) -> keras.KerasTensor:
    width = x.shape[-1]
    # (batch, 1, length): all queries share one mask, which Keras broadcasts. No Reshape, which
    # would hold for this length only.
    mask = keras.ops.expand_dims(padding_mask, 1)
    attention = layers.MultiHeadAttention(
        heads,
        width // heads,
        dropout=dropout,
        kernel_initializer=_initial(),
        name=f"{name}_attention",
    )
    return _dropped(attention(x, x, attention_mask=mask), dropout, f"{name}_attention_dropout")


def _feed_forward(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    def dense(units: int, which: str) -> layers.Layer:
        return layers.Dense(
            units, kernel_initializer=_initial(), name=f"{name}_feed_forward_{which}"
        )

    width = x.shape[-1]
    # By tanh, as in BERT's code: ONNX has no operation for the exact one that TensorFlow uses.
    activated = keras.ops.gelu(dense(4 * width, "in")(x), approximate=True)
    return dense(width, "out")(activated)


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_norm")(x)


def _dropped(x: keras.KerasTensor, dropout: float, name: str) -> keras.KerasTensor:
    return layers.Dropout(dropout, name=name)(x) if dropout else x


def _initial() -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(stddev=_INITIAL)

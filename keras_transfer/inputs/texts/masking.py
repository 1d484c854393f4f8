"""Whole-word masking of token sequences, inside a graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_transfer.inputs.texts.vocabulary import CONTINUATION, SPECIAL_TOKENS, Vocabulary
from keras_transfer.inputs.texts.words import constant

__all__ = ["MULTIPLE", "Masked", "WordMasking", "fixed_seeds"]

MULTIPLE = 8
"""The places of a batch are padded to a multiple of it: a graph sees few shapes."""

MASK, RANDOM = 0.8, 0.9
"""Below the first a token becomes [MASK], below the second another one; else it stays."""


class Masked(NamedTuple):
    """Sequences with masked words.

    Attributes:
        token_ids: (batch, length) int32, changed at the places.
        positions: (batch, p) int32 places of the masked tokens, in order; 0 where there are less.
        targets: (batch, p) int32 tokens that stood there.
        weights: (batch, p) float32: 1 for a place, 0 for what pads the row.
    """

    token_ids: tf.Tensor
    positions: tf.Tensor
    targets: tf.Tensor
    weights: tf.Tensor


class WordMasking:
    """Masks whole words as BERT does (Devlin et al. 2019, https://arxiv.org/abs/1810.04805).

    Of w words, ``floor(share w + 1/2)`` but at least one are drawn, all equally often; all their
    tokens are predicted. Each of these tokens becomes [MASK] (80 %), any ordinary token (10 %), or
    stays (10 %), independently, as in BERT's code for whole words. A word is a token and the
    pieces that continue it. Special tokens, [UNK] too, are no words and never replace one.

    What is drawn for a sequence depends on its own seed, not on the batch that it is in.

    Args:
        vocabulary: The tokens.
        share: Share of the words, from 0 to 1.
        length: Longest sequence.
    """

    def __init__(self, vocabulary: Vocabulary, share: float, length: int):
        tokens = vocabulary.tokens
        special = np.array([token in SPECIAL_TOKENS for token in tokens])
        unused = np.array([token.startswith("[unused") for token in tokens])
        self._special = constant(special)
        self._continued = constant(np.array([token.startswith(CONTINUATION) for token in tokens]))
        self._ordinary = constant(np.flatnonzero(~special & ~unused).astype("int32"))
        self._mask_id = vocabulary.special["[MASK]"]
        self.share, self.length = share, length

    def __call__(self, token_ids: tf.Tensor, seeds: tf.Tensor) -> Masked:
        """Mask a batch.

        Args:
            token_ids: (batch, at most ``length``) int32.
            seeds: (batch, 2) int32; they determine all that is drawn.
        """
        drawn = self._drawn(seeds)[:, : tf.shape(token_ids)[1]]
        chosen = self._chosen(token_ids, drawn[..., 0])
        changed = tf.where(chosen, self._replaced(token_ids, drawn), token_ids)
        count = tf.reduce_sum(tf.cast(chosen, tf.int32), axis=1)
        most = -(-tf.maximum(tf.reduce_max(count), 1) // MULTIPLE) * MULTIPLE
        # The masked places first, in their order.
        order = tf.argsort(tf.cast(~chosen, tf.int32), axis=1, stable=True)[:, :most]
        there = tf.sequence_mask(count, tf.shape(order)[1])
        positions = tf.where(there, order, 0)
        targets = tf.gather(token_ids, positions, batch_dims=1)
        return Masked(changed, positions, targets, tf.cast(there, tf.float32))

    def _drawn(self, seeds: tf.Tensor) -> tf.Tensor:
        """(batch, length, 3) float32 from 0 to 1, a row of numbers for each place."""
        # Always for the full length: a batch without its padding has the same masks.
        shape = (self.length, 3)
        return tf.map_fn(
            lambda seed: tf.random.stateless_uniform(shape, seed),
            seeds,
            fn_output_signature=tf.TensorSpec(shape, tf.float32),
        )

    def _chosen(self, token_ids: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """(batch, length) bool: the tokens of the words that are drawn."""
        ordinary = ~tf.gather(self._special, token_ids)
        # A piece whose word was cut off before it begins a word itself.
        after = tf.pad(ordinary[:, :-1], [[0, 0], [1, 0]])
        begins = ordinary & ~(tf.gather(self._continued, token_ids) & after)
        words = tf.reduce_sum(tf.cast(begins, tf.int32), axis=1)
        # float64, so that a half is rounded as it is by hand.
        wanted = tf.floor(tf.cast(words, tf.float64) * self.share + 0.5)
        wanted = tf.minimum(tf.maximum(tf.cast(wanted, tf.int32), 1), words)
        order = tf.argsort(tf.where(begins, numbers, 2.0), axis=1, stable=True)
        ranks = tf.argsort(order, axis=1)  # of each place among the beginnings of words
        drawn = begins & (ranks < wanted[:, tf.newaxis])
        # From the beginning of its word to each token.
        places = tf.argsort(tf.cast(~begins, tf.int32), axis=1, stable=True)
        word = tf.maximum(tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1, 0)
        begin = tf.gather(places, word, batch_dims=1)
        return ordinary & tf.gather(drawn, begin, batch_dims=1)

    def _replaced(self, token_ids: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        """(batch, length) int32: what each token becomes if its word is drawn."""
        size = tf.size(self._ordinary)
        number = tf.cast(drawn[..., 2] * tf.cast(size, tf.float32), tf.int32)
        other = tf.gather(self._ordinary, tf.minimum(number, size - 1))
        kept = tf.where(drawn[..., 1] < RANDOM, other, token_ids)
        return tf.where(drawn[..., 1] < MASK, self._mask_id, kept)


def fixed_seeds(token_ids: tf.Tensor, padding_mask: tf.Tensor) -> tf.Tensor:
    """(batch, 2) int32 seeds that follow from the tokens alone, for masks that stay the same.

    Args:
        token_ids: (batch, length) int32.
        padding_mask: (batch, length) bool; padding has no influence.
    """
    words = tf.where(padding_mask, tf.strings.as_string(token_ids), "")
    joined = tf.strings.reduce_join(words, axis=1, separator=" ")
    joined = tf.strings.regex_replace(joined, " +$", "")
    number = tf.strings.to_hash_bucket_fast(joined, 2**31 - 1)
    return tf.stack([tf.cast(number, tf.int32), tf.zeros_like(number, tf.int32)], axis=1)

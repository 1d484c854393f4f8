"""WordPiece tokens of pairs of texts, packed into one sequence."""

from __future__ import annotations

import tensorflow as tf

from keras_transfer.inputs.texts.wordpiece import WordPiece

__all__ = ["PairWordPiece"]


class PairWordPiece(WordPiece):
    """Tokens of pairs of texts, as BERT packs them (Devlin et al. 2019).

    Where a pair is too long, its longer text loses its end first, token by token, until both are
    equally long; then the second loses the next one. So do BERT's own ``_truncate_seq_pair``,
    KerasHub's ``round_robin`` and Hugging Face's ``longest_first`` in Python.

    Args:
        vocabulary: The tokens.
        lowercase: As for ``WordPiece``.
        length: Tokens of each pair, including [CLS] and two [SEP]; 5 or more.
    """

    special_tokens = 3

    def __call__(self, texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turn pairs into network inputs.

        Args:
            texts: (2,) or (batch, 2) string.

        Returns:
            ``token_ids``, (length,) or (batch, length) int32: [CLS] a [SEP] b [SEP] [PAD] ...;
            ``padding_mask``, the same shape, bool, true for all tokens but [PAD]; and
            ``segment_ids``, int32: 1 for b and the [SEP] behind it, else 0.
        """
        texts = tf.convert_to_tensor(texts)
        if texts.shape.rank == 1:
            return {name: values[0] for name, values in self(texts[tf.newaxis]).items()}
        room = self.length - self.special_tokens
        return self.pack_pairs(*(self.tokenize(texts[:, i], room) for i in range(2)))

    def pack_pairs(self, first: tf.RaggedTensor, second: tf.RaggedTensor) -> dict[str, tf.Tensor]:
        """Truncate (batch, None) tokens of both texts, and put [CLS] and [SEP] around them."""
        room = self.length - self.special_tokens
        sizes = first.row_lengths(), second.row_lengths()
        # Of an odd number of tokens the first text has one more.
        halves = (room - room // 2, room // 2)
        first = _cut(first, tf.maximum(room - sizes[1], halves[0]))
        second = _cut(second, tf.maximum(room - sizes[0], halves[1]))
        count, special = first.nrows(), self.vocabulary.special

        def column(token: str) -> tf.Tensor:
            return tf.fill([count, 1], tf.constant(special[token], tf.int32))

        packed = tf.concat(
            [column("[CLS]"), first, column("[SEP]"), second, column("[SEP]")], axis=1
        )
        ends = packed.row_lengths()
        begins = first.row_lengths() + 2
        mask = tf.sequence_mask(ends, self.length)
        ids = packed.to_tensor(special["[PAD]"], shape=(None, self.length))
        segments = tf.cast(mask & ~tf.sequence_mask(begins, self.length), tf.int32)
        return {"token_ids": ids, "padding_mask": mask, "segment_ids": segments}


def _cut(tokens: tf.RaggedTensor, sizes: tf.Tensor) -> tf.RaggedTensor:
    """The first tokens of each row, at most (batch,) int64 of them."""
    rows, starts = tokens.value_rowids(), tokens.row_starts()
    places = tf.range(tf.size(rows, tf.int64)) - tf.gather(starts, rows)
    kept = places < tf.gather(sizes, rows)
    return tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(tokens.values, kept),
        tf.boolean_mask(rows, kept),
        nrows=tokens.nrows(),
        validate=False,
    )

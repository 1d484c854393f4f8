"""How well a length and a vocabulary fit texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_transfer.inputs.texts.wordpiece import WordPiece

__all__ = ["TextSurvey", "survey"]

_BATCH = 1024


class TextSurvey(NamedTuple):
    """Counts of tokens, [CLS] and [SEP] included.

    Attributes:
        length: Maximum number of tokens per text.
        median: Tokens of the median text.
        longest: Tokens of the longest text.
        truncated: Share of the texts longer than ``length``.
        padding: Share of all positions that are padding.
        unknown: Share of the tokens that are [UNK].
    """

    length: int
    median: float
    longest: int
    truncated: float
    padding: float
    unknown: float

    def __str__(self) -> str:
        return (
            f"Texts have {self.median:g} tokens in the median, {self.longest:,} at most; length "
            f"{self.length} truncates {self.truncated:.1%} of them, {self.padding:.0%} of all "
            f"positions are padding, {self.unknown:.1%} of the tokens are unknown"
        )


def survey(tokenizer: WordPiece, texts: Sequence[Any]) -> TextSurvey:
    """Tokenise texts, or pairs of them, without truncation, and count.

    Args:
        tokenizer: With the length and the vocabulary in question.
        texts: One or more; strings, or bytes in UTF-8; for pairs tuples of them.
    """
    tokenize = tf.function(
        tokenizer.tokenize, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
    )
    unknown_id = tokenizer.vocabulary.special["[UNK]"]
    sizes, unknown = [], 0
    for start in range(0, len(texts), _BATCH):
        batch = tf.constant(texts[start : start + _BATCH], tf.string)
        tokens = tokenize(tf.reshape(batch, [-1]))
        counts = tokens.row_lengths().numpy().reshape(len(batch), -1).sum(1)
        sizes.append(counts + tokenizer.special_tokens)
        unknown += int(np.sum(tokens.values.numpy() == unknown_id))
    lengths = np.concatenate(sizes)
    known = np.minimum(lengths, tokenizer.length)
    return TextSurvey(
        tokenizer.length,
        float(np.median(lengths)),
        int(lengths.max()),
        float(np.mean(lengths > tokenizer.length)),
        float(1 - known.sum() / (tokenizer.length * len(lengths))),
        float(unknown / max(np.sum(lengths - tokenizer.special_tokens), 1)),
    )

"""The likeliest words in the place of [MASK], by a run that was pretrained by masked words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transfer.errors import BadConfiguration, BadData

__all__ = ["MASK", "likely_words"]

MASK = "[MASK]"

Words = list[tuple[str, float]]


def likely_words(run: Any, texts: str | Sequence[str], k: int = 5) -> list[list[Words]]:
    """Predict the masked tokens of texts.

    Args:
        run: A finished run of ``Pretrain``.
        texts: One or several, each with at least one ``[MASK]``, which stands for one token.
        k: Number of words, the likeliest first.

    Returns:
        For each text and each of its masks k tokens with their probabilities, among all tokens.

    Raises:
        BadConfiguration: The run predicts no masked words, or k is below 1.
        BadData: A text has no ``[MASK]``, or one behind the longest sequence.
    """
    if not run.pretrained:
        raise BadConfiguration(
            f"The run in {run.folder} predicts no masked words. Run the recipe mlm for such a one."
        )
    if k < 1:
        raise BadConfiguration(f"k = {k}: should be 1 or more.")
    return [_of_text(run, text, k) for text in ([texts] if isinstance(texts, str) else texts)]


def _of_text(run: Any, text: str, k: int) -> list[Words]:
    import tensorflow as tf
    from keras import ops

    from keras_transfer.inputs.masked_text import MASK_POSITIONS, MASKED

    bound = run.loading.input
    vocabulary, length = bound.vocabulary, bound.settings.length
    sequence, places = _sequence(bound, text)
    if not places:
        raise BadData(f"{text!r:.200} has no {MASK}, whose word would be predicted.")
    if places[-1] > length - 2:
        raise BadData(
            f"{text!r:.200} has a {MASK} behind its first {length - 2} tokens, and the network "
            "takes no more. Shorten it."
        )
    sequence = [*sequence[: length - 1], vocabulary.special["[SEP]"]]
    padding = length - len(sequence)
    inputs = {
        "token_ids": tf.constant([sequence + padding * [vocabulary.special["[PAD]"]]]),
        "padding_mask": tf.constant([len(sequence) * [True] + padding * [False]]),
        MASK_POSITIONS: tf.constant([places]),
    }
    logits = run.model(inputs, training=False)[MASKED][0]
    probabilities = np.asarray(ops.softmax(ops.cast(logits, "float32")))[:, : len(vocabulary)]
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return [
        [(vocabulary.tokens[token], float(row[token])) for token in tokens]
        for row, tokens in zip(probabilities, best, strict=True)
    ]


def _sequence(bound: Any, text: str) -> tuple[list[int], list[int]]:
    """Tokens with [CLS] and without [SEP], and the places of the masks among them."""
    import tensorflow as tf

    from keras_transfer.inputs.texts.wordpiece import WordPiece

    tokenizer = WordPiece(bound.vocabulary, lowercase=bound.lowercase, length=bound.settings.length)
    # It would split the mask at its brackets, as it does with those of any text.
    parts = tokenizer.tokenize(tf.constant(text.split(MASK))).to_list()
    special = bound.vocabulary.special
    sequence, places = [special["[CLS]"], *parts[0]], []
    for part in parts[1:]:
        places.append(len(sequence))
        sequence += [special[MASK], *part]
    return sequence, places

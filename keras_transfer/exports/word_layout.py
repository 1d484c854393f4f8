"""What a SavedModel returns for texts whose words have labels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_transfer.inputs.texts.wordpiece import Located
from keras_transfer.objectives.outputs import Output

__all__ = ["served_words"]


def served_words(output: Output, scores: Any, located: Located) -> dict[str, tf.Tensor]:
    """Labels and places of words, first word first; in a graph.

    Args:
        output: Its names are those of the labels.
        scores: (n, tokens, labels) float32 probabilities.
        located: The tokens.

    Returns:
        Each (n, tokens), filled up behind the last word: ``labels`` string ("" there), their
        ``probabilities`` float32, ``starts`` and ``ends`` int32, characters (code points) of the
        text, the end exclusive (0 there); and ``scores`` as given.
    """
    # Places of the first tokens come first, in their order.
    order = tf.argsort(tf.cast(~located.starts, tf.int32), axis=1, stable=True)
    filled = tf.gather(located.starts, order, batch_dims=1)
    best = tf.argmax(scores, axis=-1)
    names = tf.gather(tf.constant(output.names, tf.string), best)
    spans = tf.gather(located.spans, order, batch_dims=1)

    def by_word(values: tf.Tensor, empty: Any) -> tf.Tensor:
        return tf.where(filled, tf.gather(values, order, batch_dims=1), empty)

    return {
        "labels": by_word(names, ""),
        "probabilities": by_word(tf.reduce_max(scores, axis=-1), 0.0),
        "starts": tf.where(filled, spans[:, :, 0], 0),
        "ends": tf.where(filled, spans[:, :, 1], 0),
        "scores": scores,
    }

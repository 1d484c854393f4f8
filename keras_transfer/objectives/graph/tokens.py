"""Loss and metrics of labels of words, whose other places do not count."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

__all__ = ["EntityF1", "TokenAccuracy", "TokenCrossentropy"]


@keras.saving.register_keras_serializable(package="keras_transfer")
class TokenCrossentropy(keras.losses.Loss):
    """Cross-entropy of the words of a sentence: their sum, divided by a fixed number of words.

    For logits z and labels y of the places t of words: sum over t of -log softmax(z_t)[y_t] / w.
    With w the mean number of words of a sentence, the mean over sentences is about the mean over
    words; each word counts alike, whatever the length of its sentence.

    Args:
        words: Number of words w, above 0.
        name: Name of the loss.
        **options: Options of every Keras loss.
    """

    def __init__(self, words: float = 1.0, name: str = "token_crossentropy", **options: Any):
        super().__init__(name=name, **options)
        self.words = float(words)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) losses.

        Args:
            y_true: (batch, places) int labels, negative where nothing counts; there may be more
                places than tokens.
            y_pred: (batch, tokens, labels) logits.
        """
        labels = _at_tokens(y_true, y_pred)
        counted = labels >= 0
        # 0 in place of a negative label, whose loss would be NaN even with the weight 0.
        losses = ops.sparse_categorical_crossentropy(
            ops.maximum(labels, 0), y_pred, from_logits=True
        )
        return ops.sum(ops.where(counted, losses, 0.0), axis=-1) / self.words

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {**super().get_config(), "words": self.words}


@keras.saving.register_keras_serializable(package="keras_transfer")
class TokenAccuracy(keras.metrics.Mean):
    """Share of the words whose most probable label is right; arguments as of the loss."""

    def __init__(self, name: str = "accuracy", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch; ``sample_weight`` is (batch,)."""
        labels = _at_tokens(y_true, y_pred)
        counted = ops.cast(labels >= 0, "float32")
        if sample_weight is not None:
            counted = counted * ops.expand_dims(ops.cast(sample_weight, "float32"), -1)
        right = ops.cast(labels == ops.argmax(y_pred, axis=-1), "float32")
        super().update_state(right, counted)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {"name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="keras_transfer")
class EntityF1(keras.metrics.Metric):
    """F1 of entities of all types, as ``evaluation.entities`` counts them, over an epoch.

    Words are those of the tokeniser: a word with punctuation in it is several.

    Attributes:
        compiles: XLA knows no arrays whose size depends on the data, such as the entities.
    """

    compiles = False

    def __init__(self, name: str = "f1", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        names = ("true", "predicted", "right")
        self.counts = {n: self.add_weight(name=n, initializer="zeros") for n in names}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch; arguments as of ``TokenAccuracy``."""
        labels = _at_tokens(y_true, y_pred)
        weights = tf.ones_like(labels[:, 0], tf.float32)
        if sample_weight is not None:
            weights = tf.cast(sample_weight, tf.float32)
        counted = labels >= 0
        rows = tf.where(counted)[:, 0]
        predicted = tf.argmax(y_pred, axis=-1, output_type=labels.dtype)
        true, decided = (tf.boolean_mask(values, counted) for values in (labels, predicted))
        for name, value in zip(self.counts, _counts(true, decided, rows, weights), strict=True):
            self.counts[name].assign_add(value)

    def result(self) -> Any:
        """2 right / (true + predicted); 0 without entities."""
        true, predicted, right = self.counts.values()
        return 2 * right / ops.maximum(true + predicted, 1e-9)

    def reset_state(self) -> None:
        """Start an epoch."""
        for value in self.counts.values():
            value.assign(0.0)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {"name": self.name, "dtype": self.dtype}


def _at_tokens(y_true: Any, y_pred: Any) -> Any:
    """Labels of the places that have tokens: batches may be shorter than their labels."""
    return ops.cast(y_true, "int32")[:, : ops.shape(y_pred)[1]]


def _counts(true: tf.Tensor, predicted: tf.Tensor, rows: tf.Tensor, weights: tf.Tensor) -> tuple:
    """Weighted numbers of true, predicted and right entities, of (m,) labels by (m,) row."""
    first = tf.concat([tf.fill([1], True), rows[1:] != rows[:-1]], 0)[: tf.size(rows)]
    last = tf.concat([first[1:], tf.fill([1], True)], 0)[: tf.size(rows)]
    a, b = (_marks(labels, first, last) for labels in (true, predicted))
    each = tf.gather(weights, rows)
    alike = (a[0] == b[0]) & (a[1] == b[1]) & (a[2] == b[2])
    inside = a[0] > 0
    number = tf.cumsum(tf.cast(a[1], tf.int32)) - 1
    faults = tf.math.unsorted_segment_sum(
        tf.cast(tf.boolean_mask(~alike, inside), tf.int32),
        tf.boolean_mask(number, inside),
        tf.reduce_sum(tf.cast(a[1], tf.int32)),
    )
    begins = tf.boolean_mask(each, a[1])
    right = tf.boolean_mask(begins, faults == 0)
    sums = begins, tf.boolean_mask(each, b[1]), right
    return tuple(tf.reduce_sum(values) for values in sums)


def _marks(labels: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Types, whether an entity begins, and whether one ends, of (m,) labels."""
    size = tf.size(labels)
    types = (labels + 1) // 2
    before = tf.where(first, 0, tf.concat([tf.zeros([1], types.dtype), types], 0)[:size])
    starts = (types > 0) & ((labels % 2 == 1) | (types != before))
    beyond = tf.concat([(starts | (types == 0))[1:], tf.fill([1], True)], 0)[:size]
    return types, starts, (types > 0) & (last | beyond)

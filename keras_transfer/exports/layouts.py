"""From the scores of an output to the tensors that a graph returns; see ``exports.answers``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.objectives.outputs import Output
from keras_transfer.objectives.rejection import LIMIT, UNKNOWN
from keras_transfer.tables import Table

__all__ = ["BY_UNIT", "SERVED", "with_unknown"]

Tensors = dict[str, Any]
Layout = Callable[[Output, Any], Tensors]
"""From an output and (n, units) float32 scores to tensors by name."""


def _decided(output: Output, scores: Any) -> Any:
    """(n, labels) bool by the thresholds; for Keras's symbolic tensors too."""
    thresholds = output.decision.get("thresholds", [0.5] * len(output.names))
    # float32 like the scores: a float64 threshold could lie between two of them.
    return keras.ops.greater_equal(scores, np.array(thresholds, "float32"))


def _decided_class(output: Output, scores: Any) -> Any:
    """(n, 2) bool by the threshold of one of two classes; for Keras's symbolic tensors too."""
    place = int(output.decision["positive"])
    threshold = np.float32(output.decision["threshold"])
    reached = keras.ops.greater_equal(scores[:, place : place + 1], threshold)
    # True for the positive class where it is reached, and for the other where it is not.
    return keras.ops.equal(reached, np.arange(2) == place)


def _ranked_classes(output: Output, scores: tf.Tensor) -> Tensors:
    best = tf.math.top_k(scores, k=len(output.names))  # of equal ones, the first class first
    order, chances = best.indices, best.values
    if "threshold" in output.decision:  # the answer comes first, whatever its probability
        decided = tf.cast(_decided_class(output, scores), tf.int32)
        order = tf.math.top_k(decided, k=2).indices
        chances = tf.gather(scores, order, batch_dims=1)
    return {
        "classes": tf.gather(tf.constant(output.names, tf.string), order),
        "probabilities": chances,
        "scores": scores,
    }


def _classes_by_unit(output: Output, scores: Any) -> Tensors:
    if "threshold" not in output.decision:
        return {"probabilities": scores}
    return {"probabilities": scores, "decided": _decided_class(output, scores)}


def _ranked_labels(output: Output, scores: tf.Tensor) -> Tensors:
    best = tf.math.top_k(scores, k=len(output.names))
    return {
        "labels": tf.gather(tf.constant(output.names, tf.string), best.indices),
        "probabilities": best.values,
        "decided": tf.gather(_decided(output, scores), best.indices, batch_dims=1),
        "scores": scores,
    }


def with_unknown(served: Tensors, unknown: tf.Tensor) -> Tensors:
    """Put unknown among ranked classes: first where it is the answer, last otherwise.

    Args:
        served: As ``SERVED`` gives it for a classification.
        unknown: (n, 1) float32 score of unknown.
    """
    first = unknown > LIMIT
    name = tf.fill(tf.shape(unknown), UNKNOWN)

    def joined(ranked: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
        return tf.where(first, tf.concat([own, ranked], 1), tf.concat([ranked, own], 1))

    return {
        **served,
        "classes": joined(served["classes"], name),
        "probabilities": joined(served["probabilities"], unknown),
        UNKNOWN: unknown[:, 0],
    }


SERVED: Table[Layout] = Table(
    "activation",
    {
        "softmax": _ranked_classes,
        "sigmoid": _ranked_labels,
        "linear": lambda output, scores: {"values": scores},
    },
)

BY_UNIT: Table[Layout] = Table(
    "activation",
    {
        "softmax": _classes_by_unit,
        "sigmoid": lambda output, scores: {
            "probabilities": scores,
            "decided": _decided(output, scores),
        },
        "linear": lambda output, scores: {"values": scores},
    },
)

"""Where a network looked for what it answered: Grad-CAM inside the graph, by objective."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_transfer.explanations.grad_cam import grad_cam
from keras_transfer.exports.answers import Answer, Tensors
from keras_transfer.tables import Table

__all__ = ["explained"]

Head = Callable[[tf.Tensor], tf.Tensor]
"""From (n, height, width, channels) float32 maps to (n, units) outputs before any activation."""


def explained(answer: Answer, head: Head, slopes: Head, maps: tf.Tensor) -> Tensors:
    """Compute what the signature ``explain`` returns for one output.

    * classification: ``heat`` (n, height, width) of the best class, ``classes`` (n,) its name;
    * multilabel: ``heat`` (n, labels, height, width), ``labels`` (n, labels) most probable first,
      ``explained`` (n, labels) bool: the labels that are decided for, or the most probable one if
      there is none; the heat of all others is 0;
    * regression: ``heat`` (n, targets, height, width): what raises the value.

    Heat is float32, 0..1.

    Args:
        answer: What the graph returns for the output.
        head: From maps to this output.
        slopes: The same before curves of labels, whose gradient is 0 on a plateau.
        maps: The backbone's last map.
    """
    found = _EXPLAINED[answer.activation](answer, head, slopes, maps)
    return {f"{answer.prefix}{name}": tensor for name, tensor in found.items()}


def _of_units(head: Head, maps: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """(n, units, height, width) float32; 0 where the (n, units) bool ``wanted`` is not set."""
    nothing = tf.zeros_like(maps[..., 0])

    def one(unit: tf.Tensor) -> tf.Tensor:
        asked = wanted[:, unit]
        # A gradient per label is expensive, and of many labels few are asked for.
        heat = tf.cond(
            tf.reduce_any(asked),
            lambda: grad_cam(maps, lambda maps: tf.gather(head(maps), unit, axis=1)),
            lambda: nothing,
        )
        return tf.where(asked[:, None, None], heat, nothing)

    units = tf.range(tf.shape(wanted)[1])
    heat = tf.map_fn(one, units, fn_output_signature=tf.TensorSpec(nothing.shape, tf.float32))
    return tf.transpose(heat, (1, 0, 2, 3))


def _of_best_class(answer: Answer, head: Head, slopes: Head, maps: tf.Tensor) -> Tensors:
    outputs, scores = head(maps), answer.output.objective.scores
    decided = answer.by_unit(scores(outputs)).get(f"{answer.prefix}decided")
    best = tf.argmax(outputs if decided is None else tf.cast(decided, tf.int32), axis=1)
    heat = grad_cam(maps, lambda maps: tf.gather(slopes(maps), best, axis=1, batch_dims=1))
    return {"heat": heat, "classes": tf.gather(tf.constant(answer.output.names), best)}


def _of_labels(answer: Answer, head: Head, slopes: Head, maps: tf.Tensor) -> Tensors:
    names, scores = answer.output.names, answer.output.objective.scores(head(maps))
    decided = answer.by_unit(scores)[f"{answer.prefix}decided"]
    none = tf.logical_not(tf.reduce_any(decided, axis=1, keepdims=True))
    likeliest = tf.one_hot(tf.argmax(scores, axis=1), len(names), True, False)
    wanted = decided | (none & likeliest)
    order = tf.math.top_k(scores, k=len(names)).indices
    return {
        "heat": tf.gather(_of_units(slopes, maps, wanted), order, batch_dims=1),
        "labels": tf.gather(tf.constant(names, tf.string), order),
        "explained": tf.gather(wanted, order, batch_dims=1),
    }


def _of_values(answer: Answer, head: Head, slopes: Head, maps: tf.Tensor) -> Tensors:
    return {"heat": _of_units(slopes, maps, tf.ones_like(head(maps), tf.bool))}


_EXPLAINED: Table[Callable[[Answer, Head, Head, tf.Tensor], Tensors]] = Table(
    "activation", {"softmax": _of_best_class, "sigmoid": _of_labels, "linear": _of_values}
)

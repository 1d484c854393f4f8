"""Bytes of a string as numbers, inside graphs."""

import tensorflow as tf

__all__ = ["number", "octets"]


def octets(content: tf.Tensor, at: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """Cut bytes out of a string.

    Args:
        content: Scalar string.
        at: Scalar integer, at least 0: where they begin.
        count: Scalar integer, at least 1: how many.

    Returns:
        (count,) int64 in 0..255; zeros beyond the end of ``content``.
    """
    at = tf.minimum(tf.cast(at, tf.int64), tf.cast(tf.strings.length(content), tf.int64))
    part = tf.strings.substr(content, at, tf.cast(count, tf.int64))
    values = tf.io.decode_raw(part, tf.uint8, fixed_length=tf.cast(count, tf.int32))
    return tf.cast(values, tf.int64)


def number(octets: tf.Tensor, little: tf.Tensor | bool) -> tf.Tensor:
    """Read unsigned numbers.

    Args:
        octets: (..., k) int64 in 0..255, k at most 7.
        little: Whether the lowest byte comes first.

    Returns:
        (...) int64.
    """
    powers = [256**place for place in range(octets.shape[-1])]
    weights = tf.where(little, tf.constant(powers, tf.int64), tf.constant(powers[::-1], tf.int64))
    return tf.reduce_sum(octets * weights, -1)

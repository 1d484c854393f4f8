"""Which way is up in a photograph: the EXIF orientation, read and applied by TensorFlow ops."""

import functools

import tensorflow as tf

__all__ = ["orientation", "upright"]

# How to put an image upright, by EXIF orientation less one: transpose it? then reverse which axes?
_TURNS: tuple[tuple[bool, list[int]], ...] = (
    (False, []),
    (False, [1]),
    (False, [0, 1]),
    (False, [0]),
    (True, []),
    (True, [1]),
    (True, [0, 1]),
    (True, [0]),
)
_HEAD = 1 << 17  # bytes in which the Exif segment must lie; by the standard it is the first
_MOST_SEGMENTS = 64  # before the Exif one: a bound for hostile files


def orientation(content: tf.Tensor) -> tf.Tensor:
    """Find how the camera was held.

    Walks the segments of a JPEG (marker (2 bytes), length (2), data) up to the one with Exif.

    Args:
        content: Scalar string, the bytes of an image's file.

    Returns:
        Scalar int32 from 1 to 8: the EXIF orientation of a JPEG; 1 where it has none or a broken
        one, and for all other bytes.
    """
    head = tf.strings.substr(content, 0, _HEAD)

    def is_exif(segment: tf.Tensor) -> tf.Tensor:
        return tf.reduce_all(tf.gather(segment, (0, 1, 4, 5, 6, 7)) == (0xFF, 0xE1, *b"Exif"))

    def is_other(at: tf.Tensor, segment: tf.Tensor) -> tf.Tensor:
        application = (segment[1] & 0xF0 == 0xE0) | (segment[1] == 0xFE)  # APPn or a comment
        return (segment[0] == 0xFF) & application & ~is_exif(segment)

    def following(at: tf.Tensor, segment: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        at += 2 + _number(segment[2:4], little=False)
        return at, _octets(head, at, 8)

    start = tf.constant(2, tf.int64)
    at, segment = tf.while_loop(
        is_other,
        following,
        (start, _octets(head, start, 8)),
        maximum_iterations=_MOST_SEGMENTS,
    )
    return tf.cond(
        is_exif(segment), lambda: _tiff_orientation(head, at + 10), lambda: tf.constant(1)
    )


def upright(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn and mirror an image as its orientation says.

    Args:
        pixels: (height, width, 3) uint8.
        orientation: Scalar int32 from 1 to 8.

    Returns:
        (height, width, 3) uint8, or (width, height, 3) from orientation 5 on.
    """

    def turn(transpose: bool, axes: list[int]) -> tf.Tensor:
        turned = tf.transpose(pixels, (1, 0, 2)) if transpose else pixels
        return tf.reverse(turned, axes) if axes else turned

    turns = [functools.partial(turn, *how) for how in _TURNS]
    return tf.ensure_shape(tf.switch_case(orientation - 1, turns), (None, None, 3))


def _tiff_orientation(head: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Look the orientation up in the TIFF directory of a block that begins at ``start``.

    The block has a byte order (2), 42 (2) and the offset of the directory (4); the directory a
    count (2) and as many entries of tag (2), type (2), count (4), value (4).
    """
    order = _octets(head, start, 8)
    little = order[0] == ord("I")
    at = start + _number(order[4:8], little)
    count = _number(_octets(head, at, 2), little)
    entries = tf.reshape(_octets(head, at + 2, 12 * tf.maximum(count, 1)), (-1, 12))
    is_short = (_number(entries[:, :2], little) == 0x112) & (_number(entries[:, 2:4], little) == 3)
    values = tf.boolean_mask(_number(entries[:, 8:10], little), is_short)
    value = tf.concat((values, [1]), 0)[0]
    return tf.where((value >= 1) & (value <= 8), tf.cast(value, tf.int32), 1)


def _octets(content: tf.Tensor, at: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """(count,) int64: the bytes of ``content`` from ``at`` on, zeros beyond its end."""
    at = tf.minimum(tf.cast(at, tf.int64), tf.cast(tf.strings.length(content), tf.int64))
    part = tf.strings.substr(content, at, tf.cast(count, tf.int64))
    octets = tf.io.decode_raw(part, tf.uint8, fixed_length=tf.cast(count, tf.int32))
    return tf.cast(octets, tf.int64)


def _number(octets: tf.Tensor, little: tf.Tensor | bool) -> tf.Tensor:
    """Read (..., k) bytes as (...) unsigned numbers, little-endian or big."""
    powers = [256**place for place in range(octets.shape[-1])]
    weights = tf.where(little, tf.constant(powers, tf.int64), tf.constant(powers[::-1], tf.int64))
    return tf.reduce_sum(octets * weights, -1)

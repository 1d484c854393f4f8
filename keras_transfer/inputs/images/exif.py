"""EXIF orientation, read and applied by TensorFlow ops."""

import functools

import tensorflow as tf

from keras_transfer.inputs.images.octets import number, octets

__all__ = ["orientation", "upright"]

# By EXIF orientation - 1: whether to transpose, then which axes to reverse.
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
_MAX_SEGMENTS = 1024  # before the Exif one: a bound for hostile files
_WINDOW = 64  # bytes that are looked at at once: more than one only where fill bytes stand
_SIZES = ((1, 1), (3, 2), (4, 4), (6, 1), (8, 2), (9, 4))
"""Types of TIFF that hold whole numbers, and how many bytes each has."""


def orientation(content: tf.Tensor) -> tf.Tensor:
    """Read the EXIF orientation.

    Walks the segments of a JPEG (marker (2 bytes), length (2), data) up to the one with Exif,
    over fill bytes (0xFF) and whatever else lies between them, as libjpeg does. Exif behind the
    tables of the JPEG, where the standard does not allow it, is not looked for.

    Args:
        content: Scalar string, the bytes of an image's file.

    Returns:
        Scalar int32 from 1 to 8: the EXIF orientation of a JPEG; 1 where it has none or a broken
        one, and for all other bytes.
    """
    start = octets(content, 0, 22)
    is_jfif = tf.reduce_all(start[2:6] == (0xFF, 0xE0, 0, 16))  # as most begin
    first = tf.where(is_jfif, start[20:22], start[2:4])
    is_jpeg = tf.reduce_all(start[:3] == (0xFF, 0xD8, 0xFF))
    # Where tables follow there is no need to walk, which takes as long as to decode a small image.
    has_none = (first[0] == 0xFF) & (first[1] >= 0xC0) & (first[1] < 0xE0)
    return tf.cond(is_jpeg & ~has_none, lambda: _walked(content), lambda: tf.constant(1))


def _walked(content: tf.Tensor) -> tf.Tensor:
    def is_exif(segment: tf.Tensor) -> tf.Tensor:
        return tf.reduce_all(tf.gather(segment, (0, 1, 4, 5, 6, 7)) == (0xFF, 0xE1, *b"Exif"))

    def is_other(at: tf.Tensor, segment: tf.Tensor) -> tf.Tensor:
        application = (segment[1] & 0xF0 == 0xE0) | (segment[1] == 0xFE)  # APPn or a comment
        fill = (segment[0] != 0xFF) | (segment[1] == 0xFF)
        inside = at < tf.cast(tf.strings.length(content), tf.int64)
        return inside & (application | fill) & ~is_exif(segment)

    def following(at: tf.Tensor, segment: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        at += _step(segment)
        return at, octets(content, at, _WINDOW)

    start = tf.constant(2, tf.int64)
    at, segment = tf.while_loop(
        is_other,
        following,
        (start, octets(content, start, _WINDOW)),
        maximum_iterations=_MAX_SEGMENTS,
    )
    return tf.cond(
        is_exif(segment), lambda: _tiff_orientation(content, at + 10), lambda: tf.constant(1)
    )


def _step(segment: tf.Tensor) -> tf.Tensor:
    """Scalar int64: how far the next marker lies from the begin of these bytes."""
    is_mark = tf.cast(segment == 0xFF, tf.int32)
    marked, unmarked = is_mark[0] == 1, 1 - is_mark
    step = 2 + number(segment[2:4], little=False)
    # Of several 0xFF the last begins the marker; where all are, or none, look behind them.
    behind = tf.constant(_WINDOW, tf.int64)
    fill = tf.where(tf.reduce_any(unmarked == 1), tf.argmax(unmarked), behind) - 1
    garbage = tf.where(tf.reduce_any(is_mark == 1), tf.argmax(is_mark), behind)
    return tf.where(marked, tf.where(is_mark[1] == 1, fill, step), garbage)


def upright(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Rotate and flip an image by its orientation.

    Args:
        pixels: (height, width, 3) uint8.
        orientation: Scalar int32 from 1 to 8.

    Returns:
        (height, width, 3) uint8, or (width, height, 3) from orientation 5 on.
    """

    def turn(transpose: bool, axes: list[int]) -> tf.Tensor:
        turned = tf.transpose(pixels, (1, 0, 2)) if transpose else pixels
        return tf.reverse(turned, axes) if axes else turned

    turns = [functools.partial(turn, *steps) for steps in _TURNS]
    return tf.ensure_shape(tf.switch_case(orientation - 1, turns), (None, None, 3))


def _tiff_orientation(content: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Look the orientation up in the TIFF directory of a block that begins at ``start``.

    The block has a byte order (2), 42 (2) and the offset of the directory (4); the directory a
    count (2) and as many entries of tag (2), type (2), count (4), value (4).
    """
    order = octets(content, start, 8)
    little = order[0] == ord("I")
    at = start + number(order[4:8], little)
    count = number(octets(content, at, 2), little)
    entries = tf.reshape(octets(content, at + 2, 12 * tf.maximum(count, 1)), (-1, 12))
    is_ours = (number(entries[:, :2], little) == 0x112) & (number(entries[:, 4:8], little) == 1)
    value = tf.constant(1, tf.int64)
    for kind, size in _SIZES:
        of_kind = is_ours & (number(entries[:, 2:4], little) == kind)
        values = tf.boolean_mask(number(entries[:, 8 : 8 + size], little), of_kind)
        value = tf.concat((values, [value]), 0)[0]
    return tf.where((value >= 1) & (value <= 8), tf.cast(value, tf.int32), 1)

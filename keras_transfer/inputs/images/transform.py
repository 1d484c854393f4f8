"""ImageDataGenerator's ``apply_transform`` for a batch of images.

Rotation, shifts, shear, zoom and flips become one place in the image for each pixel of the
result, which is interpolated once; brightness and channel shift follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import tensorflow as tf

from keras_transfer.tables import Table

__all__ = ["AFFINE", "FILL_MODES", "apply_transform"]

# The parameters that move pixels off their grid, with the values that leave them there.
AFFINE = {"theta": 0.0, "tx": 0.0, "ty": 0.0, "shear": 0.0, "zx": 1.0, "zy": 1.0}


def apply_transform(
    pixels: tf.Tensor, transform: Mapping[str, tf.Tensor], fill_mode: str, cval: float
) -> tf.Tensor:
    """Apply one transform to each image; missing parameters change nothing.

    Without theta, tx, ty, shear, zx and zy, no pixel is interpolated.

    Args:
        pixels: (batch, height, width, 3), any real type, 0..255.
        transform: ImageDataGenerator's parameters, (batch,) each: ``theta`` and ``shear`` in
            degrees, ``tx`` and ``ty`` in pixels to the left and up, ``zx``, ``zy``,
            ``channel_shift_intensity``, ``brightness``, ``flip_horizontal``, ``flip_vertical``.
        fill_mode: A row of ``FILL_MODES``: what lies beyond an image's edge, as in SciPy.
        cval: What "constant" puts there, 0..255.

    Returns:
        (batch, height, width, 3) float32, 0..255.
    """
    pixels = tf.cast(pixels, tf.float32)
    move = _project if AFFINE.keys() & transform.keys() else _flip
    return _colour(move(pixels, transform, fill_mode, cval), transform)


def _reflect(place: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """dcba|abcd|dcba: the mirror stands half a pixel beyond the last one."""
    along = tf.math.floormod(place + 0.5, 2 * size)
    return tf.minimum(along, 2 * size - along) - 0.5


def _wrap(place: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """SciPy's "wrap", in which the last pixel and the next first one are the same."""
    inside = (place >= 0) & (place <= size - 1)
    return tf.where(inside, place, tf.math.floormod(place, tf.maximum(size - 1, 1)))


def _stay(place: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return place


Edge = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
FILL_MODES: Table[Edge] = Table(
    "fill_mode", {"constant": _stay, "nearest": _stay, "reflect": _reflect, "wrap": _wrap}
)


def _project(
    pixels: tf.Tensor, transform: Mapping[str, tf.Tensor], fill_mode: str, cval: float
) -> tf.Tensor:
    """Interpolate each pixel of the result from its four neighbours in the image."""
    batch, height, width, channels = tf.unstack(tf.shape(pixels))
    far_x, far_y = tf.cast(width, tf.float32) - 1, tf.cast(height, tf.float32) - 1
    x, y = _places(transform, far_x + 1, far_y + 1)
    beyond = (x < 0) | (x > far_x) | (y < 0) | (y > far_y)
    x = tf.clip_by_value(FILL_MODES[fill_mode](x, far_x + 1), 0, far_x)
    y = tf.clip_by_value(FILL_MODES[fill_mode](y, far_y + 1), 0, far_y)
    left, top = tf.floor(x), tf.floor(y)
    right, bottom = tf.minimum(left + 1, far_x), tf.minimum(top + 1, far_y)
    flat = tf.reshape(pixels, [batch, height * width, channels])

    def at(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        number = tf.cast(row, tf.int32) * width + tf.cast(column, tf.int32)
        return tf.gather(flat, number, batch_dims=1)

    across, down = (x - left)[..., None], (y - top)[..., None]
    above = (1 - across) * at(top, left) + across * at(top, right)
    below = (1 - across) * at(bottom, left) + across * at(bottom, right)
    moved = (1 - down) * above + down * below
    return tf.where(beyond[..., None], cval, moved) if fill_mode == "constant" else moved


def _places(
    transform: Mapping[str, tf.Tensor], width: tf.Tensor, height: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Position in the image for each pixel of the result.

    ImageDataGenerator's matrix is C R T S Z C^-1: rotation by theta, shift by (tx, ty), shear and
    zoom about the centre C. The flips F come after it, so the result's pixel (x, y) lies at
    C R T S Z C^-1 F (x, y) of the image. Multiplied out,

        R S Z = (zx cos theta, -zy sin(theta + shear); zx sin theta, zy cos(theta + shear)).

    Returns:
        (x, y), (batch, height, width) float32 each.
    """

    def parameter(name: str, neutral: float | bool = False) -> tf.Tensor:
        return tf.reshape(tf.cast(transform.get(name, neutral), tf.float32), [-1, 1, 1])

    degrees, tx, ty, shear, zx, zy = (parameter(name, same) for name, same in AFFINE.items())
    theta, sheared = degrees * (math.pi / 180), (degrees + shear) * (math.pi / 180)
    # Not width / 2 for x: ImageDataGenerator exchanges its axes after it has chosen the centre.
    centre_x, centre_y = height / 2 - 0.5, width / 2 - 0.5
    x = _exchanged(tf.range(width)[None, None, :], parameter("flip_horizontal")) - centre_x
    y = _exchanged(tf.range(height)[None, :, None], parameter("flip_vertical")) - centre_y
    from_x = zx * tf.cos(theta) * x - zy * tf.sin(sheared) * y
    from_y = zx * tf.sin(theta) * x + zy * tf.cos(sheared) * y
    shift_x = tf.cos(theta) * tx - tf.sin(theta) * ty
    shift_y = tf.sin(theta) * tx + tf.cos(theta) * ty
    return from_x + shift_x + centre_x, from_y + shift_y + centre_y


def _exchanged(places: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    """Count places from the other end where ``flip`` is 1."""
    return (1 - flip) * places + flip * tf.reverse(places, [1, 2])


def _flip(
    pixels: tf.Tensor, transform: Mapping[str, tf.Tensor], fill_mode: str, cval: float
) -> tf.Tensor:
    for name, axis in (("flip_horizontal", 2), ("flip_vertical", 1)):
        if name in transform:
            flip = _per_image(transform[name])
            # Not tf.where, which takes thrice the time where nothing compiles it.
            pixels = flip * tf.reverse(pixels, [axis]) + (1 - flip) * pixels
    return pixels


def _colour(pixels: tf.Tensor, transform: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Shift the channels within each image's own range, then change its brightness."""
    if "channel_shift_intensity" in transform:
        low = tf.reduce_min(pixels, axis=(1, 2, 3), keepdims=True)
        high = tf.reduce_max(pixels, axis=(1, 2, 3), keepdims=True)
        shift = _per_image(transform["channel_shift_intensity"])
        pixels = tf.clip_by_value(pixels + shift, low, high)
    if "brightness" in transform:
        factor = _per_image(transform["brightness"])
        # Pillow cuts to whole numbers before and after. Interpolation makes 199.99998 of 200:
        # the thousandth keeps that a 200.
        pixels = tf.floor(tf.clip_by_value(tf.floor(pixels + 1e-3) * factor, 0, 255))
    return pixels


def _per_image(values: tf.Tensor) -> tf.Tensor:
    """(batch, 1, 1, 1) float32."""
    return tf.reshape(tf.cast(values, tf.float32), [-1, 1, 1, 1])

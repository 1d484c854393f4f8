"""Encoded pictures to pixels, one way for training, predict and serving: all of it TensorFlow ops.

Shapes: a picture is (height, width, 3) uint8 RGB, 0..255.
"""

import tensorflow as tf

from keras_transfer.data import exif
from keras_transfer.tables import Table

__all__ = ["EXTENSIONS", "RESIZE", "picture", "resize"]

EXTENSIONS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".webp": "WebP",
}
"""Endings of file names that count as pictures (lower case), with the format that they promise."""


def picture(content: tf.Tensor) -> tf.Tensor:
    """Decode a JPEG, PNG, GIF, BMP or WebP picture, whatever its file is called.

    Grey and palette pictures become RGB, alpha is dropped, of an animated GIF the first frame
    counts, and a JPEG is turned as its EXIF orientation says. EXIF in PNG and WebP is not looked
    at. WebP needs a TensorFlow that has ``tf.io.decode_webp``; animated WebP is refused.

    Args:
        content: Scalar string, the bytes of the file.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no such picture, or a broken one.
    """
    pixels = tf.cond(
        tf.strings.regex_full_match(tf.strings.substr(content, 0, 21), _STILL_WEBP),
        lambda: tf.io.decode_image(content, 0, expand_animations=False)[..., :3],
        lambda: tf.io.decode_image(content, 3, expand_animations=False),
    )
    return exif.upright(tf.ensure_shape(pixels, (None, None, 3)), exif.orientation(content))


# DecodeImage drops the alpha of a PNG when it is asked for three channels, but refuses WebP with
# alpha then. Asked for as many as there are (0), it writes beyond its buffer for animated WebP
# (TensorFlow 2.21): so only where the flags of the header say neither animation nor nonsense.
_STILL_FLAGS = "".join(f"\\x{flags:02x}" for flags in range(0, 0x40, 4))
_STILL_WEBP = rf"RIFF\C{{4}}WEBPVP8([ L]\C{{5}}|X\C{{4}}[{_STILL_FLAGS}])"


def resize(pixels: tf.Tensor, size: int, how: str) -> tf.Tensor:
    """Bring a picture to a square.

    An axis that shrinks is averaged (each pixel covers an area), one that grows is interpolated
    bilinearly: nearer to Lanczos than the usual antialiased bilinear, at half the cost.

    Args:
        pixels: (height, width, 3) uint8.
        size: Side of the square in pixels.
        how: A row of ``RESIZE``: "stretch" (the proportions give way), "crop" (shorter side to
            ``size``, the middle kept) or "pad" (longer side to ``size``, black bars).

    Returns:
        (size, size, 3) uint8.

    Raises:
        UnknownName: No way to resize is called ``how``.
    """
    way = RESIZE[how]
    if pixels.shape == (size, size, 3):
        return pixels
    return tf.ensure_shape(way(pixels, size), (size, size, 3))


def _stretch(pixels: tf.Tensor, size: int) -> tf.Tensor:
    return _scale(pixels, tf.constant((size, size)))


def _crop(pixels: tf.Tensor, size: int) -> tf.Tensor:
    side = tf.reduce_min(tf.shape(pixels)[:2])
    return _stretch(tf.image.resize_with_crop_or_pad(pixels, side, side), size)


def _pad(pixels: tf.Tensor, size: int) -> tf.Tensor:
    shape = tf.shape(pixels)[:2]
    sides = tf.maximum(tf.cast(tf.round(shape * size / tf.reduce_max(shape)), tf.int32), 1)
    return tf.image.resize_with_crop_or_pad(_scale(pixels, sides), size, size)


def _scale(pixels: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    shrunk = tf.image.resize(pixels, tf.minimum(tf.shape(pixels)[:2], sides), "area")
    return tf.cast(tf.round(tf.image.resize(shrunk, sides, "bilinear")), tf.uint8)


RESIZE = Table("way to resize", {"stretch": _stretch, "crop": _crop, "pad": _pad})

"""Decode images by TensorFlow ops, in the same way for training, predict and serving.

Shapes: an image is (height, width, 3) uint8 RGB, 0..255.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from keras_transfer.inputs.images import exif, tiff
from keras_transfer.inputs.images.octets import number, octets
from keras_transfer.tables import Table

__all__ = ["EXTENSIONS", "RESIZE", "image", "readable", "resize", "shape", "whole"]

EXTENSIONS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".webp": "WebP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""Suffixes of image files (lower case), with their format."""


_RATIOS = (1, 2, 4, 8)  # the sizes that a JPEG can be decoded at, as splits of the full one


def image(content: tf.Tensor, least: tf.Tensor | int = 0, how: str = "stretch") -> tf.Tensor:
    """Decode a JPEG, PNG, GIF, BMP or WebP image, whatever its file is called.

    Grey and palette images become RGB, alpha is dropped, of an animated GIF the first frame
    counts, and a JPEG is turned as its EXIF orientation says. EXIF in PNG and WebP is not looked
    at. WebP needs a TensorFlow that has ``tf.io.decode_webp``; animated WebP is refused.

    A JPEG that is to be shrunk to a quarter or less is decoded at 1/2, 1/4 or 1/8 of its size,
    such that twice what is needed is left: that takes about half the time for 12 megapixels, and
    ``resize`` averages the rest. With less left, details would differ from those decoded in full.

    Args:
        content: Scalar string, the bytes of the file.
        least: Scalar int32, the size that ``resize`` will bring it to; 0 to decode it in full.
        how: A row of ``RESIZE``: says which side must keep twice as many pixels.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no such image, or a broken one.
        UnknownName: No way to resize is called ``how``.
    """
    side = RESIZE[how].side
    reducible = (tf.strings.substr(content, 0, 3) == b"\xff\xd8\xff") & (least > 0)
    place = tf.cond(reducible, lambda: _place(content, least, side), lambda: tf.constant(0))
    sizes = [partial(tf.io.decode_jpeg, content, 3, ratio) for ratio in _RATIOS[1:]]
    pixels = tf.switch_case(place, [partial(whole, content), *sizes])
    return exif.upright(tf.ensure_shape(pixels, (None, None, 3)), exif.orientation(content))


def _place(content: tf.Tensor, least: tf.Tensor | int, side: Callable) -> tf.Tensor:
    """Scalar int32, the place in ``_RATIOS`` of the largest that leaves a JPEG large enough."""
    pixels = side(tf.image.extract_jpeg_shape(content)[:2])
    left = -(-pixels // tf.constant(_RATIOS[1:]))  # the decoder rounds up
    return tf.reduce_sum(tf.cast(left >= 2 * tf.cast(least, tf.int32), tf.int32))


def readable(content: tf.Tensor) -> tf.Tensor:
    """Turn a TIFF into bytes that ``image`` can decode, and leave other bytes as they are.

    It needs Python, so it is part of no exported graph: ``predict`` and ``kt-recipe serve`` take
    TIFF, another server does not.

    Args:
        content: Scalar string, the bytes of a file that ``image_checks`` finds sound.

    Returns:
        Scalar string.
    """
    start = tf.strings.substr(content, 0, 4)
    is_tiff = tf.strings.regex_full_match(start, r"II[*+]\x00|MM\x00[*+]")

    def to_bmp() -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(_to_bmp, [content], tf.string, stateful=False), ())

    return tf.cond(is_tiff, to_bmp, lambda: tf.identity(content))


def _to_bmp(content: Any) -> bytes:
    # Bytes in a graph, an array outside; numpy would cut zeros off the end of bytes.
    return tiff.to_bmp(content if isinstance(content, bytes) else content.item())


def whole(content: tf.Tensor) -> tf.Tensor:
    """Decode an image in full, as it lies in the file: what in ``image`` can fail."""
    is_bmp = tf.strings.substr(content, 0, 2) == b"BM"
    misread = tf.cond(is_bmp, lambda: _misread(content), lambda: tf.constant(False))
    content = tf.where(misread, b"", content)
    return tf.cond(
        tf.strings.regex_full_match(tf.strings.substr(content, 0, 21), _STILL_WEBP),
        lambda: tf.io.decode_image(content, 0, expand_animations=False)[..., :3],
        lambda: tf.io.decode_image(content, 3, expand_animations=False),
    )


# DecodeImage drops the alpha of a PNG when it is asked for three channels, but refuses WebP with
# alpha then. Asked for as many as there are (0), it writes beyond its buffer for animated WebP
# (TensorFlow 2.21): so only where the flags of the header say neither animation nor nonsense.
_STILL_FLAGS = "".join(f"\\x{flags:02x}" for flags in range(0, 0x40, 4))
_STILL_WEBP = rf"RIFF\C{{4}}WEBPVP8([ L]\C{{5}}|X\C{{4}}[{_STILL_FLAGS}])"


def _misread(content: tf.Tensor) -> tf.Tensor:
    """Scalar bool: whether a BMP has colour masks or a palette, at which TensorFlow never looks."""
    info = octets(content, 14, 52)  # of the info header: size (4), ..., bits a pixel (2), ...
    bits, compression = number(info[14:16], little=True), info[16]
    masks = tf.reshape(info[40:52], (3, 4))
    usual = tf.reduce_all(masks == ((0, 0, 255, 0), (0, 255, 0, 0), (255, 0, 0, 0)))
    palette = octets(content, 14 + number(info[:4], little=True), 4 * 256)
    grey = tf.reduce_all(
        tf.reshape(palette, (256, 4))[:, :3] == tf.range(256, dtype=tf.int64)[:, None]
    )
    masked = (compression == 3) | (compression == 6)
    return (masked & ~usual) | ((bits == 8) & ~grey)


def shape(raw: tf.Tensor) -> tuple[int, ...]:
    """(height, width, 3) of an encoded image or of (height, width, 3) pixels, as it is decoded."""
    return tuple((image(readable(raw)) if raw.dtype == tf.string else raw).shape)


def resize(pixels: tf.Tensor, size: int, how: str) -> tf.Tensor:
    """Resize an image to a square.

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
    way = RESIZE[how].to
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


class _Way(NamedTuple):
    """A method to resize to a square.

    Attributes:
        to: Maps pixels and the size of the square to the square.
        side: Picks, from height and width, the side that is brought to that size: an image
            whose ``side`` is larger than the square is only ever shrunk.
    """

    to: Callable[[tf.Tensor, int], tf.Tensor]
    side: Callable[[tf.Tensor], tf.Tensor]


RESIZE = Table(
    "way to resize",
    {
        # stretched, each side for itself: where the shorter one shrinks, so does the other
        "stretch": _Way(_stretch, tf.reduce_min),
        "crop": _Way(_crop, tf.reduce_min),
        "pad": _Way(_pad, tf.reduce_max),
    },
)

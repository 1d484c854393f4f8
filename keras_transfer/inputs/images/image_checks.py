"""Image checks: the reason why an image is invalid, from its bytes."""

import functools
import hashlib
import io
import os
import struct
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import simplejpeg
import tensorflow as tf
from PIL import Image

from keras_transfer.data.samples import CheckResult
from keras_transfer.data.signatures import RAW_SUFFIXES, file_format
from keras_transfer.inputs.images import decode, headers, png_data, tiff

__all__ = ["MAX_PIXELS", "check", "flaw", "tiff_flaw"]

MAX_PIXELS = 89_478_485
"""Images with more pixels count as decompression bombs; Pillow's limit, a quarter of a GB."""

_LOST = ("Corrupt JPEG data: ", "Premature end of JPEG file")  # libjpeg's words

_LARGE = 10_000_000  # pixels; larger images are decoded one at a time, whatever the threads
_TURN = threading.Lock()

_OTHER_THAN_IMAGE = {
    "": "is no image of a known format",
    "HTML": "is HTML, not an image",
    "PDF": "is PDF, not an image",
    "text": "is text, not an image",
    "HEIC": "is HEIC; convert it to JPEG, e.g. by 'magick FILE.heic FILE.jpg' (ImageMagick)",
    "DICOM": "is DICOM; convert it to PNG, e.g. by 'dcm2pnm --write-png FILE.dcm FILE.png' (DCMTK)",
    "camera raw": tiff.RAW,
}


def check(content: bytes, name: str = "") -> CheckResult:
    """Digest and check an image's bytes.

    Args:
        content: The bytes of the file.
        name: Name of the file; its ending must not promise another format. A name without an
            ending, or with an unknown one, promises nothing.

    Returns:
        The SHA-256 of the bytes, and the reason why ``decode.image`` cannot read them or
        would read them wrongly; no reason where all is well.
    """
    reason = flaw(content, name) or _decoding_flaw(content)
    return CheckResult(hashlib.sha256(content).hexdigest(), reason)


def flaw(content: bytes, name: str = "", max_pixels: int = MAX_PIXELS) -> str:
    """Check an image before TensorFlow decodes it.

    The server asks this of each image that it is sent.

    Args:
        content: The bytes of the file.
        name: As for ``check``.
        max_pixels: Maximum number of pixels that the decoder may hold.

    Returns:
        The reason why it should not be decoded; empty if there is none.
    """
    if not content:
        return "is empty (0 bytes)"
    format_name = file_format(content)
    ending = os.path.splitext(name)[1].lower()
    if format_name == "TIFF" and ending in RAW_SUFFIXES:
        format_name = "camera raw"
    if format_name not in decode.EXTENSIONS.values():
        return _OTHER_THAN_IMAGE.get(format_name, f"is {format_name}; convert it to JPEG or PNG")
    if format_name != decode.EXTENSIONS.get(ending, format_name):
        return f"is a {format_name} named {ending}; rename or convert it"
    try:
        header = headers.read_header(content)
        # What unpacks or decodes comes last: its cost is bounded by that of the pixels.
        return _too_large(header, max_pixels) or header.flaw or _data_flaw(header, content)
    # Data that end in the middle of what is read of them: struct.error, IndexError.
    except (ValueError, struct.error, IndexError):
        return f"is a truncated or damaged {format_name}"


def _too_large(header: headers.Header, most: int) -> str:
    width, height = header.width, header.height
    if header.frames > headers.MAX_FRAMES:
        return f"has over {headers.MAX_FRAMES:,} frames; save the first as PNG"
    if header.pixels > most and header.frames > 1:
        found = f"{header.pixels:,} pixels in {header.frames:,} frames"
        return f"has {found}, over {most:,}; save the first as PNG"
    if header.pixels > most and header.pixels > width * height:
        return f"has a tile of {header.pixels:,} pixels, over {most:,}; save it again"
    if header.pixels > most:
        return f"has {width} x {height} pixels, over {most:,}; shrink it"
    if min(width, height) < 2:
        return f"has only {width} x {height} pixels"
    return ""


def _data_flaw(header: headers.Header, content: bytes) -> str:
    if header.format == "PNG":
        return png_data.flaw(content)
    return _jpeg_flaw(header, content) if header.format == "JPEG" else ""


def _jpeg_flaw(header: headers.Header, content: bytes) -> str:
    """Find a JPEG whose data do not fill it, which TensorFlow decodes to grey or garbage.

    libjpeg calls that a warning, and TensorFlow's lets it print it, without the file's name.
    Here it decodes to an eighth of the size, which costs little besides reading the data.
    """
    try:
        with _turn(header):
            simplejpeg.decode_jpeg(headers.image_data(content), "GRAY", min_height=1, min_width=1)
    except ValueError as error:
        if str(error).startswith(_LOST):  # others are harmless, or TensorFlow stops at them too
            return f"is a truncated or damaged JPEG ({str(error).removeprefix(_LOST[0])})"
    return ""


def _turn(header: headers.Header) -> AbstractContextManager:
    return _TURN if header.pixels > _LARGE else nullcontext()


def _decoding_flaw(content: bytes) -> str:
    header = headers.read_header(content)
    with _turn(header):
        if header.format != "TIFF":
            return _other_flaw(header, content)
        try:
            tiff.to_bmp(content)
        except Exception as error:  # any error of Pillow on hostile bytes
            return tiff_flaw(error)
    return ""


def tiff_flaw(error: Exception) -> str:
    """What ``tiff.to_bmp`` has raised, as the reason why a file is refused."""
    if isinstance(error, ValueError) and str(error).startswith("has "):
        return str(error)
    return "is a truncated or damaged TIFF, or compressed in a way that Pillow cannot read"


def _other_flaw(header: headers.Header, content: bytes) -> str:
    try:
        _decoder()(content)
    except tf.errors.OpError:
        pass
    else:
        return ""
    try:
        with Image.open(io.BytesIO(content), "r", (header.format.upper(),)) as image:
            if image.width * image.height <= MAX_PIXELS:  # of a GIF, the screen's
                image.load()
    except Exception:  # as above
        return f"is a truncated or damaged {header.format}"
    return f"is a {header.format} that TensorFlow {tf.__version__} cannot read; save it as PNG"


@functools.cache
def _decoder() -> Callable[[bytes], tf.Tensor]:
    return tf.function(decode.whole, input_signature=[tf.TensorSpec([], tf.string)])

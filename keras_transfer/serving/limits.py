"""How large an image is that a client sends, before anything is decoded."""

from __future__ import annotations

import io
import struct

from PIL import Image

from keras_transfer.serving.errors import RequestError

__all__ = ["check_image"]

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")


def check_image(content: bytes, most: int) -> None:
    """Look at the header: a small file may hold more pixels than there is memory for.

    Args:
        content: The encoded image.
        most: Pixels that it may have; of a GIF, all its frames together, for TensorFlow unpacks
            all of them to give the first.

    Raises:
        Refused: It has more, or is no image.
    """
    try:
        with Image.open(io.BytesIO(content), "r", FORMATS) as image:
            width, height = image.size
            pixels = width * height
            if image.format == "GIF":
                pixels = max(pixels, _gif_pixels(content))
    except Image.DecompressionBombError as error:
        raise RequestError("INVALID_ARGUMENT", str(error)) from None
    except Exception:  # whatever a reader of some format makes of broken bytes
        raise RequestError(
            "INVALID_ARGUMENT", "The bytes are no image (JPEG, PNG, GIF, BMP or WebP)"
        ) from None
    if pixels > most:
        raise RequestError("INVALID_ARGUMENT", f"The image has {pixels:,} pixels, over {most:,}")


def _gif_pixels(content: bytes) -> int:
    """Sum over the frames of a GIF, by its blocks (GIF89a specification, sections 18 to 22)."""
    at, total = 13 + _palette(content[10]), 0
    while at < len(content) and content[at] in b"!,":
        if content[at] == ord(","):  # a frame: place, width and height, flags
            width, height, flags = struct.unpack_from("<HHB", content, at + 5)
            total += width * height
            at += 10 + _palette(flags)
            at = _behind_blocks(content, at + 1)
        else:  # an extension
            at = _behind_blocks(content, at + 2)
    return total


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _behind_blocks(content: bytes, at: int) -> int:
    while at < len(content) and content[at]:
        at += 1 + content[at]
    return at + 1

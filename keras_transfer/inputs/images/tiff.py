"""TIFF, which TensorFlow cannot decode: header checks, and pixels by Pillow."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from contextlib import suppress

__all__ = ["RAW", "below", "flaw", "pages", "readable", "to_bmp"]

Tags = dict[int, tuple[int, ...]]

# The types of whole numbers: libtiff takes those with a sign for all that has none.
_SIZES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q"}
_MOST_PAGES, _MOST_VALUES = 1000, 16
_MOST_TAGS = 65_536  # of all pages together: hostile pages share theirs

_COUNTS = {"I": "H", "Q": "Q"}  # of the tags, by the type of offsets

_COLOURS = (0, 1, 2, 3, 6)  # grey, inverted or not; RGB; palette; YCbCr
_DEPTHS = (1, 2, 4, 8, 16)

RAW = "is a camera raw file; develop it to JPEG, e.g. by 'darktable-cli FILE.nef FILE.jpg'"
"""Why a camera raw file is refused, many of which are TIFFs."""


def pages(content: bytes) -> list[Tags]:
    """Read the tags of each page (image file directory) of a TIFF or BigTIFF.

    Args:
        content: The bytes of the file.

    Returns:
        For each page its tags with whole numbers, of at most 16 values, by their number.

    Raises:
        ValueError: A directory lies outside of the file, or they go round in a circle.
        struct.error: The file breaks off in one.
    """
    order, big = "<" if content[:2] == b"II" else ">", content[2:4].strip(b"\0") == b"+"
    word, at = ("Q", 8) if big else ("I", 4)
    found: list[Tags] = []
    left = _MOST_TAGS
    (start,) = struct.unpack_from(order + word, content, at)
    while start and len(found) < _MOST_PAGES:
        if start >= len(content):
            raise ValueError("a page lies outside of the file")
        left -= _count(content, start, order, word)
        if left < 0:
            raise ValueError("there are too many tags")
        tags, start = _directory(content, start, order, word)
        found.append(tags)
    if not found or start:
        raise ValueError(f"there are {'too many' if found else 'no'} pages")
    return found


def _count(content: bytes, at: int, order: str, word: str) -> int:
    """How many tags a page has."""
    return struct.unpack_from(order + _COUNTS[word], content, at)[0]


def _directory(content: bytes, at: int, order: str, word: str) -> tuple[Tags, int]:
    """The tags of one page, and where the next page begins."""
    count = _count(content, at, order, word)
    at += struct.calcsize(order + _COUNTS[word])
    entry = struct.Struct(order + "HH" + word)
    tags: Tags = {}
    width = entry.size + struct.calcsize(word)
    for place in range(at, at + count * width, width):
        tag, kind, values = entry.unpack_from(content, place)
        if kind not in _SIZES or not 0 < values <= _MOST_VALUES:
            continue
        form, where = f"{order}{values}{_SIZES[kind]}", place + entry.size
        if struct.calcsize(form) > struct.calcsize(word):
            (where,) = struct.unpack_from(order + word, content, where)
        value = struct.unpack_from(form, content, where)
        if tags.setdefault(tag, value) != value:  # Pillow and libtiff would take different ones
            raise ValueError("a tag has two values")
    return tags, struct.unpack_from(order + word, content, at + count * width)[0]


def below(content: bytes, page: Tags) -> list[Tags]:
    """Read the tags of the pages below a page (SubIFDs), where cameras put what they measured.

    Args:
        content: The bytes of the file.
        page: The tags of the page.
    """
    order, word = ("<" if content[:2] == b"II" else ">"), "Q" if b"+" in content[2:4] else "I"
    found = []
    for at in page.get(330, ()):
        with suppress(struct.error, ValueError):  # a broken one is not needed to decode the page
            if _count(content, at, order, word) > _MOST_TAGS // _MOST_VALUES:
                continue
            found.append(_directory(content, at, order, word)[0])
    return found


def flaw(pages: Sequence[Tags], inner: Sequence[Tags] = ()) -> str:
    """Why a TIFF cannot be read as an image of 8 bits per channel; empty if it can.

    Args:
        pages: As ``pages`` reads them.
        inner: Pages below the first one, as ``below`` reads them.
    """
    first = pages[0]
    colours, depths = first.get(262, (1,))[0], set(first.get(258, (1,)))
    if first.get(254, (0,))[0] & 1 or any(map(_is_raw, (*pages, *inner))):  # or a preview
        return RAW
    count = sum(not page.get(254, (0,))[0] & 1 for page in pages)  # others are previews
    if count > 1:
        return f"is a TIFF of {count:,} pages; save each as a file of its own"
    if colours == 5:
        return "is CMYK; convert it to RGB"
    if colours not in _COLOURS:
        return "is a TIFF that is neither greyscale nor RGB; convert it to RGB"
    if set(first.get(339, (1,))) != {1}:
        return "is a TIFF of signed or floating-point numbers; scale it to 8 bits a channel"
    if len(depths) > 1 or not depths <= set(_DEPTHS):
        return f"is a TIFF with {max(depths)} bits a channel; scale it to 8"
    return ""


def _is_raw(page: Tags) -> bool:
    """Whether a page is a DNG's, or holds what a sensor measured: a mosaic, or linear colours."""
    return 50706 in page or page.get(262, (0,))[0] in (32803, 34892)


def readable(content: bytes) -> bytes:
    """The same bytes, but of a TIFF those of a BMP, as ``to_bmp`` gives them."""
    is_tiff = content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    return to_bmp(content) if is_tiff else content


def to_bmp(content: bytes) -> bytes:
    """Turn a TIFF into a BMP, which TensorFlow can decode.

    Grey and palette images become RGB, alpha is dropped, its orientation is applied. Of 16 bits
    the upper 8 are kept, as TensorFlow does it for PNG: 65,535 becomes 255.

    Args:
        content: The bytes of a TIFF in which ``flaw`` finds none.

    Returns:
        The bytes of a BMP with 24 bits a pixel.

    Raises:
        ValueError: The upper 4 of 16 bits are not used, so next to nothing would be left of it.
        Exception: Whatever Pillow raises of broken bytes.
    """
    import numpy as np
    from PIL import Image, ImageOps, TiffImagePlugin

    image = TiffImagePlugin.TiffImageFile(io.BytesIO(content))
    inverted = image.tag_v2.get(262) == 0
    depth = max(np.atleast_1d(image.tag_v2.get(258, 1)))
    image.load()
    upright = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # which Pillow neither scales nor inverts
        grey = np.asarray(upright).astype("uint16") >> 8
        pixels = np.repeat((255 - grey if inverted else grey).astype("uint8")[..., None], 3, 2)
    else:
        pixels = np.asarray(upright.convert("RGB"))
    if depth == 16 and 0 < (255 - pixels if inverted else pixels).max() < 16:
        raise ValueError(
            "has 16 bits a channel, of which only the lowest 12 are used; scale it to 8 bits"
        )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "BMP")
    return file.getvalue()

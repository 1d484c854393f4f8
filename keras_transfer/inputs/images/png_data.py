"""PNGs whose compressed data unpack to more than their pixels need.

libpng unpacks all of it: a few hundred kB take seconds, for an image of 2 x 2 pixels.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

__all__ = ["flaw"]

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the type of colours
_PASSES = (  # of an interlaced PNG (section 8.2): first column and step, first row and step
    *((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2)),
    (0, 1, 1, 2),
)
_MOST_CHUNKS = 40_000  # at 8 kB each, as libpng writes them, 89 million pixels fit in
_MOST_TEXT = 1 << 24  # bytes of texts and colour profile, unpacked: libpng unpacks them twice
_RATIO = 1032  # the most that deflate can shrink
_CHEAP = 1 << 23  # bytes that are not worth to be counted: they unpack in 20 ms
_SLACK = 1 << 14
_PIECE = 1 << 12  # packed bytes that are unpacked at once, to at most 4 MB


def flaw(content: bytes) -> str:
    """Why the data of a PNG cost more than its pixels; empty if they do not.

    The data are unpacked up to what is allowed and thrown away, which takes about half as long
    as to decode the image. Where they are damaged the count ends: the decoder finds that.

    Args:
        content: The bytes of a PNG of an acceptable size.

    Raises:
        ValueError: It has too many chunks.
        struct.error: A header is truncated.
    """
    width, height = struct.unpack_from(">II", content, 16)
    data: list[memoryview] = []
    texts: list[memoryview] = []
    for kind, part in _chunks(content):
        if kind == b"IDAT":
            data.append(part)
        elif kind in _PACKED:
            texts.append(_PACKED[kind](part))
    if _exceeds([data], 2 * _needed(content) + _SLACK):  # encoders write no more
        return f"has more data than {width} x {height} pixels need; save it again"
    if _exceeds([[text] for text in texts], _MOST_TEXT):
        return f"has texts or a profile of more than {_MOST_TEXT >> 20} MB; save it without them"
    return ""


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Name and data of each chunk."""
    at, view = 8, memoryview(content)
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(content):
            return
        (length,) = struct.unpack_from(">I", content, at)
        yield content[at + 4 : at + 8], view[at + 8 : at + 8 + length]
        at += 12 + length
    raise ValueError("there are too many chunks")


def _needed(content: bytes) -> int:
    """Bytes of the rows, each with one for its filter, before they are compressed."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", content, 16)
    bits = depth * _CHANNELS.get(colour, 1)
    return sum(
        -(-(height - top) // down) * (1 + -(-columns * bits // 8))
        for left, across, top, down in (_PASSES if interlaced else ((0, 1, 0, 1),))
        if (columns := -(-(width - left) // across)) > 0 and height > top
    )


def _packed(text: memoryview) -> memoryview:
    """What follows the name, its end and the method: zTXt, iCCP."""
    return text[bytes(text[:81]).find(b"\0") + 2 :]


def _international(text: memoryview) -> memoryview:
    """What follows the name, flags, language and translated name, if it is compressed: iTXt."""
    name = bytes(text[:81]).find(b"\0")
    if text[name + 1 : name + 2] != b"\1":
        return text[:0]
    *_, rest = bytes(text[name + 3 :]).split(b"\0", 2)
    return memoryview(rest)


_PACKED = {b"zTXt": _packed, b"iCCP": _packed, b"iTXt": _international}


def _exceeds(streams: list[list[memoryview]], most: int) -> bool:
    """Whether these streams, each in parts, unpack to more than ``most`` bytes together."""
    if _RATIO * sum(len(part) for stream in streams for part in stream) <= max(most, _CHEAP):
        return False
    total = 0
    for stream in streams:
        total += _unpacked(stream, most - total)
        if total > most:
            return True
    return False


def _unpacked(parts: Iterable[memoryview], most: int) -> int:
    """How many bytes a stream unpacks to; counts on to a little more than ``most``."""
    stream, total = zlib.decompressobj(), 0
    for part in parts:
        for at in range(0, len(part), _PIECE):
            try:
                total += len(stream.decompress(part[at : at + _PIECE]))
            except zlib.error:
                return total
            if stream.eof or total > most:
                return total
    return total

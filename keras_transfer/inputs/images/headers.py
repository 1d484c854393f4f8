"""Cost of decoding an image, and known decoding problems, from its header only.

The scan before training, ``predict`` and the server ask the same function. Nothing is decoded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from keras_transfer.data.signatures import file_format
from keras_transfer.inputs.images import tiff

__all__ = ["MAX_FRAMES", "Header", "image_data", "read_header"]

MAX_FRAMES = 10_000
"""Images with more frames count as decompression bombs: each frame costs memory."""

# Markers of JPEG: SOF0, SOF1, ... (a frame); SOS (a scan). The next one after garbage, fill bytes
# (0xFF) and image data; those between 0xD0 and 0xD7, and 0x01, stand alone.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])", re.DOTALL)

_MOST_SCANS = 50  # of a JPEG: encoders write about ten, and each is a pass over all pixels
_MOST_SEGMENTS = 1024  # of a JPEG; ``exif`` looks at no more
_MOST_BLOCKS = 1_000_000  # of a GIF: 89 million pixels fill half as many


class Header(NamedTuple):
    """Properties from the header of an image.

    Attributes:
        format: "JPEG", "PNG", "GIF", "BMP", "WebP" or "TIFF".
        width: In pixels, before any EXIF orientation is applied; of a GIF, the widest frame's,
            for that is how wide TensorFlow makes the first one.
        height: In pixels; of a GIF, the highest frame's.
        pixels: How many pixels the decoder will hold: of a GIF, those of all frames, for
            TensorFlow unpacks all of them to give the first; of an animated WebP, the canvas for
            each frame; of a TIFF, at least a tile.
        bytes: The most memory that decoding takes: for pixels, and for a copy of the file.
        frames: Number of frames, at least 1; beyond ``MAX_FRAMES`` they are not counted.
        flaw: Why the image cannot be decoded correctly or at acceptable cost; empty if it can.
    """

    format: str
    width: int
    height: int
    pixels: int
    bytes: int
    frames: int = 1
    flaw: str = ""


def read_header(content: bytes) -> Header:
    """Read the header of an image.

    Args:
        content: The bytes of the file.

    Raises:
        ValueError: It is of no format that can be decoded, or its header is broken.
    """
    format_name = file_format(content)
    if format_name not in _READERS:
        raise ValueError(f"is {format_name or 'of an unknown format'}")
    try:
        found = _READERS[format_name](content)
    except (struct.error, IndexError) as error:
        raise ValueError("the header is truncated") from error
    return found._replace(bytes=found.bytes + len(content))


def _header(format_name: str, width: int, height: int, depth: int, flaw: str = "") -> Header:
    """A single image, of which decoding holds ``depth`` bytes a pixel."""
    pixels = width * height
    return Header(format_name, width, height, pixels, depth * pixels, flaw=flaw)


def _jpeg(content: bytes) -> Header:
    """The frame header, SOF (ITU-T T.81, B.2.2), which stands before the first scan, SOS."""
    places = {marker: start for marker, start, _ in _before_scan(content)}
    frames = [places[marker] for marker in _FRAMES if marker in places]
    if len(frames) != 1:
        raise ValueError("there is no frame, or more than one")
    _, height, width, components = struct.unpack_from(">BHHB", content, frames[0])
    # Photos of phones carry a film behind them, in which the mark occurs by chance.
    scans = content.count(b"\xff\xda")
    if scans > _MOST_SCANS:
        scans = sum(marker == _SCAN for marker, _, _ in _segments(content))
    flaw = "is CMYK; convert it to RGB" if components == 4 else ""
    if scans > _MOST_SCANS:
        flaw = f"is a JPEG of {scans:,} scans; save it again as a plain JPEG"
    depth = 3 if scans == 1 else 3 + 2 * components  # all coefficients stay until the last scan
    return _header("JPEG", width, height, depth, flaw)


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of the data of each segment of a JPEG.

    Fill bytes (0xFF) and what does not belong there are passed over, as libjpeg does.

    Raises:
        ValueError: There are too many.
    """
    at = 2
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(content, at)
        if not found or found[1] == b"\xd9":
            return
        at = found.end()
        end = at + struct.unpack_from(">H", content, at)[0]
        yield content[at - 1], at + 2, end
        at = end
    raise ValueError("there are too many segments")


def _before_scan(content: bytes) -> list[tuple[int, int, int]]:
    """As ``_segments``, up to the first scan and with its header."""
    segments = []
    for segment in _segments(content):
        segments.append(segment)
        if segment[0] == _SCAN:
            return segments
    raise ValueError("there is no scan")


def image_data(content: bytes) -> bytes:
    """A JPEG without what is not needed to decode its brightness: comments, EXIF, padding."""
    *others, (_, scan, _) = _before_scan(content)
    needed = [
        b"\xff" + bytes([marker]) + content[start - 2 : end]
        for marker, start, end in others
        if marker & 0xF0 != 0xE0 and marker != 0xFE
    ]
    return b"".join([content[:2], *needed, content[scan - 4 :]])


def _png(content: bytes) -> Header:
    """The first chunk, IHDR. What its other chunks may cost: ``png_data``."""
    if content[12:16] != b"IHDR":
        raise ValueError("there is no IHDR")
    width, height, depth = struct.unpack_from(">IIB", content, 16)
    flaw = "has 16 bits a channel; convert it to 8" if depth == 16 else ""
    return _header("PNG", width, height, 3, flaw)


def _gif(content: bytes) -> Header:
    """All frames, by their blocks (GIF89a specification, sections 18 to 22)."""
    frames, total, width, height = 0, 0, 0, 0
    for across, down in _gif_frames(content):
        frames, total = frames + 1, total + across * down
        # The image that TensorFlow makes is as wide as the widest frame, as high as the highest.
        width, height = max(width, across), max(height, down)
        if frames > MAX_FRAMES:
            break
    if not frames:
        raise ValueError("there is no frame")
    pixels = max(total, width * height)
    return Header("GIF", width, height, pixels, total + 3 * width * height, frames)


def _gif_frames(content: bytes) -> Iterator[tuple[int, int]]:
    """Width and height of each frame."""
    at, blocks = 13 + _palette(content[10]), 0
    while at < len(content) and content[at] in b"!,":
        if content[at] == ord(","):  # a frame: place, width and height, flags
            across, down, flags = struct.unpack_from("<HHB", content, at + 5)
            yield across, down
            at += 11 + _palette(flags)
        else:  # an extension
            at += 2
        while at < len(content) and content[at] and blocks < _MOST_BLOCKS:
            at, blocks = at + 1 + content[at], blocks + 1
        at, blocks = at + 1, blocks + 1
        if blocks > _MOST_BLOCKS:
            raise ValueError("there are too many blocks")


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


_GREY = b"".join(bytes((level, level, level)) for level in range(256))


def _bmp(content: bytes) -> Header:
    """The info header, and what TensorFlow does not look at: palette and colour masks."""
    start, size, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", content, 10)
    height = abs(height)  # where it is negative, the first row comes first
    if size == 12:  # of OS/2, with numbers of two bytes, which TensorFlow reads as ones of four
        width, height = struct.unpack_from("<HH", content, 18)
        return _header("BMP", width, height, 3, "is a BMP of OS/2; convert it to PNG")
    if width < 1:
        raise ValueError("there is no width")
    flaw = _bmp_flaw(content, size, bits, compression)
    row = -(-width * bits // 32) * 4
    if not flaw and start + (height - 1) * row + width * bits // 8 > len(content):
        raise ValueError("rows are missing")
    return _header("BMP", width, height, 3, flaw)


def _bmp_flaw(content: bytes, size: int, bits: int, compression: int) -> str:
    if bits <= 8 and not _is_grey(content[14 + size : 14 + size + 4 * 256]):
        return "is a BMP with a palette; convert it to PNG"
    if compression in (3, 6):
        if struct.unpack_from("<III", content, 54) != (0xFF0000, 0xFF00, 0xFF):
            return "is a BMP with unusual colour masks; convert it to PNG"
    elif compression:
        return "is a compressed BMP; convert it to PNG"
    return "" if bits in (8, 24, 32) else f"is a BMP with {bits} bits a pixel; convert it to PNG"


def _is_grey(palette: bytes) -> bool:
    """Whether each palette index equals its grey value, as TensorFlow assumes."""
    colours = [palette[place::4] for place in range(3)]
    return all(colour == _GREY[::3] for colour in colours)


def _webp(content: bytes) -> Header:
    """The first chunk: lossy, lossless or extended (RFC 9649, sections 2.5 to 2.7)."""
    kind = content[12:16]
    if kind == b"VP8X":
        return _extended_webp(content)
    if kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", content, 21)
        return _header("WebP", 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF), _WEBP_BYTES)
    if kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
        return _header("WebP", width, height, _WEBP_BYTES)
    raise ValueError("there is no image in it")


_WEBP_BYTES = 11  # colours and alpha, as they are read, returned and, without alpha, copied


def _extended_webp(content: bytes) -> Header:
    flags, *sides = struct.unpack_from("<B3xHBHB", content, 20)
    width, height = (1 + low + (high << 16) for low, high in (sides[:2], sides[2:]))
    if not flags & 2:
        return _header("WebP", width, height, _WEBP_BYTES)
    frames = max(content.count(b"ANMF"), 1)
    pixels = width * height * frames
    flaw = "is an animated WebP, which cannot be read; save its first frame as PNG"
    return Header("WebP", width, height, pixels, _WEBP_BYTES * pixels, frames, flaw)


def _tiff(content: bytes) -> Header:
    pages = tiff.pages(content)
    width, height, across, down = (pages[0].get(tag, (0,))[0] for tag in (256, 257, 322, 323))
    flaw = tiff.flaw(pages, tiff.below(content, pages[0]))
    pixels = max(width * height, across * down)  # Pillow reads tiles one by one, but each entirely
    return Header("TIFF", width, height, pixels, _TIFF_BYTES * pixels, flaw=flaw)


_TIFF_BYTES = 24  # Pillow's image, turned, as RGB, as an array; the BMP, twice; decoded


_READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "WebP": _webp,
    "TIFF": _tiff,
}

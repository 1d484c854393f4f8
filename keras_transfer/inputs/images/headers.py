"""Cost of decoding an image, and known decoding problems, from its header only.

The scan before training, ``predict`` and the server ask the same function. Nothing is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from keras_transfer.data.signatures import file_format
from keras_transfer.inputs.images import tiff

__all__ = ["Header", "image_data", "read_header"]

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of JPEG: SOF0, SOF1, ...
_MOST_SCANS = 200  # of a JPEG: encoders write about ten, and each is a pass over all pixels


class Header(NamedTuple):
    """Properties from the header of an image.

    Attributes:
        format: "JPEG", "PNG", "GIF", "BMP", "WebP" or "TIFF".
        width: In pixels, before any EXIF orientation is applied.
        height: In pixels.
        pixels: How many pixels the decoder will hold: of a GIF, those of all frames, for
            TensorFlow unpacks all of them to give the first.
        frames: Number of frames; 1 if only one is read.
        flaw: Why the image cannot be decoded correctly or at acceptable cost; empty if it can.
    """

    format: str
    width: int
    height: int
    pixels: int
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
        return _READERS[format_name](content)
    except (struct.error, IndexError) as error:
        raise ValueError("the header is truncated") from error


def _jpeg(content: bytes) -> Header:
    """The frame header, SOF (ITU-T T.81, B.2.2), which stands before the first scan, SOS."""
    places = {marker: start for marker, start, _ in _segments(content)}
    frames = [places[marker] for marker in _FRAMES if marker in places]
    if not frames or 0xDA not in places:
        raise ValueError("there is no frame, or no scan")
    _, height, width, components = struct.unpack_from(">BHHB", content, frames[0])
    scans = content.count(b"\xff\xda")
    flaw = "is CMYK; convert it to RGB" if components == 4 else ""
    if scans > _MOST_SCANS:
        flaw = f"is a JPEG of {scans:,} scans; save it again as a plain JPEG"
    return Header("JPEG", width, height, width * height, flaw=flaw)


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of the data of each segment of a JPEG, up to the first scan.

    Fill bytes (0xFF) and what does not belong there are passed over, as libjpeg does.
    """
    at = 2
    while True:
        at = content.index(b"\xff", at)
        while content[at] == 0xFF:
            at += 1
        marker, at = content[at], at + 1
        if marker in (0x00, 0x01, *range(0xD0, 0xD9)):  # these have no data
            continue
        if marker == 0xD9:
            return
        end = at + struct.unpack_from(">H", content, at)[0]
        yield marker, at + 2, end
        if marker == 0xDA:
            return
        at = end


def image_data(content: bytes) -> bytes:
    """A JPEG without what is not needed to decode its brightness: comments, EXIF, padding."""
    kept, scans = [content[:2]], len(content)
    for marker, start, end in _segments(content):
        if marker == 0xDA:
            scans = start - 4
        elif marker & 0xF0 != 0xE0 and marker != 0xFE:
            kept.append(b"\xff" + bytes([marker]) + content[start - 2 : end])
    return b"".join([*kept, content[scans:]])


def _png(content: bytes) -> Header:
    """The first chunk, IHDR, and how long those of the image's data are (IDAT)."""
    if content[12:16] != b"IHDR":
        raise ValueError("there is no IHDR")
    width, height, depth, colour = struct.unpack_from(">IIBB", content, 16)
    flaw = "has 16 bits a channel; convert it to 8" if depth == 16 else ""
    channels = {2: 3, 4: 2, 6: 4}.get(colour, 1)
    needed, data = height * (-(-width * channels * depth // 8) + 1), _png_data(content)
    if data > 2 * needed + (1 << 14):  # even if they do not shrink it
        flaw = f"has {data:,} bytes of data for {width} x {height} pixels; save it again"
    return Header("PNG", width, height, width * height, flaw=flaw)


def _png_data(content: bytes) -> int:
    at, total = 8, 0
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        total += length if content[at + 4 : at + 8] == b"IDAT" else 0
        at += 12 + length
    return total


def _gif(content: bytes) -> Header:
    """The screen, and all frames, by their blocks (GIF89a specification, sections 18 to 22)."""
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    at, frames, total, widest, tallest = 13 + _palette(flags), 0, 0, 0, 0
    while at < len(content) and content[at] in b"!,":
        if content[at] == ord(","):  # a frame: place, width and height, flags
            across, down, flags = struct.unpack_from("<HHB", content, at + 5)
            frames, total = frames + 1, total + across * down
            widest, tallest = max(widest, across), max(tallest, down)
            at = _behind_blocks(content, at + 11 + _palette(flags))
        else:  # an extension
            at = _behind_blocks(content, at + 2)
    # The image that TensorFlow makes is as wide as the widest frame, and as high as the highest.
    pixels = max(width * height, total, widest * tallest)
    return Header("GIF", width, height, pixels, max(frames, 1))


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _behind_blocks(content: bytes, at: int) -> int:
    while at < len(content) and content[at]:
        at += 1 + content[at]
    return at + 1


_GREY = b"".join(bytes((level, level, level)) for level in range(256))


def _bmp(content: bytes) -> Header:
    """The info header, and what TensorFlow does not look at: palette and colour masks."""
    (size,) = struct.unpack_from("<I", content, 14)
    if size == 12:  # of OS/2
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
        return Header("BMP", width, height, width * height)
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", content, 18)
    width, height = abs(width), abs(height)  # a negative height: the first row comes first
    flaw = ""
    if bits <= 8 and not _is_grey(content[14 + size : 14 + size + 4 * 256]):
        flaw = "is a BMP with a palette; convert it to PNG"
    elif compression in (3, 6):
        if struct.unpack_from("<III", content, 54) != (0xFF0000, 0xFF00, 0xFF):
            flaw = "is a BMP with unusual colour masks; convert it to PNG"
    elif compression:
        flaw = "is a compressed BMP; convert it to PNG"
    return Header("BMP", width, height, width * height, flaw=flaw)


def _is_grey(palette: bytes) -> bool:
    """Whether each palette index equals its grey value, as TensorFlow assumes."""
    colours = [palette[place::4] for place in range(3)]
    return all(colour == _GREY[::3] for colour in colours)


def _webp(content: bytes) -> Header:
    """The first chunk: lossy, lossless or extended (RFC 9649, sections 2.5 to 2.7)."""
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (
            1 + int.from_bytes(content[at : at + 3].ljust(3, b"\0"), "little") for at in (24, 27)
        )
    elif kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", content, 21)
        width, height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    else:
        raise ValueError("there is no image in it")
    return Header("WebP", width, height, width * height)


def _tiff(content: bytes) -> Header:
    pages = tiff.pages(content)
    width, height = (pages[0].get(tag, (0,))[0] for tag in (256, 257))
    return Header(
        "TIFF", width, height, width * height, flaw=tiff.flaw(pages, tiff.below(content, pages[0]))
    )


_READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "WebP": _webp,
    "TIFF": _tiff,
}

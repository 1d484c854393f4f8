"""Image files made byte by byte, of sorts that Pillow does not write."""

import struct
import zlib


def png(width, height, *, depth=8, level=6, interlaced=False, data=None, text=b""):
    """A black RGB image; ``data`` stands in its IDAT as it is; ``text`` is a chunk of its own."""
    row = b"\0" + bytes(3 * depth // 8 * width)
    chunks = [
        b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, interlaced),
        *([text] if text else []),
        b"IDAT" + (zlib.compress(row * height, level) if data is None else data),
        b"IEND",
    ]
    parts = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp(bits, width, height, *, masks=(), palette=(), compression=None, pixel=None):
    """An image of one colour; a negative height puts the first row first."""
    pixel = bytes(range(1, bits // 8 + 1)) if pixel is None else pixel
    row = (pixel * width).ljust(-(-bits * width // 32) * 4, b"\0")
    masked = struct.pack(f"<{len(masks)}I", *masks)
    colours = b"".join(bytes((level, level, level, 0)) for level in palette)
    kind = (3 if masks else 0) if compression is None else compression
    info = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, kind, 0, 2835, 2835, len(palette), 0
    )
    rows = row * abs(height)
    start = 14 + len(info + masked + colours)
    return (
        struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
        + info
        + masked
        + colours
        + rows
    )


def gif(screen, frames):
    """Frames of these sizes, each with a bare clear and end code for data."""
    parts = [b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)]
    parts += [b"," + struct.pack("<HHHHB", 0, 0, *size, 0) + b"\2\1\x2c\0" for size in frames]
    return b"".join(parts) + b";"


def jpeg_end(content):
    """A JPEG that was cut off, with an end marker put behind what is left."""
    return content + b"\xff\xd9"

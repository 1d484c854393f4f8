"""Images of a few kB that would cost seconds or gigabytes to decode, made byte by byte."""

import io
import struct
import zlib

import encoded
from PIL import Image

PLAIN = Image.effect_mandelbrot((24, 16), (-3, -2, 2, 2), 9).convert("RGB")


def saved(form, image=PLAIN, **options):
    """Encode an image by Pillow."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def zeros(count):
    """A zlib stream that unpacks to so many zeros; about a thousandth of that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    million = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes(count % 1_000_000)) + packer.flush()
    checksum = struct.pack(">HH", count % 65_521, 1)  # Adler-32 of zeros
    return b"\x78\xda" + million * (count // 1_000_000) + rest + checksum


# --- PNG ----------------------------------------------------------------------------------------


def chunk(name, data):
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(*chunks, width=4, height=4, **options):
    """A black PNG with these chunks behind its header."""
    plain = encoded.png(width, height, **options)
    return plain[:33] + b"".join(chunks) + plain[33:]


# --- GIF ----------------------------------------------------------------------------------------


def gif(screen, frames):
    """Frames of these sizes, all pixels 0; each frame is about a thousandth of its pixels."""
    parts = [b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)]
    for width, height in frames:
        parts.append(b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + _lzw(width * height))
    return b"".join(parts) + b";"


def _lzw(count):
    """So many zeros: a code for each length of a run, and from 4,090 on a new table."""
    clear, end, first = 4, 5, 6
    codes, left, size = [], count, 3
    while left > 0:
        codes += [(clear, size), (0, 3)]
        size, new, left = 3, first, left - 1
        while left > 0 and new < 4090:
            run = min(new - first + 2, left)  # the newest code stands for the longest run
            codes.append((run + first - 2 if run > 1 else 0, size))
            new, left = new + 1, left - run
            size += new == 1 << size
    return _blocks(b"\2", [*codes, (end, size)])


def _blocks(start, codes):
    bits = "".join(f"{code:0{size}b}"[::-1] for code, size in codes)
    data = int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")
    parts = (data[at : at + 255] for at in range(0, len(data), 255))
    return start + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


# --- JPEG ---------------------------------------------------------------------------------------


def jpeg(width, height, *, scans=0, **options):
    """A JPEG that says to have this size, with its last scan repeated."""
    content = bytearray(saved("JPEG", **options))
    frame = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    last = content[content.rindex(b"\xff\xda") : -2]
    return bytes(content[:-2] + last * scans + content[-2:])


# --- BMP, WebP, TIFF ----------------------------------------------------------------------------


def bmp(width, height, *, bits=24):
    """A BMP that says to have this size, with 16 pixels."""
    content = bytearray(encoded.bmp(24, 4, 4))
    struct.pack_into("<iiHH", content, 18, width, height, 1, bits)
    return bytes(content)


def os2_bmp(width, height):
    """A BMP with the header of OS/2."""
    row = -(-width * 3 // 4) * 4
    start = struct.pack("<2sIHHI", b"BM", 26 + row * height, 0, 0, 26)
    return start + struct.pack("<IHHHH", 12, width, height, 1, 24) + bytes(row * height)


def webp(canvas, *, frames=(), flags=0):
    """An extended WebP with a canvas of its own size, and the frames of another."""
    still = saved("WEBP")[12:]
    width, height = (side - 1 for side in canvas)
    body = b"WEBPVP8X" + struct.pack("<II", 10, flags) + width.to_bytes(3, "little")
    body += height.to_bytes(3, "little")
    if frames:
        body += b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    for across, down in frames:
        size = (across - 1).to_bytes(3, "little") + (down - 1).to_bytes(3, "little")
        data = bytes(6) + size + bytes(4) + still
        body += b"ANMF" + struct.pack("<I", len(data)) + data
    body += b"" if frames else still
    return b"RIFF" + struct.pack("<I", len(body)) + body


def animated_webp(canvas, count):
    """So many frames of the canvas."""
    return webp(canvas, frames=[canvas] * count, flags=2)


def tiff(width, height, *, extra=(), following=0, pixels=16):
    """A grey TIFF of one strip, or with other tags; ``following`` is where the next page begins."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (277, 3, 1)]
    tags += extra or [(273, 4, 8), (278, 4, height), (279, 4, pixels)]
    start = struct.pack("<4sIH", b"II*\0", 8, len(tags))
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return start + entries + struct.pack("<I", following) + bytes(pixels)


TILE = ((322, 4, 20_000), (323, 4, 20_000), (324, 4, 8), (325, 4, 16))
TWO_TILES = (TILE[0], (322, 4, 16), TILE[1], (323, 4, 16), *TILE[2:])
SIGNED_TILE = tuple((tag, 9, value) for tag, _, value in TILE)
MANY_TAGS = tuple((300 + number % 9, 3, 0) for number in range(3000))


def hostile():
    """Name, content, and a part of the reason why it is refused."""
    text = zeros(7_900_000)  # libpng ignores a text of more than 8 MB
    return [
        ("two.gif", gif((5, 5), [(1, 20_000), (20_000, 1)]), "400,000,000 pixels in 2 frames"),
        ("sum.gif", gif((9, 9), [(9000, 90)] * 120), "97,200,000 pixels in 120 frames"),
        ("count.gif", encoded.gif((2, 2), [(2, 2)] * 10_001), "has over 10,000 frames"),
        ("tiny.gif", encoded.gif((2, 2), [(2, 2)] * 300_000), "has over 10,000 frames"),
        ("frame.gif", encoded.gif((9, 9), [(65_535, 65_535)]), "has 65535 x 65535 pixels"),
        ("blocks.gif", gif((9, 9), [])[:-1] + b"!\xfe" + b"\1a" * 1_100_000, "damaged GIF"),
        ("extensions.gif", gif((9, 9), [])[:-1] + b"!\xfe\0" * 1_100_000, "damaged GIF"),
        ("data.png", encoded.png(2, 2, data=zeros(500_000_000)), "data than 2 x 2 pixels need"),
        ("fits.png", encoded.png(400, 400, data=zeros(480_000_000)), "data than 400 x 400 pixels"),
        ("large.png", encoded.png(60_000, 60_000, data=zeros(9_000_000)), "has 60000 x 60000"),
        ("ztxt.png", png_with(*[chunk(b"zTXt", b"a\0\0" + text)] * 40), "texts or a profile of"),
        ("itxt.png", png_with(*[chunk(b"iTXt", b"a\0\1\0\0\0" + text)] * 40), "texts or a prof"),
        ("chunks.png", png_with(*[chunk(b"IDAT", b"")] * 110_000), "damaged PNG"),
        ("large.jpg", jpeg(65_535, 65_535), "has 65535 x 65535 pixels"),
        ("scans.jpg", jpeg(9000, 9000, scans=150, progressive=True), "is a JPEG of 160 scans"),
        ("marks.jpg", jpeg(9, 9)[:-2] + b"\xff\xda\0\2" * 500_000, "damaged JPEG"),
        ("segments.jpg", b"\xff\xd8" + b"\xff\xe0\0\2" * 500_000, "damaged JPEG"),
        ("fill.jpg", b"\xff\xd8" + b"\xff" * 2_000_000, "damaged JPEG"),
        ("large.bmp", bmp(30_000, 30_000), "truncated or damaged BMP"),
        ("lowest.bmp", bmp(4, -(2**31)), "truncated or damaged BMP"),
        ("negative.bmp", bmp(-4, 4), "truncated or damaged BMP"),
        ("os2.bmp", os2_bmp(9, 9), "is a BMP of OS/2"),
        ("deep.bmp", encoded.bmp(16, 4, 4), "is a BMP with 16 bits a pixel"),
        ("frames.webp", animated_webp((9000, 9000), 3), "243,000,000 pixels in 3 frames"),
        ("moving.webp", animated_webp((24, 16), 2), "is an animated WebP"),
        ("canvas.webp", webp((1 << 24, 1 << 24)), "has 16777216 x 16777216 pixels"),
        ("tile.tif", tiff(4, 4, extra=TILE), "has a tile of 400,000,000 pixels"),
        ("signed.tif", tiff(4, 4, extra=SIGNED_TILE), "has a tile of 400,000,000 pixels"),
        ("tiles.tif", tiff(4, 4, extra=TWO_TILES), "truncated or damaged TIFF"),
        ("circle.tif", tiff(4, 4, extra=MANY_TAGS, following=8), "truncated or damaged TIFF"),
        ("large.tif", tiff(60_000, 60_000), "has 60000 x 60000 pixels"),
    ]

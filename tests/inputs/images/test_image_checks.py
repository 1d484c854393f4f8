"""Every kind of unusable image has its reason; no sound image has one."""

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_transfer.inputs.images import image_checks

IMAGE = Image.effect_mandelbrot((48, 32), (-3, -2, 2, 2), 9).convert("RGB")


def encoded(kind, image=IMAGE, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_of_size(width, height):
    """The header of a PNG that promises more pixels than it has."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_16_bit_rgb():
    rows = b"".join(b"\0" + bytes(6 * 4) for _ in range(3))
    chunks = (
        b"IHDR" + struct.pack(">IIBBBBB", 4, 3, 16, 2, 0, 0, 0),
        b"IDAT" + zlib.compress(rows),
        b"IEND",
    )
    splits = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(splits)


JPEG, PNG = encoded("JPEG"), encoded("PNG")
DEEP = Image.fromarray(np.arange(12, dtype="uint16").reshape(3, 4) * 5000)

SOUND = {
    "photo.jpg": JPEG,
    "photo.JPEG": JPEG,
    "photo.jpe": JPEG,
    "photo": JPEG,
    "photo.2": JPEG,
    "progressive.jpg": encoded("JPEG", progressive=True),
    "grey.jpg": encoded("JPEG", IMAGE.convert("L")),
    "image.png": PNG,
    "palette.png": encoded("PNG", IMAGE.quantize(16)),
    "alpha.png": encoded("PNG", IMAGE.convert("RGBA")),
    "frames.gif": encoded("GIF", save_all=True, append_images=[IMAGE.rotate(90)]),
    "image.bmp": encoded("BMP"),
    "grey.bmp": encoded("BMP", IMAGE.convert("L")),
    "alpha.webp": encoded("WEBP", IMAGE.convert("RGBA")),
    "two_by_two.png": encoded("PNG", IMAGE.crop((0, 0, 2, 2))),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_image_has_a_digest_and_no_reason(name):
    if name.endswith(".webp") and not hasattr(tf.io, "decode_webp"):
        pytest.skip("this TensorFlow has no WebP")
    assert image_checks.check(SOUND[name], name) == (hashlib.sha256(SOUND[name]).hexdigest(), "")


UNSOUND = {
    "empty.jpg": (b"", "is empty (0 bytes)"),
    "page.jpg": (b"<!DOCTYPE html><html>404</html>", "is HTML, not an image"),
    "page.png": (b"\n <html><body>Sign in</body></html>", "is HTML, not an image"),
    "words.jpg": ("Größe: 12 €\n".encode(), "is text, not an image"),
    "cars.jpg": (b"BMW, Audi", "is text, not an image"),
    "paper.jpg": (b"%PDF-1.4 ...", "is PDF, not an image"),
    "zeros.jpg": (bytes(500), "is no image of a known format"),
    "anim.jpg": (SOUND["frames.gif"], "is a GIF named .jpg; rename or convert it"),
    "map.jpg": (SOUND["image.bmp"], "is a BMP named .jpg; rename or convert it"),
    "web.jpeg": (SOUND["alpha.webp"], "is a WebP named .jpeg; rename or convert it"),
    "shot.JPG": (PNG, "is a PNG named .jpg; rename or convert it"),
    "photo.png": (JPEG, "is a JPEG named .png; rename or convert it"),
    "scan.jpg": (encoded("TIFF"), "is TIFF; convert it to JPEG or PNG"),
    "phone.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0", "is HEIC; convert it to JPEG or PNG"),
    "logo.png": (b'<?xml version="1.0"?><svg></svg>', "is SVG; convert it to JPEG or PNG"),
    "print.jpg": (encoded("JPEG", IMAGE.convert("CMYK")), "is CMYK; convert it to RGB"),
    "deep_grey.png": (encoded("PNG", DEEP), "has 16 bits a channel; convert it to 8"),
    "deep.png": (png_16_bit_rgb(), "has 16 bits a channel; convert it to 8"),
    "palette.bmp": (
        encoded("BMP", IMAGE.quantize(16)),
        "is a BMP with a palette; convert it to PNG",
    ),
    "bomb.png": (
        png_of_size(30_000, 30_000),
        "has 30000 x 30000 pixels, over 89,478,485; shrink it",
    ),
    "pixel.gif": (encoded("GIF", IMAGE.crop((0, 0, 1, 1))), "has only 1 x 1 pixels"),
    "line.png": (encoded("PNG", IMAGE.crop((0, 0, 9, 1))), "has only 9 x 1 pixels"),
    "cut.jpg": (JPEG[: len(JPEG) // 2], "is a truncated or damaged JPEG"),
    "cut.png": (PNG[: len(PNG) // 2], "is a truncated or damaged PNG"),
    "cut.webp": (SOUND["alpha.webp"][:100], "is a truncated or damaged WebP"),
    "start.jpg": (b"\xff\xd8\xff\xe0", "is a truncated or damaged JPEG"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_image_has_its_reason(name):
    content, reason = UNSOUND[name]

    assert image_checks.check(content, name).reason == reason


def test_what_only_tensorflow_cannot_read_is_not_called_damaged():
    frames = encoded("WEBP", save_all=True, append_images=[IMAGE.rotate(180)])

    assert "is a WebP that TensorFlow" in image_checks.check(frames, "frames.webp").reason


@settings(max_examples=150)
@given(
    begin=st.sampled_from([JPEG, PNG, SOUND["frames.gif"], SOUND["image.bmp"]]),
    kept=st.integers(0, 400),
    rest=st.binary(max_size=40),
)
def test_no_bytes_are_an_error(begin, kept, rest):
    assert isinstance(image_checks.check(begin[:kept] + rest, "any.jpg").reason, str)


@settings(max_examples=60)
@given(at=st.integers(0, len(PNG) - 13), value=st.integers(0, 255))
def test_a_png_with_a_changed_byte_is_found(at, value):
    """A PNG carries checksums: up to its end mark, nothing but the very same bytes is sound."""
    changed = PNG[:at] + bytes([value]) + PNG[at + 1 :]

    assert (image_checks.check(changed, "any.png").reason == "") == (changed == PNG)

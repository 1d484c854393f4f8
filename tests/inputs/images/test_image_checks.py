"""Every kind of unusable image has its reason; no sound image has one."""

import hashlib
import io
import zlib

import numpy as np
import pytest
import tensorflow as tf
from encoded import bmp, gif, png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from keras_transfer.inputs.images import image_checks

IMAGE = Image.effect_mandelbrot((48, 32), (-3, -2, 2, 2), 9).convert("RGB")


def encoded(kind, image=IMAGE, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def long_text(**options):
    """Three texts of 1.2 MB: Pillow stops at 1 MB."""
    info = PngImagePlugin.PngInfo()
    for number in range(3):
        info.add_text(f"text {number}", "abcdefgh" * 150_000, **options)
    return info


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
    "photo.jfif": JPEG,
    "padded.jpg": JPEG[:2] + b"\xff\xff\xff" + bytes(9) + JPEG[2:],
    "restarts.jpg": encoded("JPEG", restart_marker_rows=1),
    "behind.jpg": JPEG + bytes(1000),
    "scan.tif": encoded("TIFF"),
    "scan.tiff": encoded("TIFF", compression="tiff_lzw"),
    "long_text.png": encoded("PNG", pnginfo=long_text()),
    "packed_text.png": encoded("PNG", pnginfo=long_text(zip=True)),
    "profile.png": encoded("PNG", icc_profile=np.random.default_rng(0).bytes(2 << 20)),
    "stored.png": png(300, 300, level=0),
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
    "scan.jpg": (encoded("TIFF"), "is a TIFF named .jpg; rename or convert it"),
    "phone.heic": (
        b"\0\0\0\x18ftypheic\0\0\0\0",
        "is HEIC; convert it to JPEG, e.g. by 'magick FILE.heic FILE.jpg' (ImageMagick)",
    ),
    "scan.dcm": (
        bytes(128) + b"DICM\2\0\0\0",
        "is DICOM; convert it to PNG, e.g. by 'dcm2pnm --write-png FILE.dcm FILE.png' (DCMTK)",
    ),
    "raw.cr2": (
        b"II*\0\x10\0\0\0CR\2\0",
        "is a camera raw file; develop it to JPEG, e.g. by 'darktable-cli FILE.nef FILE.jpg'",
    ),
    "masks.bmp": (
        bmp(32, 4, 4, masks=(0xFF000000, 0xFF0000, 0xFF00)),
        "is a BMP with unusual colour masks; convert it to PNG",
    ),
    "frames.gif": (
        gif((500, 500), [(500, 500)] * 1000),
        "has 250,000,000 pixels in 1,000 frames, over 89,478,485; save the first as PNG",
    ),
    "flat.gif": (
        gif((1, 1), [(1, 20_000), (20_000, 1)]),
        "has 400,000,000 pixels in 2 frames, over 89,478,485; save the first as PNG",
    ),
    "many.gif": (
        gif((2, 2), [(2, 2)] * 10_001),
        "has over 10,000 frames; save the first as PNG",
    ),
    "one.gif": (
        gif((1, 1), [(65_535, 65_535)]),
        "has 65535 x 65535 pixels, over 89,478,485; shrink it",
    ),
    "logo.png": (b'<?xml version="1.0"?><svg></svg>', "is SVG; convert it to JPEG or PNG"),
    "print.jpg": (encoded("JPEG", IMAGE.convert("CMYK")), "is CMYK; convert it to RGB"),
    "deep_grey.png": (encoded("PNG", DEEP), "has 16 bits a channel; convert it to 8"),
    "deep.png": (png(4, 3, depth=16), "has 16 bits a channel; convert it to 8"),
    "palette.bmp": (
        encoded("BMP", IMAGE.quantize(16)),
        "is a BMP with a palette; convert it to PNG",
    ),
    "bomb.png": (
        png(30_000, 30_000, data=zlib.compress(bytes(100))),
        "has 30000 x 30000 pixels, over 89,478,485; shrink it",
    ),
    "pixel.gif": (encoded("GIF", IMAGE.crop((0, 0, 1, 1))), "has only 1 x 1 pixels"),
    "line.png": (encoded("PNG", IMAGE.crop((0, 0, 9, 1))), "has only 9 x 1 pixels"),
    "cut.jpg": (
        JPEG[:-30],
        "is a truncated or damaged JPEG (Premature end of JPEG file)",
    ),
    "header.jpg": (JPEG[:300], "is a truncated or damaged JPEG"),
    "ended.jpg": (
        JPEG[:-30] + b"\xff\xd9",
        "is a truncated or damaged JPEG (premature end of data segment)",
    ),
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

    assert "is an animated WebP" in image_checks.check(frames, "frames.webp").reason


PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3), "uint8")).resize(
    (240, 180), Image.BICUBIC
)


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.8, 0.95])
def test_a_jpeg_that_was_cut_is_found_though_an_end_mark_follows(kept, progressive):
    content = encoded("JPEG", PHOTO, progressive=progressive, quality=90)
    start = content.rindex(b"\xff\xda") + 10
    cut = content[: start + int(kept * (len(content) - start))] + b"\xff\xd9"

    assert "is a truncated or damaged JPEG (" in image_checks.check(cut, "any.jpg").reason


def test_a_jpeg_whose_middle_was_overwritten_is_found():
    """Zeros for 200 bytes, as a disk gives them that has lost a sector."""
    content = encoded("JPEG", PHOTO, quality=90)
    middle = len(content) // 2
    changed = content[:middle] + bytes(200) + content[middle + 200 :]

    assert "is a truncated or damaged JPEG (" in image_checks.check(changed, "any.jpg").reason


def test_what_libjpeg_says_of_a_damaged_jpeg_is_said_with_its_name_and_not_by_libjpeg(capfd):
    reason = image_checks.check(UNSOUND["ended.jpg"][0], "ended.jpg").reason

    assert reason.endswith("(premature end of data segment)")
    assert "premature end" not in capfd.readouterr().err.lower()


@settings(max_examples=150)
@given(
    begin=st.sampled_from(
        [JPEG, PNG, *(SOUND[x] for x in ("frames.gif", "image.bmp", "scan.tif"))]
    ),
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


@pytest.mark.parametrize("name", SOUND)
def test_an_image_that_ends_in_its_header_has_a_reason(name):
    for length in range(min(60, len(SOUND[name]) - 1)):
        assert image_checks.check(SOUND[name][:length], name).reason

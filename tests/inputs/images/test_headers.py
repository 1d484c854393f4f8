"""What headers say of cost and pitfalls, against Pillow's readings and by hand."""

import io
import struct
from contextlib import suppress

import numpy as np
import pytest
from encoded import bmp, gif, png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_transfer.data.signatures import file_format
from keras_transfer.inputs.images.headers import Header, read_header

IMAGE = Image.effect_mandelbrot((37, 21), (-3, -2, 2, 2), 9).convert("RGB")


def encoded(form, image=IMAGE, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


CASES = {
    "jpeg": encoded("JPEG"),
    "progressive jpeg": encoded("JPEG", progressive=True),
    "grey jpeg": encoded("JPEG", IMAGE.convert("L")),
    "png": encoded("PNG"),
    "gif": encoded("GIF"),
    "bmp": encoded("BMP"),
    "top-down bmp": bmp(24, 37, -21),
    "webp, lossy": encoded("WEBP"),
    "webp, lossless": encoded("WEBP", lossless=True),
    "webp, extended": encoded("WEBP", IMAGE.convert("RGBA"), exif=b"Exif\0\0"),
    "tiff": encoded("TIFF"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_plain_image_costs_its_own_pixels(name):
    found = read_header(CASES[name])

    assert found[:4] == (found.format, 37, 21, 37 * 21)
    assert (found.frames, found.flaw) == (1, "")
    assert found.format == file_format(CASES[name])


@pytest.mark.parametrize(
    ("screen", "frames", "pixels"),
    [
        ((20, 30), [(20, 30)] * 3, 1800),
        ((20, 30), [(2, 3)] * 3, 18),
        ((1, 1), [(1, 20_000), (20_000, 1)], 400_000_000),  # the widest by the highest
        ((9, 9), [(65_535, 65_535)], 4_294_836_225),
        ((100, 100), [(100, 100)] * 3000, 30_000_000),
    ],
)
def test_a_gif_costs_what_tensorflow_unpacks(screen, frames, pixels):
    content = gif(screen, frames)
    width, height = (max(sides) for sides in zip(*frames, strict=True))
    unpacked = sum(across * down for across, down in frames) + 3 * width * height

    assert read_header(content) == Header(
        "GIF", width, height, pixels, unpacked + len(content), len(frames)
    )


FLAWS = {
    "cmyk.jpg": (encoded("JPEG", IMAGE.convert("CMYK")), "is CMYK"),
    "16_bit.png": (png(4, 3, depth=16), "has 16 bits a channel"),
    "palette.bmp": (encoded("BMP", IMAGE.quantize(16)), "is a BMP with a palette"),
    "inverted.bmp": (bmp(8, 4, 4, palette=range(255, -1, -1)), "is a BMP with a palette"),
    "rgb masks.bmp": (bmp(32, 4, 4, masks=(0xFF, 0xFF00, 0xFF0000)), "unusual colour masks"),
    "xbgr masks.bmp": (bmp(32, 4, 4, masks=(0xFF000000, 0xFF0000, 0xFF00)), "unusual colour"),
    "10 bit masks.bmp": (bmp(32, 4, 4, masks=(0x3FF00000, 0xFFC00, 0x3FF)), "unusual colour"),
    "24 bit masks.bmp": (bmp(24, 4, 4, masks=(0xFF, 0xFF00, 0xFF0000)), "unusual colour"),
    "16 bit.bmp": (bmp(16, 4, 4), "is a BMP with 16 bits a pixel"),
    "rle.bmp": (bmp(8, 4, 4, palette=range(256), compression=1), "is a compressed BMP"),
}


@pytest.mark.parametrize("name", FLAWS)
def test_what_tensorflow_would_read_wrongly_has_a_flaw(name):
    content, flaw = FLAWS[name]

    assert flaw in read_header(content).flaw


FINE = {
    "masks as usual.bmp": bmp(32, 4, 4, masks=(0xFF0000, 0xFF00, 0xFF)),
    "grey.bmp": bmp(8, 4, 4, palette=range(256)),
    "32 bit.bmp": bmp(32, 4, 4),
}


@pytest.mark.parametrize("name", FINE)
def test_what_it_reads_rightly_has_none(name):
    assert read_header(FINE[name]).flaw == ""


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=40)
@given(end=st.integers(0, 200), rest=st.binary(max_size=30))
def test_broken_headers_are_an_error_and_no_other(name, end, rest):
    with suppress(ValueError):
        assert read_header(CASES[name][:end] + rest).pixels >= 0


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (bytes(128) + b"DICM\2\0", "DICOM"),
        (b"II*\0\x10\0\0\0CR\2\0", "camera raw"),
        (b"II+\0\x08\0\0\0", "TIFF"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"", ""),
    ],
)
def test_formats_are_known_by_their_first_bytes(start, name):
    assert file_format(start) == name


def test_many_segments_do_not_hide_the_size():
    profile = b"\xff\xe2" + struct.pack(">H", 65_535) + bytes(65_533)
    content = CASES["jpeg"][:2] + profile * 30 + b"\xff" * 9 + CASES["jpeg"][2:]

    assert read_header(content)[:3] == ("JPEG", 37, 21)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))).shape, (21, 37, 3))

"""TIFF: what is read, with which values, and what is refused."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, TiffImagePlugin

from keras_transfer.data.files import Files
from keras_transfer.inputs.images import decode, image_checks, tiff

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 7, 3), "uint8")
GREY = PIXELS[..., 0]
DEEP = RNG.integers(0, 65536, (5, 7), "uint16")
DEEP[0, :3] = 0, 255, 65535


def saved(pixels, **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, "TIFF", **options)
    return file.getvalue()


def raw(pixels, order="<", *, big=False, **tags):
    """An uncompressed TIFF, tag by tag: (height, width, channels) of any number type."""
    height, width, channels = pixels.shape
    kinds = {"u": 1, "i": 2, "f": 3}
    given = {
        254: 0,
        256: width,
        257: height,
        258: (8 * pixels.itemsize,) * channels,
        259: 1,
        262: 2 if channels == 3 else 1,
        277: channels,
        278: height,
        279: pixels.nbytes,
        339: (kinds[pixels.dtype.kind],) * channels,
        **{int(name[1:]): value for name, value in tags.items()},
    }
    word, counts, place = ("Q", "Q", 16) if big else ("I", "H", 8)
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    given[273] = start = place
    entries, later = b"", b""
    at = start + len(data)
    behind = (
        at + struct.calcsize(order + counts) + len(given) * (20 if big else 12) + (8 if big else 4)
    )
    for tag, values in sorted(given.items()):
        values = values if isinstance(values, tuple) else (values,)
        content = struct.pack(f"{order}{len(values)}I", *values)
        if len(content) > struct.calcsize(word):
            content, later = struct.pack(order + word, behind + len(later)), later + content
        entries += struct.pack(f"{order}HH{word}", tag, 4, len(values))
        entries += content.ljust(struct.calcsize(word), b"\0")
    head = (b"II" if order == "<" else b"MM") + (
        struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI", 42, at)
    )
    directory = struct.pack(order + counts, len(given)) + entries + struct.pack(order + word, 0)
    return head + data + directory + later


def pixels_of(content):
    """As training reads a file."""
    return decode.image(decode.readable(tf.constant(content))).numpy()


def three(grey):
    return np.repeat(grey[..., None], 3, 2)


DEEP_RGB = RNG.integers(0, 65536, (5, 7, 3), "uint16")
READ = {
    "RGB": (saved(PIXELS), PIXELS),
    "grey": (saved(GREY), three(GREY)),
    "black and white": (saved(Image.fromarray(GREY > 99)), three((GREY > 99) * 255)),
    "RGB and alpha": (saved(np.dstack([PIXELS, GREY])), PIXELS),
    "LZW": (saved(PIXELS, compression="tiff_lzw"), PIXELS),
    "deflate": (saved(PIXELS, compression="tiff_adobe_deflate"), PIXELS),
    "16 bits": (saved(DEEP), three(DEEP >> 8)),
    "16 bits, LZW": (saved(DEEP, compression="tiff_lzw"), three(DEEP >> 8)),
    "16 bits, big-endian": (raw(DEEP[..., None], ">"), three(DEEP >> 8)),
    "16 bits, white is 0": (raw(DEEP[..., None], _262=0), three(255 - (DEEP >> 8))),
    "8 bits, white is 0": (raw(GREY[..., None], _262=0), three(255 - GREY)),
    "16 bits RGB": (raw(DEEP_RGB), DEEP_RGB >> 8),
    "16 bits RGB, big-endian": (raw(DEEP_RGB, ">"), DEEP_RGB >> 8),
    "BigTIFF": (raw(PIXELS, big=True), PIXELS),
    "turned": (raw(PIXELS, _274=6), np.rot90(PIXELS, -1)),
    "turned, 16 bits": (raw(DEEP[..., None], _274=6), three(np.rot90(DEEP >> 8, -1))),
    "all black, 16 bits": (saved(np.zeros((5, 7), "uint16")), np.zeros((5, 7, 3))),
}


@pytest.mark.parametrize("name", READ)
def test_values_are_those_of_the_file(name):
    content, expected = READ[name]

    assert image_checks.check(content, "any.tif").reason == ""
    np.testing.assert_array_equal(pixels_of(content), expected)


def test_a_palette_gives_its_colours():
    image = Image.fromarray(PIXELS).quantize(16)

    np.testing.assert_array_equal(pixels_of(saved(image)), np.asarray(image.convert("RGB")))


def camera_raw():
    """As Nikon's and Adobe's begin: with a small preview, the image itself elsewhere."""
    return raw(PIXELS, _254=1)


CAMERA_RAW = "is a camera raw file; develop it to JPEG, e.g. by 'darktable-cli FILE.nef FILE.jpg'"


def with_page_below(order="<", **tags):
    """A plain TIFF, and below its page another one with these tags (a SubIFD)."""
    end = len(raw(PIXELS, order, _330=0))
    entries = [struct.pack(order + "HHII", int(tag[1:]), 4, 1, tags[tag]) for tag in sorted(tags)]
    below = struct.pack(order + "H", len(tags)) + b"".join(entries) + struct.pack(order + "I", 0)
    return raw(PIXELS, order, _330=end) + below


REFUSED = {
    "pages": (
        saved(PIXELS, save_all=True, append_images=[Image.fromarray(PIXELS)] * 2),
        "is a TIFF of 3 pages; save each as a file of its own",
    ),
    "CMYK": (saved(Image.fromarray(PIXELS).convert("CMYK")), "is CMYK; convert it to RGB"),
    "Lab": (
        raw(PIXELS, _262=8),
        "is a TIFF that is neither greyscale nor RGB; convert it to RGB",
    ),
    "float": (
        raw(np.ones((5, 7, 1), "float32")),
        "is a TIFF of signed or floating-point numbers; scale it to 8 bits a channel",
    ),
    "signed": (
        raw(np.ones((5, 7, 1), "int16")),
        "is a TIFF of signed or floating-point numbers; scale it to 8 bits a channel",
    ),
    "32 bits": (
        raw(np.ones((5, 7, 1), "uint32")),
        "is a TIFF with 32 bits a channel; scale it to 8",
    ),
    "12 of 16 bits": (
        saved(DEEP >> 4),
        "has 16 bits a channel, of which only the lowest 12 are used; scale it to 8 bits",
    ),
    "12 of 16 bits RGB": (
        raw(DEEP_RGB >> 4),
        "has 16 bits a channel, of which only the lowest 12 are used; scale it to 8 bits",
    ),
    "camera raw": (camera_raw(), CAMERA_RAW),
    "DNG": (raw(PIXELS, _50706=1), CAMERA_RAW),
    "mosaic below": (with_page_below(_254=0, _262=32803), CAMERA_RAW),  # as NEF has it
    "linear below": (with_page_below(">", _254=0, _262=34892), CAMERA_RAW),
    "large": (
        raw(PIXELS, _256=40_000, _257=40_000),
        "has 40000 x 40000 pixels, over 89,478,485; shrink it",
    ),
    "cut": (
        saved(PIXELS, compression="tiff_lzw")[:-40],
        "is a truncated or damaged TIFF",
    ),
    "empty": (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "has only 0 x 0 pixels"),
    "loop": (b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "is a truncated or damaged TIFF"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_read_wrongly_is_refused(name):
    content, reason = REFUSED[name]

    assert image_checks.check(content, "any.tif").reason.split(", or compressed")[0] == reason


@pytest.mark.parametrize("name", ["a.NEF", "a.arw", "a.dng", "a.pef"])
def test_a_tiff_named_like_a_camera_raw_file_is_one(name):
    assert image_checks.check(saved(PIXELS), name).reason == CAMERA_RAW


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_preview_below_a_plain_tiff_does_not_matter(order):
    content = with_page_below(order, _254=1, _262=2)

    assert image_checks.check(content, "any.tif").reason == ""
    np.testing.assert_array_equal(pixels_of(content), PIXELS)


def test_previews_behind_the_image_are_no_pages():
    first, preview = Image.fromarray(PIXELS), Image.fromarray(PIXELS[:2, :2])
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = 1
    preview.encoderinfo = {"tiffinfo": tags}
    content = saved(first, save_all=True, append_images=[preview])

    assert [page.get(254, (0,))[0] for page in tiff.pages(content)] == [0, 1]
    assert image_checks.check(content, "any.tif").reason == ""
    np.testing.assert_array_equal(pixels_of(content), PIXELS)


def test_files_of_both_sorts_are_read_side_by_side(tmp_path):
    """In a pipeline, as training reads them."""
    (tmp_path / "a.tif").write_bytes(saved(PIXELS))
    Image.fromarray(PIXELS).save(tmp_path / "b.png")
    store = Files([str(tmp_path / name) for name in ("a.tif", "b.png")])

    read = tf.data.Dataset.range(2).map(store.read)
    for found in read.map(lambda raw: decode.image(decode.readable(raw))):
        np.testing.assert_array_equal(found, PIXELS)

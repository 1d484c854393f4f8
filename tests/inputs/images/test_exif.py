"""EXIF orientation: all eight, both byte orders, wherever it stands, and garbage."""

import io
import struct
import time

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from keras_transfer.inputs.images import decode, exif

# 6 x 4 pixels, no two alike
PIXELS = (np.arange(72).reshape(6, 4, 3) * 3).astype("uint8")
ORIENTATION, SHORT = 0x112, 3


def segment(marker, data):
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def taken(orientation, order="<", kind=SHORT):
    """An Exif segment with the maker's name before the orientation."""
    entries = struct.pack(f"{order}HHI4s", 0x10F, 2, 4, b"ACM\0")
    entries += struct.pack(f"{order}HHIHH", ORIENTATION, kind, 1, orientation, 0)
    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return segment(0xE1, b"Exif\0\0" + header + struct.pack(f"{order}H", 2) + entries + bytes(4))


def with_segments(*segments):
    """The JPEG of PIXELS with segments put before all others."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", quality=95)
    plain = file.getvalue()
    return plain[:2] + b"".join(segments) + plain[2:]


def upright():
    return decode.image(with_segments()).numpy()


in_graph = tf.function(exif.orientation, input_signature=[tf.TensorSpec([], tf.string)])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_put_upright_as_pillow_does(orientation, order):
    content = with_segments(taken(orientation, order))

    image = Image.fromarray(upright())
    image.getexif()[ORIENTATION] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decode.image(content), expected)
    in_pipeline = tf.data.Dataset.from_tensors(content).map(decode.image)
    np.testing.assert_array_equal(next(iter(in_pipeline)), expected)


def test_orientation_six_by_hand():
    """The camera was turned: the image's left column, read from below, is its top row."""
    found = decode.image(with_segments(taken(6))).numpy()

    assert found.shape == (4, 6, 3)
    np.testing.assert_array_equal(found[0], upright()[::-1, 0])


JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
XMP = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
PROFILE = segment(0xE2, b"ICC_PROFILE\0" + bytes(60_000))
COMMENT = segment(0xFE, b"\0Exif\0\0 is not here")


@pytest.mark.parametrize(
    "before",
    [(), (JFIF,), (JFIF, XMP), (COMMENT,), (PROFILE, XMP), (JFIF, COMMENT, XMP, PROFILE)],
    ids=["first", "JFIF", "XMP", "comment", "profile", "all"],
)
def test_exif_is_found_behind_other_segments(before):
    assert decode.image(with_segments(*before, taken(6))).shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(1, "B3x"), (3, "H2x"), (4, "I"), (6, "b3x"), (8, "h2x"), (9, "i")],
    ids=["BYTE", "SHORT", "LONG", "SBYTE", "SSHORT", "SLONG"],
)
@pytest.mark.parametrize("order", "<>")
def test_an_orientation_is_read_from_every_type_of_whole_number(kind, value, order):
    entry = struct.pack(f"{order}HHI", ORIENTATION, kind, 1) + struct.pack(order + value, 6)
    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    block = header + struct.pack(f"{order}H", 1) + entry + bytes(4)

    found = decode.image(with_segments(segment(0xE1, b"Exif\0\0" + block)))

    assert found.shape == (4, 6, 3)
    np.testing.assert_array_equal(found, np.rot90(upright(), -1))


FILL, ZEROS = b"\xff" * 5, bytes(7)


@pytest.mark.parametrize(
    "before",
    [
        (FILL,),
        (JFIF, FILL),
        (b"\xff" * 1000,),
        (JFIF, ZEROS),
        (XMP, FILL, COMMENT, b"\xff" * 63),
        (XMP, b"\xff" * 64, COMMENT, b"\xff" * 65),
        (segment(0xE2, b"MPF\0" + bytes(65_000)),) * 3,
        (PROFILE,) * 100,
    ],
    ids=["fill", "JFIF", "a thousand", "zeros", "63", "64 and 65", "195 kB", "6 MB"],
)
def test_exif_is_found_behind_fill_bytes_and_however_far_away(before):
    assert decode.image(with_segments(*before, taken(6))).shape == (4, 6, 3)


@pytest.mark.parametrize(
    "segments",
    [
        (taken(0),),
        (taken(9),),
        (taken(6 << 8),),
        (taken(6, kind=2),),
        (segment(0xE1, b"Exif\0\0"),),
        (segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),),
        (segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff"),),
        (segment(0xE1, b"Exif\0\0" + bytes(100)),),
        (COMMENT,),
        (XMP,),
    ],
)
def test_what_is_no_orientation_turns_nothing(segments):
    np.testing.assert_array_equal(decode.image(with_segments(*segments)), upright())


@settings(max_examples=200)
@given(
    start=st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0\x01\0"]),
    rest=st.binary(max_size=80),
)
def test_garbage_in_exif_is_at_worst_a_turn(start, rest):
    assert 1 <= in_graph(with_segments(segment(0xE1, b"Exif\0\0" + start + rest))) <= 8


@settings(max_examples=200)
@given(
    rest=st.binary(max_size=200), head=st.sampled_from([b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1"])
)
def test_garbage_for_a_file_has_some_orientation(head, rest):
    assert 1 <= in_graph(head + rest) <= 8


@pytest.mark.parametrize("step", [b"\xff\xe0\0\0", b"\xff\xe0\0\2", b"\xff\xe1\0\1"])
def test_endless_segments_end(step):
    begun = time.perf_counter()
    assert in_graph(b"\xff\xd8" + step * 1_000_000) == 1
    assert time.perf_counter() - begun < 5

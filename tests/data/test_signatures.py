"""What a file is by its first bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_transfer.data.signatures import IMAGE_SUFFIXES, START, image_format
from keras_transfer.inputs.images.decode import EXTENSIONS


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *[("JPEG", {}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("TIFF", {}), ("WebP", {})],
        *[("WebP", {"lossless": True}), ("JPEG", {"progressive": True})],
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_what_pillow_writes_is_recognised(name, options):
    content = io.BytesIO()
    Image.fromarray(np.zeros((9, 7, 3), "uint8")).save(content, name.upper(), **options)

    assert image_format(content.getvalue()[:START]) == name


STARTS = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0",
    "camera raw": b"\0\0\0\x18ftypcrx ",
    "TIFF": b"MM\0+\0\x08\0\0",  # BigTIFF, the other byte order
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n",
    "DICOM": bytes(128) + b"DICM",
    "PSD": b"8BPS\0\x01",
}


@pytest.mark.parametrize("name", STARTS)
def test_published_signatures(name):
    assert image_format(STARTS[name]) == name


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"path,label\n",
        b"BMW 320d, blue, 2011, photographed by day",
        b"II. Methods",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"\0\0\0\x18ftypmp42",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"\x93NUMPY",
        bytes(200),
    ],
)
def test_other_files_are_no_images(start):
    assert image_format(start) == ""


def test_suffixes_of_formats_that_are_decoded_are_among_those_of_images():
    assert set(EXTENSIONS) <= IMAGE_SUFFIXES

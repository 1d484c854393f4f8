import base64
import io

import numpy as np
import pytest
from encoded import bmp
from PIL import Image

from keras_transfer.reports.thumbnails import image_facts, sheet, thumbnail


def jpeg(width, height, orientation=1):
    """Left half black, right half white, with a comment and a place."""
    pixels = np.zeros((height, width, 3), "uint8")
    pixels[:, width // 2 :] = 255
    held = Image.Exif()
    held[0x112] = orientation
    held[0x10E] = "at home"
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", exif=held, comment=b"at home", quality=95)
    return file.getvalue()


def opened(uri):
    start, content = uri.split(",")
    assert start == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_thumbnail_is_small_and_has_no_metadata():
    raw = jpeg(1600, 800)
    assert b"at home" in raw
    found = opened(thumbnail(raw, 112))
    assert found.size == (112, 56)
    assert not found.getexif()
    assert "comment" not in found.info
    left, right = (np.asarray(found)[:, place].mean() for place in (5, -5))
    assert left < 10
    assert right > 245


def test_sixteen_bits_are_scaled():
    grey = np.repeat(np.array([[0, 0x80FF]], "uint16"), [32, 32], axis=1).repeat(64, axis=0)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    assert image_facts(file.getvalue()).brightness == pytest.approx(0x80 / 2, abs=1)


def test_turned_images_are_upright():
    """Orientation 6: the camera was turned, and what is left in the file is on top."""
    raw = jpeg(80, 40, orientation=6)
    found = np.asarray(opened(thumbnail(raw, 112)).convert("L"))
    assert found.shape == (112, 56)
    assert found[5].mean() < 10 < 245 < found[-5].mean()
    facts = image_facts(raw)
    assert (facts.width, facts.height) == (40, 80)
    assert facts.brightness == pytest.approx(127.5, abs=3)


def test_pixels_are_enlarged_without_blur():
    pixels = np.array([[[0, 0, 0], [255, 255, 255]]], "uint8")
    found = np.asarray(opened(thumbnail(pixels, 112)).convert("L"))
    assert found.shape == (56, 112)
    assert found[:, 40].mean() < 10
    assert found[:, 70].mean() > 245
    assert image_facts(pixels) == (2, 1, 127.5)


@pytest.mark.parametrize("raw", [b"", b"no image", jpeg(40, 40)[:200], b"%!PS-Adobe-3.0 EPSF"])
def test_what_is_no_image_is_not_shown(raw):
    assert thumbnail(raw, 112) == ""
    assert image_facts(raw) is None


def test_other_formats():
    assert opened(thumbnail(bmp(24, 20, 20), 112)).size == (112, 112)


def test_no_sheet(tmp_path):
    assert sheet(tmp_path / "augmented.png", 900) == ""
    Image.new("RGB", (1200, 300)).save(tmp_path / "augmented.png")
    assert opened(sheet(tmp_path / "augmented.png", 900)).size == (900, 225)

"""What ``predict`` takes, of a run and of an export: files of all sorts, arrays, PIL images."""

import os
import time

import numpy as np
import pytest
from encoded import bmp
from PIL import Image

from keras_transfer.errors import BadData


@pytest.fixture(params=["run", "saved"], ids=["run", "export"])
def predictor(request):
    return request.getfixturevalue(request.param)


def painted(colour, size=(20, 24)):
    pixels = np.random.default_rng(0).integers(0, 120, (*size, 3))
    pixels[..., {"red": 0, "blue": 2}[colour]] += 130
    return pixels.astype("uint8")


RED, BLUE = painted("red"), painted("blue", (30, 17))


def probabilities(predictions):
    assert not [one.error for one in predictions if one.error]
    return np.stack([one.probabilities for one in predictions])


@pytest.fixture
def wanted(predictor, tmp_path):
    """Probabilities of RED and BLUE by way of PNG files."""
    for name, pixels in (("red", RED), ("blue", BLUE)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return probabilities(predictor.predict([tmp_path / "red.png", tmp_path / "blue.png"]))


@pytest.mark.parametrize(
    "given",
    [
        [RED, BLUE],
        "generator",
        [Image.fromarray(RED), Image.fromarray(BLUE)],
        [RED, Image.fromarray(BLUE)],
        [RED / 255, BLUE / 255],
    ],
    ids=["arrays", "generator", "PIL", "both", "floats"],
)
def test_images_in_memory_are_answered_as_files_are(given, predictor, wanted):
    found = predictor.predict(iter([RED, BLUE]) if given == "generator" else given)

    assert [one.path for one in found] == ["[0]", "[1]"]
    assert [one.label for one in found] == ["red", "blue"]
    np.testing.assert_allclose(probabilities(found), wanted, atol=1e-6)


def test_one_image_and_a_batch_need_no_list(predictor, wanted):
    assert len(predictor.predict(RED)) == len(predictor.predict(Image.fromarray(RED))) == 1
    batch = predictor.predict(np.stack([RED, RED]))

    np.testing.assert_allclose(probabilities(batch), wanted[[0, 0]], atol=1e-6)


def test_test_time_augmentation_takes_them_too(run):
    flipped = run.predict([RED], tta="flip")[0].probabilities

    both = probabilities(run.predict([RED, RED[:, ::-1]]))
    np.testing.assert_allclose(flipped, both.mean(0), atol=1e-6)


def test_images_beside_paths_are_refused(run):
    with pytest.raises(BadData, match="not both"):
        run.predict([RED, "cat.png"])


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}], ids=["raw", "LZW"])
def test_tiff_is_answered_as_png_is(options, predictor, wanted, tmp_path):
    Image.fromarray(RED).save(tmp_path / "red.tif", **options)
    Image.fromarray(BLUE).save(tmp_path / "blue.tiff", **options)

    found = predictor.predict([tmp_path / "red.tif", tmp_path / "blue.tiff"])

    np.testing.assert_allclose(probabilities(found), wanted, atol=1e-6)


def test_a_file_replaced_behind_its_time_and_size_is_answered_for_what_it_is_now(run, tmp_path):
    path = tmp_path / "image.bmp"
    Image.fromarray(painted("red")).save(path)
    status, first = os.stat(path), run.predict(path)[0]
    time.sleep(0.02)

    Image.fromarray(painted("blue")).save(tmp_path / "other.bmp")
    os.replace(tmp_path / "other.bmp", path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert (first.label, run.predict(path)[0].label) == ("red", "blue")
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run.predict(path)[0].error == "is no image of a known format"


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("cut.jpg", lambda jpeg: jpeg[: len(jpeg) // 2] + b"\xff\xd9", "damaged JPEG (premature"),
        ("masks.bmp", lambda _: bmp(32, 4, 4, masks=(0xFF, 0xFF00, 0xFF0000)), "colour masks"),
        ("phone.heic", lambda _: b"\0\0\0\x18ftypheic\0\0\0\0", "is HEIC; convert it to JPEG"),
    ],
)
def test_what_would_be_answered_wrongly_is_not(name, make, reason, run, odd, tmp_path, capfd):
    (jpeg,) = (path.read_bytes() for path in odd if path.name == "large.jpg")
    (tmp_path / name).write_bytes(make(jpeg))

    (found,) = run.predict(tmp_path / name)

    assert found.label is None
    assert reason in found.error
    assert "premature" not in capfd.readouterr().err

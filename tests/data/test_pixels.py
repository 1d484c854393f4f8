"""Images in memory: PIL images and arrays, one or several."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_transfer.data.pixels import Pixels, as_images, in_memory
from keras_transfer.errors import BadData

RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), "uint8")
GREY = RGB[..., 0]
THREE = np.repeat(GREY[..., None], 3, 2)


def turned():
    """A PIL image that says of itself that the camera was turned."""
    image = Image.fromarray(RGB)
    image.getexif()[0x112] = 6
    return image


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([RGB], [RGB]),
        ([GREY], [THREE]),
        ([GREY[..., None]], [THREE]),
        ([np.dstack([RGB, GREY])], [RGB]),
        ([np.stack([RGB, RGB[::-1]])], [RGB, RGB[::-1]]),
        ([np.stack([GREY, GREY])], [THREE, THREE]),
        ([RGB, GREY[:2]], [RGB, THREE[:2]]),
        ([RGB.astype("int64")], [RGB]),
        ([RGB.astype("float32")], [RGB]),
        ([RGB / 255], [RGB]),
        ([RGB[:2] / 255, RGB[2:] / 255], [RGB[:2], RGB[2:]]),
        ([tf.constant(RGB)], [RGB]),
        ([Image.fromarray(RGB)], [RGB]),
        ([Image.fromarray(GREY)], [THREE]),
        ([Image.fromarray(np.dstack([RGB, GREY]))], [RGB]),
        ([turned()], [np.rot90(RGB, -1)]),
        ([Image.fromarray(RGB), RGB], [RGB, RGB]),
    ],
)
def test_each_sort_becomes_rgb(given, expected):
    found = as_images(given)

    assert len(found) == len(expected)
    for one, wanted in zip(found, expected, strict=True):
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize("given", [[], ["cat.png"], [np.str_("cat.png"), "dog.png"]])
def test_paths_are_no_images(given):
    assert as_images(given) is None
    assert not any(map(in_memory, given))
    assert not in_memory(np.array(["cat.png"]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([RGB, "cat.png"], "Give paths, or images and arrays, not both"),
        ([np.zeros((2, 3, 4, 5))], r"found \(2, 3, 4, 5\)"),
        ([np.zeros(7)], r"found \(7,\)"),
        ([np.zeros((0, 3, 3))], r"found \(0, 3, 3\)"),
        ([RGB * 3.0], "0..255, or 0..1 for floats"),
        ([RGB - 128.0], "0..255, or 0..1 for floats; found -1"),
        ([np.full((3, 3), np.nan)], "0..255, or 0..1 for floats; found nan"),
        ([RGB.astype("int32"), RGB / 255], "give them one type"),
        ([np.zeros((3, 3), bool)], "0..255"),
        ([Image.new("I;16", (3, 3))], "mode 'I;16' has no plain colours"),
        ([Image.new("CMYK", (3, 3))], "mode 'CMYK' has no plain colours"),
    ],
)
def test_what_is_no_image_is_refused(given, said):
    with pytest.raises(BadData, match=said):
        as_images(given)


def test_the_range_of_floats_is_judged_over_all_of_them():
    """The second is dark, not of another range."""
    found = as_images([np.full((2, 2), 200.0), np.full((2, 2), 1.0)])

    assert [image.max() for image in found] == [200, 1]


def test_images_of_any_size_are_read_in_a_pipeline():
    store = Pixels([RGB, THREE[:2, :5]])

    for image, expected in zip(tf.data.Dataset.range(2).map(store.read), store.images, strict=True):
        np.testing.assert_array_equal(image, expected)
    assert store.check(0, None).digest != store.check(1, None).digest
    assert store.check(0, None).reason == ""
    assert Pixels([RGB[:1]]).check(0, None).reason == "has only 6 x 1 pixels"

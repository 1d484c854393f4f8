"""What is refused by its header, and what is handed on."""

import io
from contextlib import suppress

import numpy as np
import pytest
from encoded import bmp, gif, png
from PIL import Image

from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.limits import check_image


def encoded(form, size, mode="RGB", **options):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), "uint8")).convert(mode)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["jpeg", "png", "gif", "bmp", "webp"])
def test_the_limit_is_exact(form):
    content = encoded(form, (20, 30))

    assert check_image(content, 600) == content
    with pytest.raises(RequestError, match="20 x 30 pixels, over 599"):
        check_image(content, 599)


def test_all_frames_of_a_gif_count():
    content = gif((20, 30), [(20, 30)] * 3)

    assert check_image(content, 1800) == content
    with pytest.raises(RequestError, match="1,800 pixels in 3 frames, over 1,799"):
        check_image(content, 1799)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([(65_535, 65_535)], "65535 x 65535 pixels"),
        ([(1, 20_000), (20_000, 1)], "400,000,000 pixels"),
    ],
)
def test_frames_that_are_larger_than_the_gif_says(frames, said):
    with pytest.raises(RequestError, match=said):
        check_image(gif((20, 30), frames), 10_000_000)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"no image", "is text, not an image"),
        (bytes(99), "is no image of a known format"),
        (b"GIF89a", "truncated or damaged GIF"),
        (b"\xff\xd8\xff", "truncated or damaged JPEG"),
        (b"<svg/>", "is SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is HEIC; convert it to JPEG"),
        (encoded("jpeg", (20, 30), "CMYK"), "is CMYK; convert it to RGB"),
        (png(4, 3, depth=16), "has 16 bits a channel; convert it to 8"),
        (bmp(32, 4, 4, masks=(0xFF, 0xFF00, 0xFF0000)), "unusual colour masks"),
        (encoded("jpeg", (90, 80))[:-900] + b"\xff\xd9", "damaged JPEG .premature end"),
        (encoded("tiff", (20, 30), compression="tiff_lzw")[:-900], "truncated or damaged TIFF"),
    ],
)
def test_what_training_leaves_out_is_refused(content, said):
    with pytest.raises(RequestError, match=f"The file .*{said}"):
        check_image(content, 10**9)


def test_a_tiff_is_handed_on_as_what_a_model_can_decode():
    found = check_image(encoded("tiff", (20, 30)), 600)

    pixels = np.asarray(Image.open(io.BytesIO(found)))
    np.testing.assert_array_equal(
        pixels, np.asarray(Image.open(io.BytesIO(encoded("png", (20, 30)))))
    )


def test_a_truncated_gif_is_left_to_the_decoder():
    whole = gif((20, 30), [(20, 30)] * 2)
    for end in range(14, len(whole), 7):
        with suppress(RequestError):
            check_image(whole[:end], 10**9)

"""Sizes by headers alone."""

import io
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.limits import check_image


def encoded(form, *sizes):
    """An image, or an animated one with a frame for each size."""
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (h, w, 3), "uint8")) for w, h in sizes]
    file = io.BytesIO()
    more = {"save_all": True, "append_images": frames[1:]} if frames[1:] else {}
    frames[0].save(file, form, **more)
    return file.getvalue()


@pytest.mark.parametrize("form", ["jpeg", "png", "gif", "bmp", "webp"])
def test_the_limit_is_exact(form):
    content = encoded(form, (20, 30))

    check_image(content, 600)
    with pytest.raises(RequestError, match="600 pixels, over 599"):
        check_image(content, 599)


def test_all_frames_of_a_gif_count():
    content = encoded("gif", (20, 30), (20, 30), (20, 30))

    check_image(content, 1800)
    with pytest.raises(RequestError, match="1,800 pixels"):
        check_image(content, 1799)


def test_a_frame_that_is_larger_than_the_gif_says():
    """The logical screen is 20 x 30, the frame claims 65535 x 65535."""
    content = bytearray(encoded("gif", (20, 30)))
    frame = content.index(b",\0\0\0\0\x14\0\x1e\0")
    content[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"

    with pytest.raises(RequestError, match="4294836225 pixels"):
        check_image(bytes(content), 10_000)


@pytest.mark.parametrize("content", [b"", b"no image", b"GIF89a", b"\xff\xd8\xff", b"<svg/>"])
def test_what_is_no_image(content):
    with pytest.raises(RequestError, match="no image"):
        check_image(content, 10**9)


def test_a_truncated_gif_is_left_to_the_decoder():
    whole = encoded("gif", (20, 30), (20, 30))
    for end in range(14, len(whole), 97):
        with suppress(RequestError):
            check_image(whole[:end], 10**9)

"""Encoded pictures to pixels: every format, hostile bytes, resizing."""

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_transfer.data import decode
from keras_transfer.errors import UnknownName

# 6 x 4 pixels, no two alike, none symmetric
PIXELS = (np.arange(72).reshape(6, 4, 3) * 3).astype("uint8")


def encoded(image, kind, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def as_pillow(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.fixture(params=["eager", "graph", "tf.data"])
def picture(request):
    """``decode.picture`` as it is used in each place."""
    in_graph = tf.function(decode.picture, input_signature=[tf.TensorSpec([], tf.string)])

    def in_pipeline(content):
        return next(iter(tf.data.Dataset.from_tensors(content).map(decode.picture)))

    return {"eager": decode.picture, "graph": in_graph, "tf.data": in_pipeline}[request.param]


COLOUR = Image.fromarray(PIXELS)
FADING = np.dstack([PIXELS, np.arange(24, dtype="uint8").reshape(6, 4) * 10])

EXACT = {
    "png": encoded(COLOUR, "PNG"),
    "grey png": encoded(COLOUR.convert("L"), "PNG"),
    "grey png with alpha": encoded(COLOUR.convert("LA"), "PNG"),
    "palette png": encoded(COLOUR.quantize(16), "PNG"),
    "black and white png": encoded(COLOUR.convert("1"), "PNG"),
    "png with alpha": encoded(FADING, "PNG"),
    "bmp": encoded(COLOUR, "BMP"),
    "grey bmp": encoded(COLOUR.convert("L"), "BMP"),
    "gif": encoded(COLOUR.quantize(16), "GIF"),
    "animated gif": encoded(COLOUR.quantize(16), "GIF", save_all=True, append_images=[COLOUR]),
    "webp": encoded(COLOUR, "WEBP", lossless=True),
    "webp with alpha": encoded(FADING, "WEBP", lossless=True, exact=True),
}


@pytest.mark.parametrize("name", EXACT)
def test_lossless_formats_give_the_pixels_that_pillow_gives(name, picture):
    if "webp" in name and not hasattr(tf.io, "decode_webp"):
        pytest.skip("this TensorFlow has no WebP")
    found = picture(tf.constant(EXACT[name])).numpy()

    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, as_pillow(EXACT[name]))


@pytest.mark.parametrize("image", [COLOUR, Image.fromarray(FADING)], ids=["opaque", "alpha"])
def test_animated_webp_is_refused_not_read_into_foreign_memory(image):
    content = encoded(image, "WEBP", save_all=True, append_images=[image.rotate(180)])

    with pytest.raises(tf.errors.InvalidArgumentError):
        decode.picture(content)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpegs_differ_from_pillows_decoding_by_rounding_only(mode):
    content = encoded(Image.effect_mandelbrot((64, 48), (-3, -2, 2, 2), 9).convert(mode), "JPEG")

    np.testing.assert_allclose(decode.picture(content).numpy(), as_pillow(content), atol=4)


in_graph = tf.function(decode.picture, input_signature=[tf.TensorSpec([], tf.string)])


@settings(max_examples=200, deadline=None)
@given(rest=st.binary(max_size=300), head=st.sampled_from([b"\xff\xd8", b"\xff\xd8\xff\xe1", b""]))
def test_hostile_bytes_are_an_error_of_the_picture_and_no_other(head, rest):
    with pytest.raises(tf.errors.InvalidArgumentError):
        in_graph(head + rest)


def test_a_served_model_decodes_and_resizes_a_batch_of_files_the_same(tmp_path):
    """As an exported model does it: strings in, squares out."""

    class Served(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, files):
            square = tf.TensorSpec((4, 4, 3), tf.uint8)
            one = lambda file: decode.resize(decode.picture(file), 4, "pad")  # noqa: E731
            return tf.map_fn(one, files, fn_output_signature=square)

    tf.saved_model.save(Served(), str(tmp_path))
    contents = [EXACT["png"], EXACT["gif"], encoded(PIXELS, "JPEG")]

    found = tf.saved_model.load(str(tmp_path))(tf.constant(contents))

    expected = [decode.resize(decode.picture(one), 4, "pad") for one in contents]
    np.testing.assert_array_equal(found, tf.stack(expected))


def grey(rows):
    return np.repeat(np.array(rows, "uint8")[..., np.newaxis], 3, -1)


def test_shrinking_averages_areas():
    """Each pixel is the mean of a 2 x 2 block: (0 + 10 + 20 + 31) / 4 = 15.25, rounded."""
    pixels = grey([[0, 10, 200, 200], [20, 31, 200, 200], [0, 0, 7, 7], [0, 0, 7, 8]])

    found = decode.resize(tf.constant(pixels), 2, "stretch").numpy()

    np.testing.assert_array_equal(found, grey([[15, 200], [0, 7]]))


def test_enlarging_interpolates_between_centres():
    """Pixel centres of 0 and 100 stretched to four: 0, 1/4 and 3/4 of the way, 100."""
    found = decode.resize(tf.constant(grey([[0, 100]])), 4, "stretch").numpy()

    np.testing.assert_array_equal(found, grey([[0, 25, 75, 100]] * 4))


def test_crop_keeps_the_middle():
    pixels = grey([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]])

    np.testing.assert_array_equal(decode.resize(pixels, 2, "crop"), grey([[3, 4], [9, 10]]))


def test_pad_keeps_all_between_black_bars():
    pixels = grey([[1, 2, 3, 4], [5, 6, 7, 8]])

    found = decode.resize(pixels, 4, "pad").numpy()

    np.testing.assert_array_equal(found, grey([[0] * 4, [1, 2, 3, 4], [5, 6, 7, 8], [0] * 4]))


@pytest.mark.parametrize("how", decode.RESIZE)
@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 40))
def test_any_picture_becomes_a_square_within_its_range(how, height, width, size):
    pixels = np.full((height, width, 3), 200, "uint8")
    pixels[0, 0] = 100

    found = decode.resize(tf.constant(pixels), size, how)

    assert found.shape == (size, size, 3)
    assert found.dtype == tf.uint8
    inside = found.numpy()[found.numpy() > 0]
    assert 100 <= inside.min() <= inside.max() <= 200


@pytest.mark.parametrize("how", decode.RESIZE)
def test_resizing_in_a_graph_of_unknown_shape_gives_the_same(how):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype="uint8")
    graph = tf.function(
        lambda x: decode.resize(x, 24, how),
        input_signature=[tf.TensorSpec([None, None, 3], "uint8")],
    )

    np.testing.assert_array_equal(graph(pixels), decode.resize(pixels, 24, how))


def test_an_unknown_way_to_resize_suggests_one():
    with pytest.raises(UnknownName, match="Did you mean 'stretch'"):
        decode.resize(tf.constant(PIXELS), 2, "strech")

"""Encoded images to pixels: every format, hostile bytes, resizing."""

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from keras_transfer.errors import UnknownName
from keras_transfer.inputs.images import decode

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
def image(request):
    """``decode.image`` as it is used in each place."""
    in_graph = tf.function(decode.image, input_signature=[tf.TensorSpec([], tf.string)])

    def in_pipeline(content):
        return next(iter(tf.data.Dataset.from_tensors(content).map(decode.image)))

    return {"eager": decode.image, "graph": in_graph, "tf.data": in_pipeline}[request.param]


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
def test_lossless_formats_give_the_pixels_that_pillow_gives(name, image):
    if "webp" in name and not hasattr(tf.io, "decode_webp"):
        pytest.skip("this TensorFlow has no WebP")
    found = image(tf.constant(EXACT[name])).numpy()

    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, as_pillow(EXACT[name]))


@pytest.mark.parametrize("image", [COLOUR, Image.fromarray(FADING)], ids=["opaque", "alpha"])
def test_animated_webp_is_refused_not_read_into_foreign_memory(image):
    content = encoded(image, "WEBP", save_all=True, append_images=[image.rotate(180)])

    with pytest.raises(tf.errors.InvalidArgumentError):
        decode.image(content)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpegs_differ_from_pillows_decoding_by_rounding_only(mode):
    content = encoded(Image.effect_mandelbrot((64, 48), (-3, -2, 2, 2), 9).convert(mode), "JPEG")

    np.testing.assert_allclose(decode.image(content).numpy(), as_pillow(content), atol=4)


# --- JPEGs at a reduced size ------------------------------------------------------------------


def photograph(height, width, mode="RGB"):
    """Blots of some twenty pixels and more: as smooth as a large photograph is."""
    coarse = np.random.default_rng(1).integers(0, 256, (height // 20, width // 20, 3), "uint8")
    return Image.fromarray(coarse).resize((width, height), Image.BICUBIC).convert(mode)


@pytest.mark.parametrize(
    ("height", "width", "how", "expected"),
    [
        (895, 1200, "stretch", (448, 600)),  # half of 895, rounded up, is twice 224
        (894, 1200, "stretch", (894, 1200)),
        (600, 450, "stretch", (600, 450)),
        (3577, 4000, "crop", (448, 500)),  # an eighth of 3577, rounded up, is 448
        (3576, 4000, "crop", (894, 1000)),
        (200, 3577, "stretch", (200, 3577)),  # the shorter side is enlarged as it is
        (200, 3577, "pad", (25, 448)),  # the longer side becomes 224
        (200, 1780, "pad", (100, 890)),
    ],
)
def test_as_much_is_left_as_resizing_needs(height, width, how, expected):
    content = encoded(Image.new("RGB", (width, height)), "JPEG")

    assert decode.image(content, 224, how).shape == (*expected, 3)


def test_all_is_left_where_nothing_is_asked_for():
    content = encoded(Image.new("RGB", (900, 800)), "JPEG")

    assert decode.image(content).shape == (800, 900, 3)
    assert decode.image(content, tf.constant(0)).shape == (800, 900, 3)


@pytest.mark.parametrize("how", decode.RESIZE)
@settings(max_examples=25)
@given(height=st.integers(2, 300), width=st.integers(2, 300), size=st.integers(1, 40))
def test_a_reduced_jpeg_is_never_enlarged_where_the_whole_one_is_not(how, height, width, size):
    content = encoded(Image.new("RGB", (width, height)), "JPEG")
    whole, found = (decode.image(content, least, how).shape[:2] for least in (0, size))
    side = max if how == "pad" else min

    assert side(found) >= 2 * size or found == whole
    assert found in [tuple(-(-n // ratio) for n in (height, width)) for ratio in (1, 2, 4, 8)]


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("shape", "limit"), [((1200, 1600), 1.5), ((901, 1203), 4), ((1000, 2000), 1.5)]
)
def test_reduced_jpegs_resize_to_nearly_what_pillow_makes_of_the_whole(shape, mode, limit):
    """Pillow decodes all of it and averages areas; half a pixel is lost where a side is odd."""
    content = encoded(photograph(*shape, mode), "JPEG", quality=92)
    expected = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224), Image.BOX)

    pixels = decode.image(content, 224)
    found = decode.resize(pixels, 224, "stretch").numpy().astype(float)

    assert min(pixels.shape[:2]) < min(shape)
    assert np.abs(found - np.asarray(expected)).mean() < limit


@pytest.mark.parametrize("how", decode.RESIZE)
def test_a_jpeg_slightly_too_large_is_what_it_is_in_full(how):
    content = encoded(photograph(880, 890), "JPEG")

    np.testing.assert_array_equal(decode.image(content, 224, how), decode.image(content))


@pytest.mark.parametrize("name", EXACT)
def test_other_formats_are_decoded_in_full(name):
    if "webp" in name and not hasattr(tf.io, "decode_webp"):
        pytest.skip("this TensorFlow has no WebP")

    np.testing.assert_array_equal(decode.image(EXACT[name], 1), as_pillow(EXACT[name]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_jpeg_is_turned_as_its_exif_says(orientation):
    """Pillow turns the whole image."""
    exif = Image.Exif()
    exif[0x112] = orientation
    content = encoded(photograph(400, 640), "JPEG", exif=exif, quality=92)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))

    pixels = decode.image(content, 50)

    assert pixels.shape == (upright.height // 4, upright.width // 4, 3)
    expected = np.asarray(upright.resize((pixels.shape[1], pixels.shape[0]), Image.BOX))
    assert np.abs(pixels.numpy().astype(float) - expected).mean() < 1.5


def test_unknown_shapes_in_a_pipeline_give_the_same_as_eagerly():
    contents = [
        encoded(photograph(400, 640), "JPEG"),
        encoded(photograph(60, 50), "JPEG"),
        EXACT["png"],
    ]
    images = tf.data.Dataset.from_tensor_slices(contents).map(lambda c: decode.image(c, 40))

    assert images.element_spec.shape.as_list() == [None, None, 3]
    for content, found in zip(contents, images, strict=True):
        np.testing.assert_array_equal(found, decode.image(content, 40))


@pytest.mark.parametrize("least", [0, 40])
def test_a_truncated_jpeg_is_an_error_at_any_size(least):
    content = encoded(photograph(400, 640), "JPEG")

    with pytest.raises(tf.errors.InvalidArgumentError):
        decode.image(content[: len(content) // 2], least)


in_graph = tf.function(decode.image, input_signature=[tf.TensorSpec([], tf.string)])

in_reduced_graph = tf.function(lambda content: decode.image(content, 1)).get_concrete_function(
    tf.TensorSpec([], tf.string)
)


@settings(max_examples=200)
@given(rest=st.binary(max_size=300), head=st.sampled_from([b"\xff\xd8", b"\xff\xd8\xff\xe1", b""]))
def test_hostile_bytes_are_an_error_of_the_image_and_no_other(head, rest):
    with pytest.raises(tf.errors.InvalidArgumentError):
        in_graph(head + rest)
    with pytest.raises(tf.errors.InvalidArgumentError):
        in_reduced_graph(tf.constant(head + rest))


def test_a_served_model_decodes_and_resizes_a_batch_of_files_the_same(tmp_path):
    """As an exported model does it: strings in, squares out."""

    class ServingModule(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, files):
            square = tf.TensorSpec((4, 4, 3), tf.uint8)
            one = lambda file: decode.resize(decode.image(file), 4, "pad")  # noqa: E731
            return tf.map_fn(one, files, fn_output_signature=square)

    tf.saved_model.save(ServingModule(), str(tmp_path))
    contents = [EXACT["png"], EXACT["gif"], encoded(PIXELS, "JPEG")]

    found = tf.saved_model.load(str(tmp_path))(tf.constant(contents))

    expected = [decode.resize(decode.image(one), 4, "pad") for one in contents]
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
@settings(max_examples=25)
@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 40))
def test_any_image_becomes_a_square_within_its_range(how, height, width, size):
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

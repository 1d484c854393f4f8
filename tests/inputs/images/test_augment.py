"""The augmentation is ImageDataGenerator's, in what it draws and in what it does with it."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.inputs.images.augment import Augmenter
from keras_transfer.inputs.images.transform import FILL_MODES

pytestmark = pytest.mark.filterwarnings("ignore:.*scipy.ndimage:DeprecationWarning")

Generator = tf.keras.preprocessing.image.ImageDataGenerator


def between(low, high):
    """Numbers that put no pixel exactly on an edge, where rounding decides what SciPy does."""
    return st.integers(0, 10**6).map(lambda n: low + (high - low) * (n + 0.3517) / 10**6)


TRANSFORMS = st.fixed_dictionaries(
    {},
    optional={
        "theta": between(-180, 180),
        "tx": between(-15, 15),
        "ty": between(-15, 15),
        "shear": between(-45, 45),
        "zx": between(0.5, 1.6),
        "zy": between(0.5, 1.6),
        "flip_horizontal": st.booleans(),
        "flip_vertical": st.booleans(),
        "channel_shift_intensity": between(-100, 100),
        "brightness": between(0, 2),
    },
)
SIZES = st.sampled_from([(24, 24), (32, 32), (20, 31)])
EVERYTHING = {
    "rotation_range": 30,
    "width_shift_range": 0.2,
    "height_shift_range": 0.2,
    "shear_range": 15,
    "zoom_range": 0.3,
    "brightness_range": (0.6, 1.3),
    "channel_shift_range": 40.0,
    "horizontal_flip": True,
    "vertical_flip": True,
}


def smooth(seed, height=24, width=24):
    """An image of slow waves: whole numbers from 0 to 255."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:height, :width]
    a, b = rng.uniform(-0.2, 0.2, (2, 6, 3, 1, 1))
    phase = rng.uniform(0, 2 * np.pi, (6, 3, 1, 1))
    waves = np.sin(a * x + b * y + phase).sum(axis=0).transpose(1, 2, 0)
    return np.round(255 * (waves - waves.min()) / np.ptp(waves)).astype("float32")


def images(count):
    return np.stack([smooth(number) for number in range(count)])


def seeds(count, key=7):
    return np.stack([np.full(count, key), np.arange(count)], axis=1).astype("int32")


def augmented(image, transform, **edge):
    one = {name: tf.constant([value]) for name, value in transform.items()}
    return Augmenter(**edge).apply(image[None], one)[0].numpy()


@settings(max_examples=500)
@given(TRANSFORMS, st.sampled_from(sorted(FILL_MODES)), SIZES, st.integers(0, 10**6))
def test_same_parameters_give_imagedatagenerators_image(transform, fill_mode, size, seed):
    image = smooth(seed, *size)

    ours = augmented(image, transform, fill_mode=fill_mode, cval=99)
    theirs = Generator(fill_mode=fill_mode, cval=99).apply_transform(image, transform)

    error = np.abs(ours - theirs)
    assert error.mean() < 1  # of 255; asked for are 2
    if fill_mode in ("nearest", "reflect"):  # the others jump at the edge, by rounding
        assert error.mean() < 0.25
        # Cutting to whole numbers, twice, makes at most 2 of what interpolation leaves.
        assert error.max() <= (2 if "brightness" in transform else 0.01)


@pytest.mark.parametrize(
    ("fill_mode", "row"),
    [
        ("nearest", [2.25, 3.25, 4.25, 5, 5, 5]),
        ("reflect", [2.25, 3.25, 4.25, 5, 4.75, 3.75]),
        ("constant", [2.25, 3.25, 4.25, 100, 100, 100]),
        ("wrap", [2.25, 3.25, 4.25, 0.25, 1.25, 2.25]),
    ],
)
def test_beyond_the_edge(fill_mode, row):
    """A ramp 0..5, moved 2.25 pixels to the left."""
    ramp = np.broadcast_to(np.arange(6, dtype="float32")[:, None], (6, 6, 3))

    moved = augmented(ramp, {"tx": 2.25}, fill_mode=fill_mode, cval=100)

    np.testing.assert_allclose(moved[3, :, 1], row, atol=1e-5)


@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_a_transform_that_moves_nothing_changes_nothing(fill_mode):
    """Also in the last row and column, where "wrap" begins anew."""
    still = {"theta": 0.0, "tx": 0.0, "ty": 0.0, "shear": 0.0, "zx": 1.0, "zy": 1.0}

    same = augmented(smooth(3, 20, 31), still, fill_mode=fill_mode)

    np.testing.assert_array_equal(same, smooth(3, 20, 31))


def test_real_photos_come_out_as_imagedatagenerator_makes_them(shared_data):
    path = str(sorted((shared_data / "cats_dogs/test/cat").glob("*.jpg"))[0])
    image = tf.image.resize(tf.image.decode_jpeg(tf.io.read_file(path)), (224, 224)).numpy()
    generator = Generator(**EVERYTHING)

    for seed in range(5):
        transform = generator.get_random_transform(image.shape, seed)
        error = np.abs(augmented(image, transform) - generator.apply_transform(image, transform))
        assert error.mean() < 0.5


# What is drawn


def draws(augmenter, count=3000, size=(24, 24)):
    return {k: v.numpy() for k, v in augmenter.draw(seeds(count), *size).items()}


@pytest.fixture(scope="module")
def both_draws():
    np.random.seed(1)
    generator = Generator(**EVERYTHING)
    theirs = [generator.get_random_transform((24, 24, 3)) for _ in range(3000)]
    return draws(Augmenter(**EVERYTHING)), {k: np.array([t[k] for t in theirs]) for k in theirs[0]}


@pytest.mark.parametrize(
    "name", ["theta", "tx", "ty", "shear", "zx", "zy", "channel_shift_intensity", "brightness"]
)
def test_parameters_are_drawn_from_imagedatagenerators_distribution(both_draws, name):
    ours, theirs = both_draws

    assert stats.ks_2samp(ours[name], theirs[name]).pvalue > 0.01


@pytest.mark.parametrize("name", ["flip_horizontal", "flip_vertical"])
def test_half_of_the_images_are_flipped(both_draws, name):
    assert stats.binomtest(int(both_draws[0][name].sum()), 3000).pvalue > 0.01


def test_parameters_are_drawn_apart(both_draws):
    """Of 45 correlations of 3000 independent pairs, none is beyond 4 standard errors."""
    columns = np.stack(list(both_draws[0].values())).astype(float)

    correlations = np.corrcoef(columns)[np.triu_indices(len(columns), 1)]

    assert len(correlations) == 45
    assert np.abs(correlations).max() < 4 / 3000**0.5


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [(0.25, -6, 6), (6.0, -6, 6), ([0.25], -6, 6), ([6], -6, 6), ([-6, 0, 3], -6, 6), (7, -6, 6)],
)
def test_shifts_are_shares_below_one_and_pixels_otherwise(asked, low, high):
    """In an image 24 wide; the sizes of what is drawn are those of ImageDataGenerator."""
    np.random.seed(2)
    generator = Generator(width_shift_range=asked)
    theirs = [generator.get_random_transform((24, 24, 3))["ty"] for _ in range(3000)]

    ours = draws(Augmenter(width_shift_range=asked))["tx"]

    assert low <= ours.min() <= low + 0.1
    assert high - 0.1 <= ours.max() <= high
    if isinstance(asked, float):
        assert stats.ks_2samp(ours, theirs).pvalue > 0.01
    else:
        members, counts = np.unique(ours, return_counts=True)
        expected = [np.mean(theirs == member) for member in members]
        assert set(members) == set(theirs)
        assert counts / 3000 == pytest.approx(expected, abs=0.05)


def test_width_shift_moves_sideways_and_height_shift_up_and_down():
    dot = np.zeros((1, 9, 15, 3), "float32")
    dot[0, 4, 7] = 255

    for number in range(20):
        wide = Augmenter(width_shift_range=[3], fill_mode="constant")(dot, seeds(20)[number:][:1])
        high = Augmenter(height_shift_range=[3], fill_mode="constant")(dot, seeds(20)[number:][:1])
        assert np.argwhere(wide[0, :, :, 0]).tolist() in ([[4, 4]], [[4, 10]])
        assert np.argwhere(high[0, :, :, 0]).tolist() in ([[1, 7]], [[7, 7]])


def test_shares_are_of_the_images_own_width_and_height():
    shifts = draws(Augmenter(width_shift_range=0.1, height_shift_range=0.1), size=(100, 1000))

    assert 99 < shifts["tx"].max() <= 100
    assert 9.9 < shifts["ty"].max() <= 10


# Seeds


def test_an_image_depends_on_its_seed_and_not_on_its_batch():
    augmenter = Augmenter(**EVERYTHING)
    together = augmenter(images(6), seeds(6)).numpy()

    for number in range(6):
        alone = augmenter(images(6)[number:][:1], seeds(6)[number:][:1]).numpy()
        np.testing.assert_array_equal(alone[0], together[number])
    assert not np.array_equal(augmenter(images(6), seeds(6, key=8)), together)


def test_one_range_more_leaves_the_other_draws_alone():
    fewer = draws(Augmenter(rotation_range=10, vertical_flip=True), 20)
    more = draws(Augmenter(**EVERYTHING | {"rotation_range": 20}), 20)

    np.testing.assert_allclose(more["theta"], 2 * fewer["theta"], rtol=1e-6)
    np.testing.assert_array_equal(more["flip_vertical"], fewer["flip_vertical"])


# What is done


@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_in_a_graph_of_unknown_batch_size_as_eagerly(fill_mode):
    """Compiled, as in tf.data, and not compiled, where there is no compiler."""
    augmenter = Augmenter(**EVERYTHING, fill_mode=fill_mode)
    data = tf.data.Dataset.from_tensor_slices((images(5), seeds(5))).batch(2)
    eagerly = augmenter(images(5), seeds(5)).numpy()

    for in_graph in (augmenter, lambda p, s: augmenter.apply(p, augmenter.draw(s, 24, 24))):
        batches = data.map(in_graph)
        assert batches.element_spec.shape.as_list() == [None, 24, 24, 3]
        found = np.concatenate(list(batches.as_numpy_iterator()))
        assert np.abs(found - eagerly).mean() < 0.01


def test_flips_alone_interpolate_nothing():
    noise = np.random.default_rng(0).uniform(0, 255, (8, 5, 7, 3)).astype("float32")
    augmenter = Augmenter(horizontal_flip=True, vertical_flip=True)
    drawn = augmenter.draw(seeds(8), 5, 7)

    flipped = augmenter(noise, seeds(8)).numpy()

    for number, image in enumerate(noise):
        across = -1 if drawn["flip_horizontal"][number] else 1
        down = -1 if drawn["flip_vertical"][number] else 1
        np.testing.assert_array_equal(flipped[number], image[::down, ::across])
    assert len({(bool(a), bool(b)) for a, b in zip(*drawn.values(), strict=True)}) > 1


def test_nothing_asked_for_changes_nothing_but_the_type():
    whole = images(3).astype("uint8")

    same = Augmenter()(whole, seeds(3))

    assert same.dtype == tf.float32
    np.testing.assert_array_equal(same, whole)


def test_colours_stay_in_range_and_whole_as_pillow_leaves_them():
    """Pixels 10, 100, 200: shifted by 80 within 10..200, then times 1.375 within 0..255."""
    image = np.array([10, 100, 200], "float32").reshape(1, 3, 1) + np.zeros((1, 3, 3))

    changed = augmented(image, {"channel_shift_intensity": 80.0, "brightness": 1.375})

    assert changed[0, :, 0].tolist() == [123, 247, 255]  # 90, 180, 200 -> 123.75, 247.5, 275


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation_range": -1},
        {"width_shift_range": -0.1},
        {"height_shift_range": []},
        {"shear_range": float("nan")},
        {"zoom_range": 1.0},
        {"zoom_range": (0.8, 1.0, 1.2)},
        {"brightness_range": (-0.5, 1.0)},
        {"brightness_range": (1.0,)},
        {"channel_shift_range": -5},
        {"cval": 256},
    ],
)
def test_a_range_that_makes_no_sense_is_named(wrong):
    (name, value) = next(iter(wrong.items()))

    with pytest.raises(BadConfiguration) as error:
        Augmenter(**wrong)

    assert str(error.value).startswith(f"{name} should be ")
    assert repr(value) in str(error.value)


def test_a_fill_mode_nearly_right_is_suggested():
    with pytest.raises(UnknownName, match="Did you mean 'nearest'"):
        Augmenter(fill_mode="neareast")

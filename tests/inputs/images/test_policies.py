"""Colour jitter, RandAugment, AugMix, random erasing: each image by its own seed."""

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.inputs.images.augment import Augmenter
from keras_transfer.inputs.images.policies import Augmentation, operations

EACH = [{"color_jitter": 0.4}, {"randaugment": 0.6}, {"augmix": 0.5}, {"random_erasing": 1.0}]


def images(n=6, size=16):
    y, x = np.mgrid[:size, :size] * (255 / (size - 1))
    waves = [np.stack([x, y, 255 - (x + y) / 2 / (1 + i)], -1) for i in range(n)]
    return np.stack(waves).astype("float32")


def seeds(n=6, first=7):
    return np.stack([np.full(n, first), np.arange(n)], 1).astype("int32")


def flat(value):
    return tf.fill([1, 8, 8, 3], float(value))


def key(*numbers):
    return tf.constant(numbers, tf.int32)


@pytest.mark.parametrize("asked", EACH, ids=lambda one: next(iter(one)))
def test_an_image_depends_on_its_seed_and_not_on_its_batch(asked):
    change = Augmentation(**asked)

    together = change(images(), seeds()).numpy()

    alone = change(images()[2:3], seeds()[2:3]).numpy()
    assert alone[0] == pytest.approx(together[2], abs=1e-3)
    data = tf.data.Dataset.from_tensor_slices((images(), seeds())).batch(4)
    batches = data.map(change, num_parallel_calls=2)
    assert batches.element_spec.shape.as_list() == [None, 16, 16, 3]
    in_graph = np.concatenate(list(batches.as_numpy_iterator()))
    assert in_graph == pytest.approx(together, abs=1e-3)
    assert not np.allclose(change(images(), seeds(first=8)), together)


@pytest.mark.parametrize("asked", EACH, ids=lambda one: next(iter(one)))
def test_pixels_stay_in_range_and_differ_between_images(asked):
    same = np.repeat(images(1), 12, axis=0)

    changed = Augmentation(**asked)(same, seeds(12)).numpy()

    assert np.isfinite(changed).all()
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert len({one.tobytes() for one in changed}) >= 10


def test_nothing_more_asked_for_is_the_augmenter_alone():
    ranges = {"rotation_range": 20, "horizontal_flip": True}
    ours, theirs = (one(images(), seeds()) for one in (Augmentation(**ranges), Augmenter(**ranges)))
    np.testing.assert_array_equal(ours, theirs)
    assert not Augmentation(**ranges).changes_nothing
    assert Augmentation(fill_mode="wrap").changes_nothing


def test_one_step_more_leaves_the_others_draws_alone():
    """Erasing comes last: outside of its rectangles the jitter is as it was."""
    jitter = Augmentation(color_jitter=0.4)(images(), seeds()).numpy()
    both = Augmentation(color_jitter=0.4, random_erasing=1.0)(images(), seeds()).numpy()
    same = np.isclose(jitter, both, atol=1e-3).all(axis=-1).mean(axis=(1, 2))
    assert (same < 1).all()
    assert (same > 0.6).all()  # at most a third of an image goes, and rounding


def test_erasing_takes_its_share_of_the_images():
    same = np.repeat(images(1, 8), 400, axis=0)
    erased = Augmentation(random_erasing=0.3)(same, seeds(400)).numpy()
    share = (erased != same).any(axis=(1, 2, 3)).mean()
    assert 0.2 <= share <= 0.4  # 0.3, four standard errors either way


STILL = sorted(set(operations(0.0)) - {"autocontrast", "equalize"})


@pytest.mark.parametrize("name", STILL)
def test_at_magnitude_0_nothing_happens(name):
    """But for rounding: posterizing cuts to whole numbers what may be 16.9999 by then."""
    whole, margin = np.round(images(1)), 1 if name == "posterize" else 0.01
    found = operations(0.0)[name](tf.constant(whole), key(1, 2)).numpy()
    assert np.abs(found - whole).max() <= margin


def test_operations_by_hand():
    at_one = operations(1.0)

    assert at_one["posterize"](flat(200), key(1, 2))[0, 0, 0, 0] == 192  # 1100|1000, 4 bits left
    ramp = tf.reshape(tf.linspace(50.0, 100.0, 64), [1, 8, 8, 1]) * tf.ones([1, 1, 1, 3])
    stretched = at_one["autocontrast"](ramp, key(1, 2)).numpy()
    assert (stretched.min(), stretched.max()) == pytest.approx((0, 255), abs=1e-3)
    for seed in range(10):
        threshold = 255 * (1 - float(tf.random.stateless_uniform([], key(seed, 1))))
        found = float(at_one["solarize"](flat(100), key(seed, 1))[0, 0, 0, 0])
        assert found == (155 if threshold <= 100 else 100)
        brightness = float(at_one["brightness"](flat(100), key(seed, 1))[0, 0, 0, 0])
        assert 0 <= brightness <= 227.5
        grey = at_one["color"](tf.constant([[[[200.0, 100, 0]]]]), key(seed, 1)).numpy()
        assert np.ptp(grey) >= 0.1 * 200 - 0.01  # a tenth of the colour is left


def test_jitter_keeps_within_its_share():
    """A grey of 100 has no colour or contrast to change: within 100 -+ 0.2 * 255."""
    grey = np.full((50, 4, 4, 3), 100, "float32")
    changed = Augmentation(color_jitter=0.2)(grey, seeds(50)).numpy()
    assert np.ptp(changed, axis=(1, 2, 3)) == pytest.approx(np.zeros(50), abs=1e-2)
    means = changed.mean(axis=(1, 2, 3))
    assert 49 - 0.01 <= means.min() < 60
    assert 140 < means.max() <= 151 + 0.01

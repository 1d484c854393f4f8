"""What an epoch draws where classes are to be seen equally often."""

import numpy as np
import pytest
import tensorflow as tf
from images import loading

from keras_transfer.data.batches import label_columns, training_batches
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import Bootstrap, Sampling
from keras_transfer.errors import BadData

LABELS = np.array([0, 1, 0, 0, 2, 0, 1, 0, 0])  # 6, 2 and 1 images
CLASSES = ("cat", "dog", "bird")


class Plain:
    """A store whose image number i is i everywhere."""

    def read(self, row):
        return tf.fill([4, 4, 3], tf.cast(row, tf.uint8))


@pytest.mark.parametrize(
    ("name", "each"), [("oversample", 6), ("undersample", 1), ("balanced_batches", 3)]
)
def test_every_class_is_drawn_equally_often(name, each):
    sampling = Sampling(name, LABELS, CLASSES)
    places, _ = sampling.draw(7, 0)

    assert len(places) == len(sampling) == 3 * each
    assert np.bincount(LABELS[places]).tolist() == [each] * 3


def test_an_image_is_drawn_again_only_after_all_others_of_its_class():
    places, times = Sampling("oversample", LABELS, CLASSES).draw(1, 4)

    drawn = sorted(zip(places.tolist(), times.tolist(), strict=True))
    cats = [(place, 0) for place in (0, 2, 3, 5, 7, 8)]
    dogs = [(place, time) for place in (1, 6) for time in range(3)]
    assert drawn == sorted([*cats, *dogs, *((4, time) for time in range(6))])


def test_balanced_batches_hold_each_class_once_in_every_three_places():
    places, _ = Sampling("balanced_batches", LABELS, CLASSES).draw(1, 0)

    assert [sorted(three) for three in LABELS[places].reshape(-1, 3).tolist()] == [[0, 1, 2]] * 3


def test_undersampling_takes_other_images_in_other_epochs():
    sampling = Sampling("undersample", LABELS, CLASSES)
    seen = {place for epoch in range(40) for place in sampling.draw(0, epoch)[0].tolist()}

    assert seen == set(range(9))


def test_a_bootstrap_draw_is_gone_through_in_another_order_in_every_epoch():
    drawn = np.array([0, 6, 0, 3, 4, 3, 6, 3, 8])
    draw = Bootstrap(drawn)

    (places, times), (others, _) = draw.draw(1, 0), draw.draw(1, 1)
    assert sorted(places) == sorted(others) == sorted(drawn)
    assert places.tolist() != others.tolist()
    assert sorted(zip(places.tolist(), times.tolist(), strict=True)) == [
        (0, 0), (0, 1), (3, 0), (3, 1), (3, 2), (4, 0), (6, 0), (6, 1), (8, 0),
    ]  # fmt: skip
    assert (len(draw), draw.rounds) == (9, 1)


def test_a_sampling_of_a_bootstrap_draw_sees_drawn_images_only():
    drawn = np.array([0, 6, 0, 3, 4, 3, 6, 3, 8])
    draw = Bootstrap(drawn, Sampling("oversample", LABELS, CLASSES))

    places, times = draw.draw(5, 2)
    assert len(draw) == len(places) == 18
    assert np.bincount(LABELS[places]).tolist() == [6, 6, 6]
    assert set(places.tolist()) == set(drawn.tolist())
    assert sorted(times[places == 4].tolist()) == [0, 1, 2, 3, 4, 5]
    assert sorted(times[places == 6].tolist()) == [0, 1, 2, 3, 4, 5]


def test_a_class_without_images_is_refused():
    with pytest.raises(BadData, match="no training examples:\n  fish"):
        Sampling("oversample", LABELS, (*CLASSES, "fish"))


def seeds_as_pixels(inputs, seeds):
    shown = tf.cast(seeds % 999_983, tf.float32)
    shown = tf.pad(shown, [[0, 0], [0, 1]])[:, None, None, :]
    return {"pixels": tf.zeros_like(inputs["pixels"]) + shown}


def batches(epochs=2, **more):
    samples = Samples.of(Plain(), CLASSES, [f"p{i}" for i in range(9)], LABELS)
    sampling = Sampling("oversample", LABELS, CLASSES)
    how = loading(4, batch_size=5, replicas=5)
    columns = label_columns(samples)
    found = training_batches(samples, how, columns, epochs=epochs, sampling=sampling, **more)
    return [(x["pixels"].numpy(), y["label"].numpy(), w["label"].numpy()) for x, y, w in found]


def test_each_draw_of_an_image_has_a_seed_of_its_own():
    found = [
        tuple(one[0, 0, :2].astype(int))
        for pixels, _, weights in batches(augment=seeds_as_pixels)
        for one in pixels[weights > 0]
    ]
    assert len(found) == len(set(found)) == 2 * 18


def test_padding_counts_by_the_length_of_the_drawn_epoch():
    """18 images in batches of 5: the last one has 3, and is padded to 5."""
    found = batches(epochs=1)

    assert [len(pixels) for pixels, *_ in found] == [5] * 4
    assert found[-1][2].tolist() == pytest.approx([5 / 3] * 3 + [0] * 2)


def test_a_later_epoch_does_not_depend_on_those_before_it():
    whole, rest = batches(epochs=3), batches(epochs=3, first_epoch=2)

    for one, other in zip(whole[8:], rest, strict=True):
        np.testing.assert_array_equal(one[0], other[0])

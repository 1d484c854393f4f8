"""Batches: order, seeds, weights, and what is padded for replicas."""

import numpy as np
import pytest
import tensorflow as tf
from images import loading

from keras_transfer.data.batches import (
    Columns,
    evaluation_batches,
    label_columns,
    plain_batches,
    training_batches,
)
from keras_transfer.data.samples import Samples


class Plain:
    """A store whose image number i is i everywhere."""

    def read(self, row):
        return tf.fill([4, 4, 3], tf.cast(row, tf.uint8))


def table(n, classes=2, **columns):
    names = [f"p{i}" for i in range(n)]
    return Samples.of(
        Plain(), [f"c{i}" for i in range(classes)], names, np.arange(n) % classes, **columns
    )


def drawn(samples, how, *, class_weights=None, **more):
    return training_batches(samples, how, label_columns(samples, class_weights), **more)


def seen(batches):
    """Numbers of the images of each batch."""
    return [x["pixels"].numpy()[:, 0, 0, 0].astype(int).tolist() for x, *_ in batches]


def test_each_epoch_holds_every_image_once_in_another_order():
    batches = seen(drawn(table(10), loading(4, batch_size=4), epochs=3))

    assert [len(batch) for batch in batches] == [4, 4, 2] * 3
    epochs = [[*a, *b, *c] for a, b, c in (batches[:3], batches[3:6], batches[6:])]
    assert all(sorted(one) == list(range(10)) for one in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_later_epoch_does_not_depend_on_those_before_it():
    whole = seen(drawn(table(10), loading(4, batch_size=4), epochs=4, seeds=(5, 6)))
    rest = seen(drawn(table(10), loading(4, batch_size=4), epochs=4, first_epoch=2, seeds=(5, 6)))
    assert whole[6:] == rest


def test_another_seed_is_another_order():
    one, other = (seen(drawn(table(50), loading(4), epochs=1, seeds=(s, 0))) for s in (1, 2))
    assert one != other


def test_augmentation_gets_a_seed_of_its_own_for_each_image_and_epoch():
    n = 6
    batches = drawn(table(n), loading(4, batch_size=3), epochs=2, augment=seeds_as_pixels)
    pixels = np.concatenate([x["pixels"].numpy() for x, *_ in batches])
    found = [tuple(x[0, 0, :2].astype(int)) for x in pixels]
    assert len(set(found)) == 2 * n


def seeds_as_pixels(inputs, seeds):
    """Stands in for an augmenter: shows its seeds, which fit float32 modulo a large prime."""
    shown = tf.cast(seeds % 999_983, tf.float32)
    shown = tf.concat([shown, tf.zeros_like(shown[:, :1])], -1)
    return {"pixels": tf.zeros_like(inputs["pixels"]) + shown[:, None, None, :]}


def test_class_weights_multiply_the_images_own():
    samples = table(4, weights=[1, 2, 3, 4])
    factors = np.float32([1, 10])
    batches = drawn(samples, loading(4, batch_size=4), epochs=1, class_weights=factors)
    ((inputs, _, weights),) = batches
    numbers = inputs["pixels"].numpy()[:, 0, 0, 0].astype(int)
    assert weights["label"].numpy()[np.argsort(numbers)].tolist() == [1, 20, 3, 40]


@pytest.mark.parametrize(
    ("n", "batch", "replicas"), [(10, 4, 2), (9, 4, 2), (5, 4, 4), (1, 4, 4), (8, 4, 2)]
)
def test_a_padded_last_batch_counts_as_the_unpadded_one(n, batch, replicas):
    """The mean over its padded length of weighted ones is the mean over its true length: 1."""
    how = loading(4, batch_size=batch, replicas=replicas)
    batches = list(drawn(table(n), how, epochs=2))

    for inputs, _, weights in batches:
        assert len(inputs["pixels"]) % replicas == 0
        assert weights["label"].numpy().mean() == pytest.approx(1.0)
    assert len(batches) == 2 * how.steps(n)


@pytest.mark.parametrize(("n", "batch", "replicas"), [(10, 4, 2), (9, 4, 2), (5, 4, 4), (8, 4, 1)])
def test_evaluation_is_in_order_and_its_padding_weighs_nothing(n, batch, replicas):
    how = loading(4, batch_size=batch, replicas=replicas)
    batches = list(evaluation_batches(table(n), how))

    numbers = np.concatenate(seen(batches))
    weights = np.concatenate([w["label"].numpy() for *_, w in batches])
    assert numbers[:n].tolist() == list(range(n))
    assert np.all(weights[n:] == 0)
    assert weights.sum() == pytest.approx(len(weights))


def test_pixels_are_float32_of_0_to_255():
    ((inputs, targets, weights),) = evaluation_batches(table(3), loading(8, batch_size=4))
    pixels, labels, weights = inputs["pixels"], targets["label"], weights["label"]
    assert (pixels.dtype, labels.dtype, weights.dtype) == (tf.float32, tf.int32, tf.float32)
    assert pixels.shape == (3, 8, 8, 3)
    assert pixels.numpy().max() == 2


def two_targets(n=10):
    """Each example has a number; every third one has no grade, which then weighs nothing."""
    numbers, graded = np.arange(n, dtype="float32"), np.arange(n) % 3 != 0
    return Columns(
        {"number": numbers, "grade": -numbers},
        {"number": np.ones(n, "float32"), "grade": graded.astype("float32")},
    )


def test_each_target_goes_with_its_example_and_has_a_weight_of_its_own():
    how = loading(4, batch_size=4)

    for inputs, targets, weights in training_batches(table(10), how, two_targets(), epochs=2):
        numbers = inputs["pixels"].numpy()[:, 0, 0, 0]
        assert targets["number"].numpy().tolist() == numbers.tolist()
        assert targets["grade"].numpy().tolist() == (-numbers).tolist()
        assert weights["number"].numpy().tolist() == [1] * len(numbers)
        assert weights["grade"].numpy().tolist() == (numbers % 3 != 0).tolist()


@pytest.mark.parametrize("replicas", [1, 4])
def test_evaluation_of_several_targets_leaves_out_rows_without_one(replicas):
    """10 examples in batches of 4: padded by 2, so that each of the 10 counts 12 / 10."""
    how = loading(4, batch_size=4, replicas=replicas)
    batches = list(evaluation_batches(table(10), how, two_targets()))

    share = 1.2 if replicas == 4 else 1.0
    padding = [0.0] * 2 if replicas == 4 else []
    grades = np.concatenate([w["grade"].numpy() for *_, w in batches])
    numbers = np.concatenate([w["number"].numpy() for *_, w in batches])
    assert numbers == pytest.approx([share] * 10 + padding)
    assert grades == pytest.approx([share * (i % 3 != 0) for i in range(10)] + padding)


def test_plain_batches_are_inputs_alone_in_order():
    own = np.stack([np.full(5, 7), np.arange(5) + 100], axis=1).astype("int32")
    how = loading(4, batch_size=2)

    plain = list(plain_batches(table(5), how))
    shown = list(plain_batches(table(5), how, seeds_as_pixels, own))

    assert [set(batch) for batch in plain] == [{"pixels"}] * 3
    numbers = [batch["pixels"].numpy()[:, 0, 0, 0].tolist() for batch in plain]
    assert numbers == [[0, 1], [2, 3], [4]]
    seeds = np.concatenate([batch["pixels"].numpy()[:, 0, 0, :2] for batch in shown])
    assert seeds.tolist() == own.tolist()

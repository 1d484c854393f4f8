"""Batches: order, seeds, weights, and what is padded for replicas."""

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data.batches import evaluation_batches, training_batches
from keras_transfer.data.samples import Samples


class Plain:
    """A store whose image number i is i everywhere."""

    def decode(self, row):
        return tf.fill([4, 4, 3], tf.cast(row, tf.uint8))


def table(n, classes=2, **columns):
    names = [f"p{i}" for i in range(n)]
    return Samples.of(
        Plain(), [f"c{i}" for i in range(classes)], names, np.arange(n) % classes, **columns
    )


def seen(batches):
    """Numbers of the images of each batch."""
    return [x.numpy()[:, 0, 0, 0].astype(int).tolist() for x, *_ in batches]


def test_each_epoch_holds_every_image_once_in_another_order():
    batches = seen(training_batches(table(10), loading(4, batch_size=4), epochs=3))

    assert [len(batch) for batch in batches] == [4, 4, 2] * 3
    epochs = [[*a, *b, *c] for a, b, c in (batches[:3], batches[3:6], batches[6:])]
    assert all(sorted(one) == list(range(10)) for one in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_later_epoch_does_not_depend_on_those_before_it():
    whole = seen(training_batches(table(10), loading(4, batch_size=4), epochs=4, seeds=(5, 6)))
    rest = seen(
        training_batches(table(10), loading(4, batch_size=4), epochs=4, first_epoch=2, seeds=(5, 6))
    )
    assert whole[6:] == rest


def test_another_seed_is_another_order():
    one, other = (
        seen(training_batches(table(50), loading(4), epochs=1, seeds=(s, 0))) for s in (1, 2)
    )
    assert one != other


def test_augmentation_gets_a_seed_of_its_own_for_each_image_and_epoch():
    n = 6
    batches = training_batches(
        table(n), loading(4, batch_size=3), epochs=2, augment=seeds_as_pixels
    )
    found = [tuple(x[0, 0, :2].astype(int)) for batch, *_ in batches for x in batch.numpy()]
    assert len(set(found)) == 2 * n


def seeds_as_pixels(pixels, seeds):
    """Stands in for an augmenter: shows its seeds, which fit float32 modulo a large prime."""
    shown = tf.cast(seeds % 999_983, tf.float32)
    shown = tf.concat([shown, tf.zeros_like(shown[:, :1])], -1)
    return tf.zeros_like(pixels) + shown[:, None, None, :]


def test_class_weights_multiply_the_images_own():
    samples = table(4, weights=[1, 2, 3, 4])
    batches = training_batches(
        samples, loading(4, batch_size=4), epochs=1, class_weights=np.float32([1, 10])
    )
    ((pixels, _, weights),) = batches
    numbers = pixels.numpy()[:, 0, 0, 0].astype(int)
    assert weights.numpy()[np.argsort(numbers)].tolist() == [1, 20, 3, 40]


@pytest.mark.parametrize(
    ("n", "batch", "replicas"), [(10, 4, 2), (9, 4, 2), (5, 4, 4), (1, 4, 4), (8, 4, 2)]
)
def test_a_padded_last_batch_counts_as_the_unpadded_one(n, batch, replicas):
    """The mean over its padded length of weighted ones is the mean over its true length: 1."""
    loading = loading(4, batch_size=batch, replicas=replicas)
    batches = list(training_batches(table(n), loading, epochs=2))

    for pixels, _, weights in batches:
        assert len(pixels) % replicas == 0
        assert weights.numpy().mean() == pytest.approx(1.0)
    assert len(batches) == 2 * loading.steps(n)


@pytest.mark.parametrize(("n", "batch", "replicas"), [(10, 4, 2), (9, 4, 2), (5, 4, 4), (8, 4, 1)])
def test_evaluation_is_in_order_and_its_padding_weighs_nothing(n, batch, replicas):
    loading = loading(4, batch_size=batch, replicas=replicas)
    batches = list(evaluation_batches(table(n), loading))

    numbers = np.concatenate([x.numpy()[:, 0, 0, 0] for x, _, _ in batches])
    weights = np.concatenate([w.numpy() for *_, w in batches])
    assert numbers[:n].tolist() == list(range(n))
    assert np.all(weights[n:] == 0)
    assert weights.sum() == pytest.approx(len(weights))


def test_pixels_are_float32_of_0_to_255():
    ((pixels, labels, weights),) = evaluation_batches(table(3), loading(8, batch_size=4))
    assert (pixels.dtype, labels.dtype, weights.dtype) == (tf.float32, tf.int32, tf.float32)
    assert pixels.shape == (3, 8, 8, 3)
    assert pixels.numpy().max() == 2

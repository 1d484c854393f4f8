"""Two tables as one: rows, pixels and domains, beside the tables themselves."""

import numpy as np
import tensorflow as tf
from images import loading
from PIL import Image

from keras_transfer.data import sources
from keras_transfer.data.batches import evaluation_batches
from keras_transfer.data.joined import join
from keras_transfer.data.samples import DOMAIN

RNG = np.random.default_rng(0)


def folder(home, n):
    """Images of two classes, encoded without loss."""
    for name in ("a", "b"):
        (home / name).mkdir(parents=True)
        for number in range(n):
            pixels = RNG.integers(0, 256, (8, 8, 3), "uint8")
            Image.fromarray(pixels).save(home / name / f"{number}.png")
    return sources.read(home)


def test_files_and_arrays_join(tmp_path):
    """One store reads encoded files, the other pixels."""
    source = folder(tmp_path / "source", 3)
    x = RNG.integers(0, 256, (5, 8, 8, 3), "uint8")
    target = sources.read((x, np.array(["a", "b", "a", "b", "b"])))
    source, target = source.take(np.array([4, 0, 2])), target.take(np.array([3, 1]))
    given = loading(8, batch_size=2)
    joint = join(source, target, given.input)

    assert joint.cells[DOMAIN].tolist() == [0, 0, 0, 1, 1]
    assert joint.keys.tolist() == [*source.keys, *target.keys]
    assert joint.labels.tolist() == [1, 0, 0, 1, 1]
    pixels = np.concatenate([batch["pixels"] for batch, *_ in evaluation_batches(joint, given)])
    alone = [
        np.concatenate([batch["pixels"] for batch, *_ in evaluation_batches(table, given)])
        for table in (source, target)
    ]
    np.testing.assert_array_equal(pixels, np.concatenate(alone))
    np.testing.assert_array_equal(pixels[3:], x[[3, 1]])


def test_rows_are_checked_in_their_own_store(tmp_path):
    source, target = folder(tmp_path / "one", 2), folder(tmp_path / "two", 2)
    joint = join(source, target, loading(8).input)
    judge = loading(8).input.check

    for row in range(8):
        store, place = (source.store, row) if row < 4 else (target.store, row - 4)
        assert joint.store.check(row, judge) == store.check(place, judge)
        assert joint.store.stamp(row) == store.stamp(place)
        raw = joint.store.read(tf.constant(row, tf.int64))
        assert raw.numpy() == store.read(tf.constant(place, tf.int64)).numpy()

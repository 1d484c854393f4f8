"""Images in memory: the same batches as from their files."""

import logging
import os

import numpy as np
import pytest
import tensorflow as tf
from images import loading
from PIL import Image

from keras_transfer.data import memory, sources
from keras_transfer.data.arrays import Arrays
from keras_transfer.data.batches import evaluation_batches, label_columns, training_batches
from keras_transfer.data.samples import Samples
from keras_transfer.data.scan import drop_invalid, scan
from keras_transfer.inputs.image import Image as ImageInput
from keras_transfer.inputs.images import decode


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(5):
            pixels = rng.integers(0, 256, (20 + i, 30, 3), dtype="uint8")
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    found = sources.read(str(tmp_path / "data"))
    return drop_invalid(found, scan(found, ImageInput().judge, tmp_path / "cache"), "fail")


def equal(ones, others):
    pairs = list(zip(ones, others, strict=True))
    return pairs and all(
        np.array_equal(a, b)
        for one, other in pairs
        for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True)
    )


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_batches_are_those_from_files(samples, resize):
    how = loading(16, resize, batch_size=4, rotation_range=20, horizontal_flip=True)
    held = memory.held(samples, how)

    assert held.store is not samples.store
    assert equal(evaluation_batches(samples, how), evaluation_batches(held, how))
    for more in ({}, {"augment": how.input.augment}):
        assert equal(epochs(samples, how, **more), epochs(held, how, **more))


def epochs(samples, how, **more):
    return training_batches(samples, how, label_columns(samples), epochs=2, **more)


def test_part_of_a_held_table_is_held(samples):
    how, judge = loading(16, batch_size=4), ImageInput().judge
    some = np.array([7, 2])
    split = memory.held(samples, how).take(some)

    assert equal(evaluation_batches(samples.take(some), how), evaluation_batches(split, how))
    checked = split.store.check(int(split.rows[0]), judge)
    assert checked == samples.store.check(int(samples.rows[7]), judge)
    read = split.store.read(tf.constant(split.rows[0]))
    assert read == samples.store.read(tf.constant(samples.rows[7]))
    assert split.store.stamp(int(split.rows[1])) == samples.store.stamp(int(samples.rows[2]))


def test_images_that_do_not_fit_stay_where_they_are(samples, monkeypatch):
    """10 images of 16 x 16 x 3 bytes, twice, are 15,360 bytes: over a quarter of 61,000."""
    monkeypatch.setattr(memory, "available", lambda: 61_000)
    assert memory.held(samples, loading(16)) is samples

    monkeypatch.setattr(memory, "available", lambda: 62_000)
    assert memory.held(samples, loading(16)) is not samples


def test_it_says_what_is_kept(samples, caplog):
    with caplog.at_level(logging.INFO, "keras_transfer"):
        memory.held(samples, loading(16))

    assert "10 decoded images are kept in memory" in caplog.text


def test_free_memory_is_some_of_what_there_is():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    assert 0 < memory.available() <= total


def test_it_says_what_is_not_kept(samples, caplog):
    with caplog.at_level(logging.INFO, "keras_transfer"):
        assert memory.held(samples, loading(16), share=0) is samples

    assert "10 images are decoded in every epoch" in caplog.text


@pytest.fixture
def arrays():
    x = np.random.default_rng(0).integers(0, 256, (7, 20, 30, 3), dtype="uint8")
    return Samples.of(Arrays(x), ["a", "b"], [f"{i}" for i in range(7)], np.arange(7) % 2)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_batches_are_those_from_arrays(arrays, resize):
    how = loading(16, resize, batch_size=4, rotation_range=20)
    held = memory.held(arrays, how)

    assert held.store is not arrays.store
    assert equal(evaluation_batches(arrays, how), evaluation_batches(held, how))
    augment = how.input.augment
    assert equal(epochs(arrays, how, augment=augment), epochs(held, how, augment=augment))


def test_images_are_not_copied_into_the_graph(arrays):
    """A graph over 5 MB of pixels is below 20 kB."""
    many = arrays.take(np.arange(7).repeat(1000))
    store = memory.held(many, loading(16)).store
    graph = tf.function(store.prepared, input_signature=[tf.TensorSpec([], tf.int64)])

    assert store.inputs["pixels"].shape == (7000, 16, 16, 3)
    assert graph.get_concrete_function().graph.as_graph_def().ByteSize() < 20_000


def test_a_held_image_is_not_resized(arrays):
    """Nor is any op added for it: what comes out is what the store's gather gave."""
    held = memory.held(arrays, loading(16))
    pixels = tf.zeros((16, 16, 3), tf.uint8)

    assert decode.resize(pixels, 16, "pad") is pixels
    found = loading(16).example(held, tf.constant(3, tf.int64))
    np.testing.assert_array_equal(found["pixels"], held.store.inputs["pixels"][3])


def container(root, folder, limit, used, cache_line):
    (root / folder).mkdir(parents=True, exist_ok=True)
    prefix = {"": ("max", "current"), "memory": ("limit_in_bytes", "usage_in_bytes")}[folder]
    for name, value in zip(prefix, (limit, used), strict=True):
        (root / folder / f"memory.{name}").write_text(value)
    (root / folder / "memory.stat").write_text(f"anon 5\n{cache_line}\n")


@pytest.mark.parametrize(
    ("folder", "cached"), [("", "inactive_file"), ("memory", "total_inactive_file")]
)
def test_in_a_container_cached_files_count_as_free(tmp_path, folder, cached):
    """1000 allowed, 700 used, of which 300 cached: 600."""
    container(tmp_path, folder, "1000\n", "700\n", f"{cached} 300")

    assert memory._left_to_container(tmp_path) == [600]


def test_a_container_without_limit_leaves_it_to_the_machine(tmp_path):
    container(tmp_path, "", "max\n", "700\n", "inactive_file 300")

    assert memory._left_to_container(tmp_path) == []
    assert memory._left_to_container(tmp_path / "nowhere") == []

"""Pictures in memory: the same batches as from their files."""

import logging
import os

import numpy as np
import pytest
from PIL import Image

from keras_transfer.data import memory, sources
from keras_transfer.data.augment import Augmenter
from keras_transfer.data.pipeline import Loading, evaluation_batches, training_batches
from keras_transfer.data.scan import scan, sound


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(5):
            pixels = rng.integers(0, 256, (20 + i, 30, 3), dtype="uint8")
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    found = sources.read(str(tmp_path / "data"))
    return sound(found, scan(found, tmp_path / "cache"), "fail")


def equal(ones, others):
    pairs = list(zip(ones, others, strict=True))
    return pairs and all(
        np.array_equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_batches_are_those_from_files(samples, resize):
    loading = Loading(16, resize, batch_size=4)
    held = memory.held(samples, loading)
    augment = Augmenter(rotation_range=20, horizontal_flip=True)

    assert held.store is not samples.store
    assert equal(evaluation_batches(samples, loading), evaluation_batches(held, loading))
    for more in ({}, {"augment": augment}):
        ones, others = (training_batches(s, loading, epochs=2, **more) for s in (samples, held))
        assert equal(ones, others)


def test_part_of_a_held_table_is_held(samples):
    loading = Loading(16, batch_size=4)
    some = np.array([7, 2])
    part = memory.held(samples, loading).take(some)

    assert equal(evaluation_batches(samples.take(some), loading), evaluation_batches(part, loading))
    assert part.store.check(int(part.rows[0])) == samples.store.check(int(samples.rows[7]))
    assert part.store.stamp(int(part.rows[1])) == samples.store.stamp(int(samples.rows[2]))


def test_pictures_that_do_not_fit_stay_where_they_are(samples, monkeypatch):
    """10 pictures of 16 x 16 x 3 bytes are 7,680 bytes: over a quarter of 30,000."""
    monkeypatch.setattr(memory, "available", lambda: 30_000)
    assert memory.held(samples, Loading(16)) is samples

    monkeypatch.setattr(memory, "available", lambda: 31_000)
    assert memory.held(samples, Loading(16)) is not samples


def test_it_says_what_is_kept(samples, caplog):
    with caplog.at_level(logging.INFO, "keras_transfer"):
        memory.held(samples, Loading(16))

    assert "10 decoded pictures are kept in memory" in caplog.text


def test_free_memory_is_some_of_what_there_is():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    assert 0 < memory.available() <= total

"""Features of frozen parts: computed once, shared, streamed, and batched instead of pixels."""

import logging
import os
from dataclasses import replace

import keras
import numpy as np
import pytest
from images import loading
from PIL import Image

from keras_transfer.data import memory, sources
from keras_transfer.data.batches import (
    evaluation_batches,
    label_columns,
    plain_batches,
    training_batches,
)
from keras_transfer.data.scan import drop_invalid, scan
from keras_transfer.errors import CheckFailed
from keras_transfer.features.batches import evaluation_features, training_features
from keras_transfer.features.checked import finite
from keras_transfer.features.extractor import EngineConfig, FeatureExtractor
from keras_transfer.features.stage_batches import Split, from_features
from keras_transfer.features.views import CLEAN, View
from keras_transfer.inputs.image import Image as ImageInput
from keras_transfer.networks.backbones import build_backbone
from keras_transfer.networks.freezing import freeze
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.network import build_network
from keras_transfer.workflows.extractors import sources as plan

LOADING = loading(16, batch_size=4)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Eleven images, of which two are the same."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name, n in (("a", 5), ("b", 5)):
        (folder / name).mkdir()
        for i in range(n):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype="uint8")
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    (folder / "b/again.png").write_bytes((folder / "b/0.png").read_bytes())
    found = sources.read(str(folder))
    return drop_invalid(found, scan(found, ImageInput().judge, folder / "cache"), "fail")


@pytest.fixture(scope="module")
def cuts():
    """Of a head stage and of a stage that tunes block3."""
    keras.utils.set_random_seed(0)
    backbone = build_backbone("convnet_small", image_size=16)
    network = build_network(backbone, {"label": build_head(2)}, preprocessing="tf")
    freeze(backbone, "block3")
    early = network.cut()
    freeze(backbone)
    return network.cut(), early


def extractor_of(cut, samples, cache, earlier=None, **more):
    config = EngineConfig(**{"engine": "keras", "tolerance": 0.0, "cache": cache, **more})
    return FeatureExtractor(
        cut, LOADING, samples, config, backbone="convnet_small", earlier=earlier
    )


ROTATE = loading(16, rotation_range=40).input.augment


def rotated(number, seed=3):
    return View("rotated", number, seed, ROTATE)


def pooled(cut, inputs):
    return np.asarray(cut.frozen(inputs["pixels"], training=False))


def keras_features(cut, samples, view=CLEAN):
    batches = plain_batches(samples, LOADING, view.augment, view.seeds(samples.digests))
    return np.concatenate([pooled(cut, inputs) for inputs in batches])


def everything(table):
    return table.take(np.arange(len(table)))


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("view", [CLEAN, rotated(1), rotated(2)])
def test_features_are_those_of_keras(cuts, samples, tmp_path, keep, view):
    cut, _ = cuts

    table = extractor_of(cut, samples, tmp_path, keep=keep).table(samples, view)

    wanted = keras_features(cut, samples, view)
    assert everything(table) == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    assert (tmp_path / "features").exists() >= keep


@pytest.mark.parametrize("keep", [True, False])
def test_features_that_are_no_numbers_are_refused_and_not_kept(cuts, samples, tmp_path, keep):
    cut, _ = cuts
    broken = View("broken", 1, 3, lambda batch, seeds: {"pixels": batch["pixels"] * 1e30})
    extractor = extractor_of(cut, samples, tmp_path, keep=keep)
    extractor.table(samples)

    for _ in range(2):  # the second time nothing comes from the cache
        with pytest.raises(CheckFailed, match="images are infinite or NaN, up to 'pool' by"):
            extractor.table(samples, broken)


def test_features_that_float16_cannot_hold_are_refused():
    """65,504 is its largest number. The dtype was chosen on images with smaller features."""
    given = [np.array([[65_000.0], [70_000.0]], "float32")]

    assert next(finite(iter(given), np.dtype("float32"), "pool", "keras")) is given[0]
    with pytest.raises(CheckFailed, match=r"1 of 2 images are infinite or NaN, .* as float16"):
        next(finite(iter(given), np.dtype("float16"), "pool", "keras"))


def test_another_run_computes_only_what_is_new(cuts, samples, tmp_path):
    cut, _ = cuts
    some = samples.take(np.array([0, 3, 7]))
    extractor_of(cut, some, tmp_path).table(some)

    later = extractor_of(cut, samples, tmp_path)
    table = later.table(samples)

    # Eleven, less the three known, less the one that is there twice.
    assert (later.report["computed"], later.report["cached"]) == (7, 4)
    assert everything(table) == pytest.approx(keras_features(cut, samples), rel=1e-3, abs=1e-4)
    again = extractor_of(cut, samples, tmp_path)
    again.table(samples)
    assert (again.report["computed"], again.report["cached"]) == (0, 11)


def test_of_no_images_there_are_no_features(cuts, samples, tmp_path):
    cut, _ = cuts
    extractor = extractor_of(cut, samples, tmp_path)

    assert len(extractor.table(samples.take(np.arange(0)))) == 0


def test_the_rate_is_that_of_what_was_computed_whatever_came_from_the_cache_later(
    cuts, samples, tmp_path
):
    cut, _ = cuts
    extractor = extractor_of(cut, samples, tmp_path)
    extractor.table(samples)
    first = extractor.report
    extractor.table(samples)

    assert extractor.report["cached"] == first["cached"] + 11
    rate = extractor.report["images_per_second"]
    assert rate == first["images_per_second"] == pytest.approx(10 / first["seconds"], abs=0.1)

    again = extractor_of(cut, samples, tmp_path)
    again.table(samples)
    assert again.report["images_per_second"] is None  # one engine was not timed, nor did it run


def test_other_weights_other_features(cuts, samples, tmp_path):
    cut, _ = cuts
    extractor_of(cut, samples, tmp_path).table(samples)
    kernel = next(w for w in cut.frozen.weights if len(w.shape) == 4)
    before = np.array(kernel)
    kernel.assign(before * 1.5)
    try:
        changed = extractor_of(cut, samples, tmp_path)
        table = changed.table(samples)
        assert changed.report["cached"] == 1  # the one that is there twice
        wanted = keras_features(cut, samples)
        assert everything(table) == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    finally:
        kernel.assign(before)


def test_a_view_depends_on_the_image_and_not_on_its_place(samples):
    backwards = np.arange(len(samples))[::-1]

    assert np.array_equal(
        rotated(1).seeds(samples.digests)[backwards], rotated(1).seeds(samples.digests[backwards])
    )


def test_views_differ_by_number_and_by_seed(samples):
    seeds = [
        tuple(view.seeds(samples.digests)[0]) for view in (rotated(1), rotated(2), rotated(1, 4))
    ]
    assert len(set(seeds)) == 3


class TestEarlier:
    """A head stage's features are made from those that the next stage needs anyway."""

    def test_the_network_is_gone_through_once_for_both(self, cuts, samples, tmp_path):
        late, early = cuts
        before = extractor_of(early, samples, tmp_path)
        after = extractor_of(late, samples, tmp_path, earlier=before)

        table = after.table(samples)

        assert everything(table) == pytest.approx(keras_features(late, samples), rel=2e-3, abs=2e-4)
        before.table(samples)
        assert (before.report["computed"], before.report["cached"]) == (10, 11)
        assert after.report["error"] >= before.report["error"]

    def test_such_features_serve_runs_that_have_no_such_stage(self, cuts, samples, tmp_path):
        late, early = cuts
        earlier = extractor_of(early, samples, tmp_path)
        extractor_of(late, samples, tmp_path, earlier=earlier).table(samples)

        alone = extractor_of(late, samples, tmp_path)
        alone.table(samples)

        assert alone.report["cached"] == 11

    def test_without_room_for_what_lies_between_the_whole_is_gone_through(
        self, cuts, samples, tmp_path, monkeypatch
    ):
        """Features of block2 take 4 * 4 * 64 * 2 bytes an image, the pooled ones 128 * 2."""
        late, early = cuts
        monkeypatch.setenv("KT_CACHE_GB", str(20_000 / 1e9))
        monkeypatch.setattr(memory, "available", lambda: 40_000)
        after = extractor_of(
            late, samples, tmp_path, earlier=extractor_of(early, samples, tmp_path)
        )

        table = after.table(samples)

        wanted = keras_features(late, samples)
        assert everything(table) == pytest.approx(wanted, rel=1e-3, abs=1e-4)

    @pytest.mark.parametrize(
        ("depths", "planned"),
        [
            ([9, 5], [1, None]),
            ([9, 5, 3], [2, 2, None]),
            ([9, 0, 5], [None, None, None]),  # a stage between trains everything
            ([5, 9], [None, None]),
            ([5, 9, 3], [2, 2, None]),
            ([9, 3, 5], [1, None, None]),  # the last one is not nearer to the pixels
            ([9, 5, 9, 5], [1, None, 3, None]),
            ([0, 5], [None, None]),
        ],
    )
    def test_which_stage_makes_its_features_from_which(self, depths, planned):
        class Cut:
            def __init__(self, depth):
                self.frozen = type("Prefix", (), {"weights": depth * [0]})

        assert plan([Cut(depth) if depth else None for depth in depths]) == planned


class TestBatches:
    def order(self, batches):
        return [(y["label"].numpy().tolist(), w["label"].numpy().tolist()) for _, y, w in batches]

    @pytest.mark.parametrize("replicas", [1, 2])
    def test_they_follow_each_other_as_those_of_pixels_do(self, cuts, samples, tmp_path, replicas):
        """Same images, labels, weights and padding, in every epoch, from any epoch on."""
        cut, _ = cuts
        table = extractor_of(cut, samples, tmp_path).table(samples)
        how = loading(16, batch_size=4, replicas=replicas)
        columns = label_columns(samples, np.float32([1, 3]))
        more = {"epochs": 3, "seeds": (5, 6)}
        for first in (0, 2):
            pixels = training_batches(samples, how, columns, first_epoch=first, **more)
            features = training_features([table], samples, how, columns, first_epoch=first, **more)
            assert self.order(features) == self.order(pixels)
            for (x, *_), (f, *_) in zip(pixels, features, strict=True):
                assert f["features"].numpy() == pytest.approx(pooled(cut, x), rel=1e-3, abs=1e-4)
        pixels = evaluation_batches(samples, how)
        features = evaluation_features(table, samples, how)
        assert self.order(pixels) == self.order(features)

    def test_shapes_are_known_but_for_the_batch(self, cuts, samples, tmp_path):
        _, early = cuts
        table = extractor_of(early, samples, tmp_path).table(samples)

        for batches in (
            training_features([table], samples, LOADING, label_columns(samples), epochs=1),
            evaluation_features(table, samples, LOADING),
        ):
            assert batches.element_spec[0]["features"].shape.as_list() == [None, 4, 4, 64]

    def test_each_view_is_shown_once_in_as_many_epochs(self, cuts, samples, tmp_path):
        cut, _ = cuts
        frozen = extractor_of(cut, samples, tmp_path)
        views = [CLEAN, rotated(1), rotated(2)]
        tables = [frozen.table(samples, view) for view in views]
        known = [everything(table) for table in tables]
        weighted = np.arange(11) + 1  # its weight tells which image it is

        columns = label_columns(replace(samples, weights=weighted.astype("float32")))
        batches = training_features(tables, samples, LOADING, columns, epochs=6, seeds=(1, 2))
        shown = np.concatenate([f["features"] for f, _, _ in batches])
        images = np.concatenate([w["label"] for _, _, w in batches]).round().astype(int) - 1

        seen = [
            next(v for v in range(3) if np.array_equal(known[v][image], features))
            for image, features in zip(images, shown, strict=True)
        ]
        for image in set(range(11)) - {5, 10}:  # but for the one that is there twice
            of_it = [view for one, view in zip(images, seen, strict=True) if one == image]
            assert sorted(of_it[:3]) == sorted(of_it[3:]) == [0, 1, 2]
        first = [seen[list(images).index(image)] for image in range(11)]
        assert len(set(first)) > 1  # not all images begin with the same


class TestStageBatches:
    @pytest.fixture
    def batches(self, cuts, samples, tmp_path):
        def make(views, augment=None, **more):
            cut, _ = cuts
            frozen = extractor_of(cut, samples, tmp_path, **more)
            split = Split.labelled(samples)
            how = {"augment": augment, "epochs": 2, "seeds": (1, 2)}
            return from_features(frozen, split, split, views, **how)

        return make

    def pooled(self, cut, batches):
        return [pooled(cut, inputs) for inputs, *_ in batches]

    @pytest.mark.parametrize("augment", [None, ROTATE])
    def test_fresh_views_are_streamed_as_augmented_pixels_would_be(
        self, cuts, samples, batches, augment
    ):
        cut, _ = cuts
        columns = label_columns(samples)
        pixels = training_batches(
            samples, LOADING, columns, epochs=2, seeds=(1, 2), augment=augment
        )

        streamed = list(batches([], augment).train(0))

        assert len(streamed) == 2 * 3
        for (features, y, w), (x, labels, weights) in zip(streamed, pixels, strict=True):
            found = features["features"].numpy()
            assert found == pytest.approx(pooled(cut, x), rel=1e-4, abs=1e-5)
            assert np.array_equal(y["label"], labels["label"])
            assert np.array_equal(w["label"], weights["label"])

    def test_a_streamed_stage_decodes_its_train_split_once_and_no_other(self, batches, caplog):
        with caplog.at_level(logging.DEBUG, "keras_transfer"):
            list(batches([], ROTATE).train(0))

        assert caplog.text.count("prepared examples are kept in memory") == 1

    def test_where_there_is_no_room_features_are_streamed(
        self, cuts, samples, batches, monkeypatch, caplog
    ):
        cut, _ = cuts
        monkeypatch.setenv("KT_CACHE_GB", "0")
        monkeypatch.setattr(memory, "available", lambda: 0)
        with caplog.at_level(logging.INFO, "keras_transfer"):
            fed = batches([CLEAN], ROTATE)
            found = [x["features"].numpy() for x, *_ in fed.train(0)]

        clean = training_batches(samples, LOADING, label_columns(samples), epochs=2, seeds=(1, 2))
        wanted = self.pooled(cut, clean)
        assert all(
            one == pytest.approx(other, rel=1e-4, abs=1e-5)
            for one, other in zip(found, wanted, strict=True)
        )
        assert "KT_CACHE_GB" in caplog.text
        assert "The frozen layers run in every epoch" in caplog.text
        found = [x["features"].numpy() for x, *_ in fed.evaluation(samples)]
        wanted = self.pooled(cut, evaluation_batches(samples, LOADING))
        assert np.concatenate(found) == pytest.approx(np.concatenate(wanted), rel=1e-4, abs=1e-5)

    def test_a_cache_that_cannot_be_written_is_said_and_done_without(
        self, cuts, samples, tmp_path, caplog
    ):
        cut, _ = cuts
        (tmp_path / "file").write_text("not a folder")
        with caplog.at_level(logging.INFO, "keras_transfer"):
            table = extractor_of(cut, samples, tmp_path / "file").table(samples)

        wanted = keras_features(cut, samples)
        assert everything(table) == pytest.approx(wanted, rel=1e-3, abs=1e-4)
        assert "features are not cached" in caplog.text

    def test_a_full_disk_in_the_middle_is_done_without(
        self, cuts, samples, tmp_path, monkeypatch, caplog
    ):
        """posix_fallocate is what finds out, before anything is computed."""

        def full(file, at, size):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        cut, _ = cuts
        with caplog.at_level(logging.INFO, "keras_transfer"):
            table = extractor_of(cut, samples, tmp_path).table(samples)

        assert len(table) == 11
        assert "No space left" in caplog.text

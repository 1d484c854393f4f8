"""Damaged features are never used: they are set aside, named, and computed again."""

import json
import os
import shutil

import numpy as np
import pytest
from damages import DAMAGES

from keras_transfer.features import eviction, store

ROW = np.empty((2, 3), "float16")
FIRST, SECOND = ["aa", "bb", "cc"], ["dd", "ee", "ff"]


def features(digests):
    """(n, 2, 3): what an image's digest says."""
    return np.array([np.full((2, 3), int(d, 16)) for d in digests], "float32")


def fill(cache, digests, metadata=None):
    with store.open_space(cache, metadata or {}) as space:
        space.add(digests, [features(digests)], ROW)
    return space


@pytest.fixture
def space(tmp_path):
    """A space of two segments of three images."""
    for digests in (FIRST, SECOND):
        space = fill(tmp_path / "cache", digests)
    return space


def files(space, digests):
    """Paths of the features and of the index of the segment that holds these."""
    (index,) = (p for p in space.folder.glob("*.index") if digests[0].encode() in p.read_bytes())
    return index.with_suffix(".npy"), index


def rewrite(path, content):
    """Write in place, as a disk does: the time stays, so that nobody takes it for another file."""
    stat = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def is_mended(cache, lost, caplog):
    """Whether exactly these are missing, once, and all is right when they have been added."""
    asked = FIRST + SECOND
    with store.open_space(cache, {}) as space:
        table, missing = space.find(asked)
        assert table is None
        assert [d for d, gone in zip(asked, missing, strict=True) if gone] == lost
        space.add(lost, [features(lost)], ROW)
    told = caplog.text
    with store.open_space(cache, {}) as space:
        table, missing = space.find(asked)
    assert np.array_equal(table.take(np.arange(6)), features(asked))
    assert caplog.text == told  # said once
    return True


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", [0, 1], ids=["features", "index"])
def test_a_damaged_file_is_set_aside_and_only_its_images_are_missing(
    space, tmp_path, caplog, file, damage
):
    path = files(space, FIRST)[file]
    rewrite(path, DAMAGES[damage](path.read_bytes()))

    assert is_mended(tmp_path / "cache", FIRST, caplog)

    assert caplog.text.count("Warning") == 1
    assert f"{path} is damaged" in caplog.text
    assert path.with_name(f"{path.name}.broken").exists()


def swap(paths):
    one, other = (path.read_bytes() for path in paths)
    rewrite(paths[0], other)
    rewrite(paths[1], one)


@pytest.mark.parametrize("file", [0, 1], ids=["features", "index"])
def test_files_that_change_places_are_found(space, tmp_path, caplog, file):
    """Each is whole; what it is paired with is not its own."""
    swap([files(space, FIRST)[file], files(space, SECOND)[file]])

    assert is_mended(tmp_path / "cache", FIRST + SECOND, caplog)


@pytest.mark.parametrize("which", ["features", "index"])
def test_rows_in_another_order_are_found(space, tmp_path, caplog, which):
    npy, index = files(space, FIRST)
    path, width = (npy, ROW.nbytes) if which == "features" else (index, 64)
    content = path.read_bytes()
    end = len(content) - (4 if which == "index" else 0)
    rows = [content[end - (i + 1) * width : end - i * width] for i in range(3)]
    rewrite(path, content[: end - 3 * width] + b"".join(rows) + content[end:])

    assert is_mended(tmp_path / "cache", FIRST, caplog)


def test_a_segment_of_another_network_is_found(space, tmp_path, caplog):
    """Whole, with its index, in the wrong folder: as after a careless copy."""
    other = fill(tmp_path / "cache", ["99"], {"network": "other"})
    for path in files(other, ["99"]):
        shutil.copy(path, space.folder)

    with store.open_space(tmp_path / "cache", {}) as opened:
        assert opened.find(["99"])[1].all()

    assert "it belongs to the features in" in caplog.text


def test_features_without_their_file_are_missing(space, tmp_path, caplog):
    files(space, FIRST)[0].unlink()

    assert is_mended(tmp_path / "cache", FIRST, caplog)
    assert "the file is missing" in caplog.text


def test_where_another_segment_has_the_same_images_nothing_is_missing(space, tmp_path):
    """Two runs may both have computed them."""
    damaged, _ = files(space, FIRST)
    fill(tmp_path / "cache", FIRST)
    rewrite(damaged, bytes(damaged.stat().st_size))

    with store.open_space(tmp_path / "cache", {}) as opened:
        table, _ = opened.find(FIRST)

    assert np.array_equal(table.take(np.arange(3)), features(FIRST))


def test_features_of_an_earlier_version_are_missing_and_removed(tmp_path, caplog):
    """They have no checksums."""
    folder = fill(tmp_path, ["99"]).folder
    np.save(folder / "old.npy", features(FIRST).astype("float16"))
    np.save(folder / "old.keys.npy", np.array(FIRST, "S64"))

    with caplog.at_level("INFO"), store.open_space(tmp_path, {}) as opened:
        assert opened.find([*FIRST, "99"])[1].tolist() == [True, True, True, False]

    assert not [*folder.glob("old*")]
    assert caplog.text.count("have no checksums; they are computed again") == 1


class TestMetadata:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_damaged_ones_are_written_again(self, space, tmp_path, damage):
        path = space.folder / store.METADATA
        path.write_bytes(DAMAGES[damage](path.read_bytes()))

        with store.open_space(tmp_path / "cache", {}) as opened:
            assert not opened.find(FIRST)[1].any()

        assert json.loads(path.read_text()) == {}

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_space_with_damaged_ones_is_counted_and_removed(self, space, tmp_path, damage):
        path = space.folder / store.METADATA
        path.write_bytes(DAMAGES[damage](b'{"network": "a"}'))

        (found,) = eviction.spaces(tmp_path / "cache")
        assert found.images == 6
        assert eviction.clear(tmp_path / "cache")[0] == 1
        assert not space.folder.exists()

    def test_without_them_it_is_removed_too(self, space, tmp_path):
        (space.folder / store.METADATA).unlink()

        assert eviction.clear(tmp_path / "cache")[0] == 1


def test_damaged_segments_do_not_count(space):
    index = files(space, FIRST)[1]
    index.write_bytes(b"")

    assert space.images == 3


def test_files_in_the_making_reach_the_disk_before_they_get_their_names(tmp_path, monkeypatch):
    """Otherwise a power cut leaves empty files under final names."""
    calls = []
    fsync, replace = os.fsync, os.replace

    def synchronized(descriptor):
        calls.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def renamed(source, target):
        calls.append(("rename", str(source)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synchronized)
    monkeypatch.setattr(os, "replace", renamed)
    folder = fill(tmp_path, FIRST).folder

    for number, (what, path) in enumerate(calls):
        if what == "rename":
            assert calls[number - 1] == ("fsync", path)
            assert calls[number + 1] == ("fsync", str(folder))
    assert [what for what, _ in calls] == 2 * ["fsync", "rename", "fsync"]

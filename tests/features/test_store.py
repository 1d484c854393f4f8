"""Features on disk: found by content, never half there, least recently used first to go."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.errors import BadConfiguration
from keras_transfer.features import eviction, store

ROW = np.empty((2, 3), "float16")


def features(digests):
    """(n, 2, 3): what an image's digest says."""
    return np.array([np.full((2, 3), int(d, 36) % 997) for d in digests], "float32")


def fill(cache, metadata, digests):
    with store.open_space(cache, metadata) as space:
        space.add(digests, [features(digests)], ROW)
    return space


def bytes_of(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


DIGESTS = st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), min_size=1, unique=True)


@settings(max_examples=60)
@given(kept=st.lists(DIGESTS, min_size=1, max_size=4), data=st.data())
def test_what_was_added_is_found_in_any_order(tmp_path_factory, kept, data):
    """In several goes, with repetitions, like a dictionary."""
    cache = tmp_path_factory.mktemp("cache")
    for digests in kept:
        fill(cache, {"a": 1}, digests)
    known = sorted({d for digests in kept for d in digests})
    asked = data.draw(st.lists(st.sampled_from(known), min_size=1))

    with store.open_space(cache, {"a": 1}) as space:
        table, missing = space.find(asked)

    assert not missing.any()
    assert np.array_equal(table.take(np.arange(len(asked))), features(asked))
    places = np.random.default_rng(0).permutation(len(asked))
    assert np.array_equal(table.take(places), features([asked[i] for i in places]))


def test_missing_ones_are_said(tmp_path):
    space = fill(tmp_path, {}, ["aa", "bb"])

    table, missing = space.find(["bb", "cc", "aa", "dd"])

    assert table is None
    assert missing.tolist() == [False, True, False, True]


def test_spaces_of_other_networks_do_not_mix(tmp_path):
    fill(tmp_path, {"network": "x"}, ["aa"])

    with store.open_space(tmp_path, {"network": "y"}) as other:
        assert other.find(["aa"])[1].all()


def test_long_tables_are_cut_into_segments(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SEGMENT", 3 * ROW.nbytes)
    digests = [f"p{i}" for i in range(8)]
    batches = np.split(features(digests), [5, 6])

    with store.open_space(tmp_path, {}) as space:
        space.add(digests, batches, ROW)

    assert len(list(space.folder.glob("*.index"))) == 3
    assert np.array_equal(space.find(digests)[0].take(np.arange(8)), features(digests))


def test_float16_on_disk_is_off_by_less_than_two_to_the_minus_11(tmp_path):
    """Half the distance of neighbouring float16 numbers: the rounding of IEEE 754."""
    values = np.random.default_rng(0).normal(size=(50, 2, 3)).astype("float32")
    digests = [str(i) for i in range(50)]
    with store.open_space(tmp_path, {}) as space:
        space.add(digests, [values], ROW)

    found = space.find(digests)[0].take(np.arange(50))

    assert found.dtype == "float32"
    assert np.abs(found - values).max() <= np.abs(values).max() * 2**-11
    assert np.linalg.norm(found - values) / np.linalg.norm(values) < 3e-4


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from keras_transfer.features import store
store.SEGMENT = 4 * 12

def slow():
    for i in range(10):
        print(i, flush=True)
        yield np.full((1, 2, 3), i, "float32")
        time.sleep(0.05 if i < 6 else 60)

with store.open_space(Path(sys.argv[1]), {}) as space:
    space.add([f"p{i}" for i in range(10)], slow(), np.empty((2, 3), "float16"))
"""


def test_a_killed_run_leaves_whole_segments_and_nothing_else(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    while process.stdout.readline() != "6\n":
        pass
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    with store.open_space(tmp_path, {}) as space:  # the next run
        _, missing = space.find([f"p{i}" for i in range(10)])
        left = sorted(path.suffix for path in space.folder.iterdir())

    assert missing.tolist() == 4 * [False] + 6 * [True]
    assert left == [".index", ".json", ".npy"]


def test_a_failed_computation_leaves_what_was_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SEGMENT", 2 * ROW.nbytes)

    def broken():
        yield features(["a", "b", "c"])
        raise RuntimeError

    with store.open_space(tmp_path, {}) as space, pytest.raises(RuntimeError):
        space.add(["a", "b", "c", "d"], broken(), ROW)

    assert space.find(["a", "b", "c"])[1].tolist() == [False, False, True]
    assert not list(space.folder.glob("*.tmp"))


def test_the_least_recently_used_goes_first(tmp_path, monkeypatch):
    spaces = {name: fill(tmp_path, {"n": name}, ["aa"]) for name in "abc"}
    for age, name in enumerate("bca"):  # b was used longest ago
        os.utime(spaces[name].folder / store.METADATA, (1000 + age, 1000 + age))
    size = bytes_of(spaces["a"].folder)
    monkeypatch.setenv("KT_CACHE_GB", str(3 * size / 1e9))

    assert eviction.make_room(tmp_path, size) == ""

    assert [space.metadata["n"] for space in eviction.spaces(tmp_path)] == ["c", "a"]


def test_opening_counts_as_use(tmp_path):
    for name in "ab":
        folder = fill(tmp_path, {"n": name}, ["aa"]).folder
        os.utime(folder / store.METADATA, (1000, 1000))
    with store.open_space(tmp_path, {"n": "a"}):
        pass

    assert [space.metadata["n"] for space in eviction.spaces(tmp_path)] == ["b", "a"]


def test_a_space_in_use_is_not_evicted(tmp_path, monkeypatch):
    fill(tmp_path, {"n": "old"}, ["aa"])
    monkeypatch.setenv("KT_CACHE_GB", "0.000001")
    with store.open_space(tmp_path, {"n": "old"}):
        assert "other runs" in eviction.make_room(tmp_path, 900)
        assert eviction.clear(tmp_path) == (0, 0)

    assert eviction.make_room(tmp_path, 900) == ""
    assert eviction.spaces(tmp_path) == []


@pytest.mark.parametrize(
    ("limit", "needed", "says"), [("0.001", 2_000_000, "0.001 GB"), ("1e9", 10**17, "to spare")]
)
def test_too_little_room_is_said_before_and_evicts_nothing(
    tmp_path, monkeypatch, limit, needed, says
):
    fill(tmp_path, {}, ["aa"])
    monkeypatch.setenv("KT_CACHE_GB", limit)

    assert says in eviction.make_room(tmp_path, needed)
    assert len(eviction.spaces(tmp_path)) == 1


@pytest.mark.parametrize("text", ["plenty", "-1", "inf", "nan", ""])
def test_a_limit_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("KT_CACHE_GB", text)
    with pytest.raises(BadConfiguration, match="KT_CACHE_GB"):
        eviction.limit()


def test_features_stay_readable_when_they_are_evicted(tmp_path):
    """As another run may do, once this one has opened them."""
    table, _ = fill(tmp_path, {}, ["aa", "bb"]).find(["bb", "aa"])

    assert eviction.clear(tmp_path)[0] == 1

    assert np.array_equal(table.take(np.array([0, 1])), features(["bb", "aa"]))

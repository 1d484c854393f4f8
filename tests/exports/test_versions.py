"""Versions of a model: numbered, whole or not there."""

import os
import signal
import subprocess
import sys

import pytest

from keras_transfer.errors import BadConfiguration
from keras_transfer.exports.versions import checked_name, numbered, publish, unfinished


def make(base, text="x"):
    with unfinished(base) as folder:
        (folder / "file").write_text(text)
        return publish(folder, base)


def test_versions_count_up_and_leave_nothing_beside(tmp_path):
    base = tmp_path / "models" / "pets"

    assert [make(base).name for _ in range(3)] == ["1", "2", "3"]
    assert [one.name for one in base.parent.iterdir()] == ["pets"]


def test_the_next_version_follows_the_highest(tmp_path):
    (tmp_path / "pets" / "10").mkdir(parents=True)
    (tmp_path / "pets" / "9").mkdir()

    assert make(tmp_path / "pets").name == "11"


@pytest.mark.parametrize("name", ["01", "0", "-1", "1.0", "x", ".2.part", "\u0663"])
def test_other_names_are_no_versions(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / "4").mkdir()

    assert numbered(tmp_path) == [4]


def test_a_file_is_no_version(tmp_path):
    (tmp_path / "7").write_text("")

    assert numbered(tmp_path) == []
    assert numbered(tmp_path / "nowhere") == []


def test_what_is_not_published_is_gone_with_the_folders_made_for_it(tmp_path):
    with unfinished(tmp_path / "a" / "b" / "pets") as folder:
        (folder / "file").write_text("half")

    assert list(tmp_path.iterdir()) == []


def test_a_version_taken_meanwhile_is_not_overwritten(tmp_path):
    base = tmp_path / "pets"
    with unfinished(base) as folder:
        (base / "1").mkdir(parents=True)
        (base / "1" / "theirs").write_text("")
        assert publish(folder, base).name == "2"
    assert (base / "1" / "theirs").exists()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(BadConfiguration, match="is a file"), unfinished(tmp_path / "file" / "pets"):
        pass


KILLED = """
import os, signal, sys
from pathlib import Path
from keras_transfer.exports.versions import unfinished
with unfinished(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_export_leaves_the_model_as_it_was_and_the_next_one_sweeps_up(tmp_path):
    base = tmp_path / "pets"
    make(base, "first")
    done = subprocess.run([sys.executable, "-c", KILLED, str(base)])

    assert done.returncode == -signal.SIGKILL
    assert os.listdir(base) == ["1"]
    assert (base / "1" / "file").read_text() == "first"
    make(base)
    assert os.listdir(tmp_path) == ["pets"]


@pytest.mark.parametrize("name", ["a" * 201, "a" * 100_000, "", "a/b", ".", "..", "7", "a\n", "é"])
def test_names_that_no_folder_or_url_can_have_are_refused(name):
    with pytest.raises(BadConfiguration, match="--name") as refused:
        checked_name(name)
    assert len(str(refused.value)) < 300


def test_the_longest_name_can_be_published(tmp_path):
    base = tmp_path / checked_name("a" * 200)
    with unfinished(base) as folder:
        assert publish(folder, base) == base / "1"

"""Files that are there whole or not at all."""

import json
import os
import signal

import pytest
from processes import warm_python

from keras_transfer import atomic


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "run.json"
    atomic.write_json(path, {"status": "running"})

    def write():
        with atomic.replacing(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert json.loads(path.read_text()) == {"status": "running"}
    assert os.listdir(tmp_path) == ["run.json"]


def test_nan_is_no_json_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "metrics.json", {"loss": float("nan")})
    assert not os.listdir(tmp_path)


def test_a_name_that_is_not_utf8_comes_back(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    atomic.write_json(tmp_path / "a.json", [name])
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == [name]
    atomic.write_csv(tmp_path / "a.csv", ["path"], [[name]])
    assert (tmp_path / "a.csv").read_bytes() == b"path\ncaf\xe9.png\n"


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    code = (
        "import os, pathlib, signal\n"
        "from keras_transfer import atomic\n"
        "with atomic.replacing(pathlib.Path('best.keras')) as part:\n"
        "    part.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = warm_python(code, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    for name in (".hidden", "part.keras", ".notes.part"):
        (tmp_path / name).touch()
    left = [path for path in tmp_path.iterdir() if atomic.is_unfinished(path)]
    assert [path.suffix for path in left] == [".keras"]

    atomic.remove_unfinished(tmp_path)

    assert sorted(os.listdir(tmp_path)) == [".hidden", ".notes.part", "part.keras"]


def test_a_folder_is_copied_whole_even_if_a_copy_was_cut_off_before(tmp_path):
    (tmp_path / "run/tensorboard").mkdir(parents=True)
    (tmp_path / "run/tensorboard/events").write_bytes(b"1")
    (tmp_path / ".copied.copy").mkdir()
    (tmp_path / ".copied.copy/half").write_bytes(b"2")
    atomic.copy_folder(tmp_path / "run", tmp_path / "copied")

    assert sorted(os.listdir(tmp_path)) == ["copied", "run"]
    assert (tmp_path / "copied/tensorboard/events").read_bytes() == b"1"
    assert os.listdir(tmp_path / "copied") == ["tensorboard"]

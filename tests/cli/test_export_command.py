"""``kt-recipe export`` and what others do with it."""

import json
import os
import signal
import subprocess
import time

import pytest
from processes import HEAD, KT, kt, kt_process


@pytest.fixture(scope="module")
def run(work):
    kt("run", "tiny.py", *HEAD, "--out", "run", cwd=work, check=0)
    return work / "run"


@pytest.mark.slow
def test_export_then_evaluate_and_predict(work, run, tmp_path):
    done = kt("export", "run", "--to", tmp_path, "--json", cwd=work, check=0)

    document = json.loads(done.stdout)
    assert document["export"] == str(tmp_path / "tiny" / "1")
    assert document["parity"]["changed"] == 0
    assert "Held against the model on 24 examples" in done.stderr
    assert "INFO" not in done.stderr
    theirs = kt("predict", "run", "images/red", "--format", "jsonl", cwd=work, check=0)
    for where in (tmp_path / "tiny", tmp_path / "tiny" / "1"):
        told = kt("predict", where, "images/red", "--format", "jsonl", cwd=work, check=0)
        ours = [json.loads(line)["top"][0]["class"] for line in told.stdout.splitlines()]
        assert ours == [json.loads(line)["top"][0]["class"] for line in theirs.stdout.splitlines()]
    shown = kt("evaluate", tmp_path / "tiny", "--json", cwd=work, check=0)
    assert json.loads(shown.stdout)["metrics"]["test"]["n"] == 24
    again = kt("evaluate", tmp_path / "tiny", "--data", "images", cwd=work, check=0)
    assert "trained or chosen on" in again.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--format", "tflite"], 2, "litert"),
        (["--quantize", "int8"], 2, "--format litert"),
        (["--name", "a/b"], 2, "--name"),
        (["--to", "tiny.py"], 2, "is a file"),
        (["--data", "imags"], 3, "Did you mean images?"),
        (["--format", "keras", "--max-difference", "0"], 4, "does not answer as the model does"),
    ],
)
def test_what_a_user_can_mend_has_a_message_and_no_traceback(work, run, words, code, said):
    before = sorted(run.rglob("*"))
    done = kt("export", "run", *words, cwd=work)

    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr
    assert [one for one in sorted(run.rglob("*")) if one not in before] == []


def test_images_are_found_from_another_folder_too(work, run, tmp_path):
    done = kt_process("export", run, "--format", "keras", "--to", "here", cwd=tmp_path, check=0)

    assert "24 examples" in done.stderr
    assert (tmp_path / "here" / "tiny_keras" / "1" / "model.keras").exists()


def test_a_folder_that_is_no_run(work):
    assert "no run folder" in kt("export", "images", cwd=work, check=2).stderr


@pytest.mark.parametrize(
    "how", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_stopped_in_the_middle_nothing_is_left(work, run, tmp_path, how):
    to = tmp_path / "models"
    process = subprocess.Popen(
        [*KT, "export", "run", "--to", str(to)],
        cwd=work,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not to.is_dir():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(how)
    _, told = process.communicate()

    assert (process.returncode, told.splitlines()[-1]) == (130, "Interrupted.")
    assert not to.exists()


@pytest.mark.slow
def test_killed_in_the_middle_the_models_are_as_they_were(work, run, tmp_path):
    to = tmp_path / "models"
    kt("export", "run", "--to", to, cwd=work, check=0)
    before = {one: one.read_bytes() for one in (to / "tiny").rglob("*") if one.is_file()}
    words = [*KT, "export", "run", "--to", str(to)]
    process = subprocess.Popen(words, cwd=work, stderr=subprocess.DEVNULL)
    while not any(one.name.endswith(".part") and any(one.iterdir()) for one in to.iterdir()):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert {one: one.read_bytes() for one in (to / "tiny").rglob("*") if one.is_file()} == before
    done = kt("export", "run", "--to", to, "--json", cwd=work, check=0)
    assert json.loads(done.stdout)["export"] == str(to / "tiny" / "2")
    assert os.listdir(to) == ["tiny"]

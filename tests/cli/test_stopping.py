"""Runs that are stopped from outside, and go on."""

import signal
import subprocess
import time

import numpy as np
import pytest
from processes import KT, kt


def start(work, *words):
    return subprocess.Popen(
        [*KT, "run", "tiny.py", *map(str, words)],
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_after_epoch(process, line, how):
    """Send a signal once the log says that this epoch is done."""
    for text in process.stderr:
        if text.startswith(line):
            break
    time.sleep(0.2)
    process.send_signal(how)
    process.communicate()
    return process.returncode


LONG = ["--set", "stages.0.epochs=1", "--set", "stages.1.epochs=25"]


@pytest.mark.parametrize(
    ("how", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130), (signal.SIGINT, 130)],
)
def test_a_stopped_run_goes_on_and_ends_as_if_never_stopped(work, tmp_path, how, code):
    """Killed in the middle of the second stage; weights and history are equal to the bit."""
    import keras

    words = ["--seed", 5, *LONG]
    whole = work / "whole"
    if not whole.exists():
        kt("run", "tiny.py", "--out", whole, *words, cwd=work, check=0)

    stopped = start(work, "--out", tmp_path / "stopped", *words)
    assert stop_after_epoch(stopped, "all 2/25", how) == code
    refused = kt("predict", tmp_path / "stopped", "pictures", cwd=work, check=2)
    assert "--resume" in refused.stderr
    other = kt(
        "run", "tiny.py", "--out", tmp_path / "stopped", "--resume", "--seed", 6, cwd=work, check=2
    )
    assert "seed = 5, not 6" in other.stderr
    kt("run", "tiny.py", "--out", tmp_path / "stopped", "--resume", cwd=work, check=0)

    assert (whole / "history.csv").read_text() == (tmp_path / "stopped/history.csv").read_text()
    for name in ("best.keras", "last.keras"):
        ones, others = (
            keras.models.load_model(f / name).get_weights() for f in (whole, tmp_path / "stopped")
        )
        assert all(np.array_equal(a, b) for a, b in zip(ones, others, strict=True))
    assert (whole / "predictions.csv").read_text() == (
        tmp_path / "stopped/predictions.csv"
    ).read_text()

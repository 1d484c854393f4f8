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
        # A job in the background ignores Ctrl-C, and hands that on to what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_epoch(process, line):
    """Return once the log says that this epoch is done."""
    for text in process.stderr:
        if text.startswith(line):
            return


def stop_after_epoch(process, line, how):
    """Send a signal once the log says that this epoch is done."""
    wait_for_epoch(process, line)
    time.sleep(0.2)
    process.send_signal(how)
    process.communicate()
    return process.returncode


LONG = ["--set", "stages.0.epochs=1", "--set", "stages.1.epochs=25"]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (signal.SIGKILL, -signal.SIGKILL),
        pytest.param(signal.SIGTERM, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_goes_on_and_ends_as_if_never_stopped(work, tmp_path, how, code):
    """Stopped in the middle of the second stage; weights and history are equal to the bit."""
    import keras

    words = ["--seed", 5, *LONG]
    whole = work / "whole"
    if not whole.exists():
        kt("run", "tiny.py", "--out", whole, *words, cwd=work, check=0)

    stopped = start(work, "--out", tmp_path / "stopped", *words)
    assert stop_after_epoch(stopped, "all 2/25", how) == code
    check_that_nothing_else_takes_it(tmp_path / "stopped", work)
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


def check_that_nothing_else_takes_it(unfinished, work):
    """An unfinished run is neither used nor changed nor taken over."""
    early = kt("predict", unfinished, "images", cwd=work, check=2)
    assert "--resume" in early.stderr
    words = ["--out", unfinished, "--resume"]
    other = kt("run", "tiny.py", *words, "--seed", 6, cwd=work, check=2)
    assert "seed = 5, not 6" in other.stderr
    refused = kt("run", "digits", *words, cwd=work, check=2)
    assert "a run of recipe 'tiny', not of 'digits'" in refused.stderr


HEADS = ["--set", "method=bagging:3", "--set", "stages=[{name: head, epochs: 6}]"]


@pytest.mark.slow
@pytest.mark.parametrize("epoch", ["head 2/6", ""])
def test_a_killed_ensemble_goes_on_and_ends_as_if_never_stopped(work, tmp_path, epoch):
    """Killed inside the second member, or where it is about to begin."""
    whole = work / "heads"
    if not whole.exists():
        kt("run", "tiny.py", "--out", whole, *HEADS, cwd=work, check=0)

    stopped = start(work, "--out", tmp_path / "stopped", *HEADS)
    wait_for_epoch(stopped, "Member 2 of 3")
    if epoch:
        wait_for_epoch(stopped, epoch)
    stopped.kill()
    stopped.communicate()
    assert (tmp_path / "stopped/members/1/best.keras").exists()
    assert not (tmp_path / "stopped/members/3/history.csv").exists()
    kt("run", "tiny.py", "--out", tmp_path / "stopped", "--resume", cwd=work, check=0)

    for name in ("history.csv", "predictions.csv", "metrics.json"):
        assert (whole / name).read_text() == (tmp_path / "stopped" / name).read_text()


def test_a_run_that_is_alive_is_not_taken_over(work, tmp_path):
    alive = start(work, "--out", tmp_path / "alive", "--set", "stages.1.epochs=500")
    try:
        wait_for_epoch(alive, "head 1/2")
        refused = kt("run", "tiny.py", "--out", tmp_path / "alive", "--resume", cwd=work, check=2)
    finally:
        alive.kill()
        alive.communicate()
    assert "Another process" in refused.stderr


@pytest.mark.slow
def test_a_stopped_series_goes_on_by_its_own_name(work, tmp_path):
    """Not by that of the run in it that was at work."""
    series = tmp_path / "series"
    process = start(work, "--out", series, "--seeds", 2, *LONG)
    wait_for_epoch(process, "head 1/1")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()

    assert process.returncode == 130
    assert f"Resume with the same command and --out {series} --resume." in told

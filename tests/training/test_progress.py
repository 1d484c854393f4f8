"""The bar of a stage on a terminal."""

import io
import sys
import time

import pytest

from keras_transfer.exports.reading import counted
from keras_transfer.training.callbacks import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """In the test itself: pytest puts its own stream back after a fixture."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    return sys.stderr


def train(epochs, seconds, monkeypatch):
    """Epochs of two steps that take so many seconds each, by a clock of our own."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    told = []
    progress = Progress("head", epochs, told.append)
    progress.set_params({"steps": 2})
    for epoch, took in enumerate(seconds):
        progress.on_epoch_begin(epoch)
        for batch in range(2):
            progress.on_train_batch_end(batch)
        now[0] += took
        progress.on_epoch_end(epoch, {"loss": 0.5})
    return told


def test_the_bar_says_what_is_left_of_the_stage(monkeypatch):
    shown = terminal(monkeypatch)
    told = train(4, [60, 120, 120], monkeypatch)

    first, rest = shown.getvalue().split("head 2/4", 1)
    second, third = rest.split("head 3/4", 1)
    assert "left" not in first
    assert "stage 03:00 left" in second  # three of 60 s
    assert "stage 03:00 left" in third  # two of 90 s
    assert told[0] == "head 1/4  loss 0.5  (60.0 s)"


def test_no_bar_where_there_is_no_terminal(monkeypatch, capsys):
    train(2, [1, 1], monkeypatch)

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("total", "text"), [(3, "Export:   0%|"), (-2, "Export: 0it")])
def test_an_export_is_asked_with_a_bar(monkeypatch, total, text):
    shown = terminal(monkeypatch)

    assert [*counted(iter("abc"), total)] == ["a", "b", "c"]
    assert text in shown.getvalue()

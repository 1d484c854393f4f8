"""Phases: exclusive seconds that add up."""

import threading
import time

import pytest

from keras_transfer.clock import phase, phases


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when it is told to."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_inner_phases_count_once(clock):
    with phases() as seconds:
        clock(1)
        with phase("training"):
            clock(2)
            with phase("features"):
                clock(4)
                with phase("engines"):
                    clock(8)
            with phase("features"):
                clock(16)
            clock(32)
        with phase("features"):
            clock(64)

    assert seconds == {"engines": 8, "features": 84, "training": 34}


def test_an_error_does_not_lose_them(clock):
    with phases() as seconds:
        with pytest.raises(ZeroDivisionError), phase("training"), phase("features"):
            clock(3 / 0)
        with phase("evaluation"):
            clock(1)

    assert seconds == {"features": 0, "training": 0, "evaluation": 1}


def test_a_run_within_a_run_has_its_own(clock):
    with phases() as outer:
        with phase("plain_models"), phases() as inner, phase("data"):
            clock(5)
        clock(1)

    assert (outer, inner) == ({"plain_models": 5}, {"data": 5})


def test_without_anyone_who_asks_nothing_is_timed(clock):
    with phase("data"):
        clock(1)


def test_other_threads_do_not_count(clock):
    def work():
        with phase("preview"):
            clock(5)

    with phases() as seconds, phase("training"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert seconds == {"training": 5}

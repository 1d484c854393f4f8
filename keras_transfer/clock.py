"""The system clock, as far as files depend on it, and how long something takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from keras_transfer.errors import BadConfiguration

__all__ = ["check_clock", "phase", "phases", "timed"]

YEARS = range(1980, 2108)
"""Years that a ZIP archive can hold, which a .keras file is."""


def check_clock() -> None:
    """Check that files can be written with today's date.

    Raises:
        BadConfiguration: They cannot: the clock is not set.
    """
    today = time.localtime(time.time())
    if today.tm_year not in YEARS:
        raise BadConfiguration(
            f"The system clock says {time.strftime('%Y-%m-%d', today)}. Models are ZIP archives, "
            f"which hold dates from {YEARS[0]} to {YEARS[-1]} only. Set the clock, then give the "
            "command again."
        )


@contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Write down how long the block takes, by its name."""
    began = time.perf_counter()
    yield
    seconds[what] = round(time.perf_counter() - began, 3)


class _Phases:
    """Seconds by phase. Those of a phase inside of another one count for the inner one only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.inner: list[float] = []

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        self.inner.append(0.0)
        try:
            yield
        finally:
            took = time.perf_counter() - began
            own = took - self.inner.pop()
            self.seconds[name] = round(self.seconds.get(name, 0.0) + own, 3)
            if self.inner:
                self.inner[-1] += took


# A variable of the context: another thread, such as that of the preview, has none.
_phases: ContextVar[_Phases | None] = ContextVar("phases", default=None)


@contextmanager
def phases() -> Iterator[dict[str, float]]:
    """Write down how long each ``phase`` within the block takes.

    Yields:
        Seconds by the name of a phase, so far; none counts twice.
    """
    recorded = _Phases()
    token = _phases.set(recorded)
    try:
        yield recorded.seconds
    finally:
        _phases.reset(token)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """A part of what the program does; where nobody asks for ``phases`` it is not timed."""
    recorded = _phases.get()
    if recorded is None:
        yield
        return
    with recorded.during(name):
        yield

"""Listeners to a training run, such as a search that may prune it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["listening", "report"]

Listener = Callable[[list[dict[str, Any]]], None]

# A plain global would also send the runs of other threads to this listener.
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Call a function with the rows of the history so far; it may raise.

    It is called when training begins or is resumed, and after each epoch.

    None: nobody is told, as in a run for comparison inside the run that is listened to.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(rows: list[dict[str, Any]]) -> None:
    """Tell the listener, if there is one."""
    listener = _listener.get()
    if listener is not None:
        listener(rows)

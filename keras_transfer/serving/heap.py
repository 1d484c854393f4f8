"""Memory of the process: what is given back to the system, and what is collected."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable

__all__ = ["Trimmer", "settle"]

PAUSE = 1.0  # seconds between two calls, which take some milliseconds each


def _malloc_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # no glibc: musl, macOS, Windows
        return None


class Trimmer:
    """Gives memory back after large pieces of work, at most once a second."""

    def __init__(self) -> None:
        self._trim, self._last = _malloc_trim(), 0.0

    def __call__(self) -> None:
        """Give back what can be given back, unless that was done just now."""
        if self._trim is not None and time.monotonic() - self._last >= PAUSE:
            self._trim(0)
            self._last = time.monotonic()


def settle() -> None:
    """Collect garbage, and keep what lives on out of later collections.

    TensorFlow and a model are a million objects. Each full collection would go through all of them
    and stop every thread for a third of a second, and one large JSON document sets it off.
    """
    gc.unfreeze()  # a version that has been dropped is garbage with cycles
    gc.collect()
    gc.freeze()

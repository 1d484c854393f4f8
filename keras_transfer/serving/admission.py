"""What may be held and worked on at once, over all requests."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from keras_transfer.serving.errors import RequestError

__all__ = ["Budget", "RequestContext", "Workers", "current_request"]

_CURRENT: contextvars.ContextVar[RequestContext | None] = contextvars.ContextVar(
    "request", default=None
)


class RequestContext:
    """How long a request is worth working on.

    Args:
        seconds: Until it is late.
    """

    def __init__(self, seconds: float):
        # monotonic: a clock that is set back or forward must not change a wait.
        self.deadline = time.monotonic() + seconds
        self.gone = False

    @property
    def left(self) -> float:
        """Seconds until it is late; 0 where it is."""
        return max(0.0, self.deadline - time.monotonic())

    def leave(self) -> None:
        """Note that nobody waits for the answer any more."""
        self.gone = True

    def check(self) -> None:
        """Stop here if the answer is of no use.

        Raises:
            RequestError: The client is gone, or it is late.
        """
        if self.gone or not self.left:
            raise RequestError("UNAVAILABLE", "The request took too long")

    @contextmanager
    def entered(self) -> Iterator[RequestContext]:
        """Make it the current request of what is called inside."""
        token = _CURRENT.set(self)
        try:
            yield self
        finally:
            self.leave()
            _CURRENT.reset(token)


def current_request(seconds: float) -> RequestContext:
    """The request that is being answered; a new one of so many seconds where there is none."""
    return _CURRENT.get() or RequestContext(seconds)


class Budget:
    """An amount that all requests share, such as bytes of bodies or pixels to decode.

    A quarter is kept for small requests, so that a few large ones do not keep them out.

    Args:
        limit: How much may be held at once.
    """

    def __init__(self, limit: int):
        self.limit, self.small = limit, limit // 64
        self.held = 0
        self._lock = threading.Lock()

    def fits(self, amount: int, whole: int | None = None) -> bool:
        """Whether so much more may be held now.

        Args:
            amount: What is to be added.
            whole: What the request needs in total, if it is more.
        """
        large = (amount if whole is None else whole) > self.small
        most = self.limit - self.limit // 4 if large else self.limit
        return self.held + amount <= most or (not self.held and amount <= self.limit)

    def take(self, amount: int, whole: int | None = None) -> bool:
        """Hold so much more, if it fits."""
        with self._lock:
            fits = self.fits(amount, whole)
            self.held += amount if fits else 0
            return fits

    def give(self, amount: int) -> None:
        """Hold so much less."""
        with self._lock:
            self.held -= amount


class Workers:
    """Threads that read and write JSON, of a number that many clients do not raise.

    Large documents have a thread of their own, so that small ones pass them.

    Args:
        large: Bytes from which on a document is large.
    """

    def __init__(self, large: int = 1 << 20):
        self.large = large
        self._small = ThreadPoolExecutor(os.cpu_count() or 1, "json")
        self._large = ThreadPoolExecutor(1, "large-json")

    async def run(self, size: int, work: Callable[..., Any], *arguments: Any) -> Any:
        """Work on a document of so many bytes; nothing is done if this is cancelled in time."""
        pool = self._large if size > self.large else self._small
        run = contextvars.copy_context().run  # the pool's threads have a context of their own
        return await asyncio.get_running_loop().run_in_executor(pool, run, work, *arguments)

    def close(self) -> None:
        """Drop what waits."""
        for pool in (self._small, self._large):
            pool.shutdown(wait=False, cancel_futures=True)

"""Requests that wait for each other for a moment, and are answered together."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.models import Model, Tensors

__all__ = ["Batcher"]

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True, eq=False)
class _Request:
    model: Model
    signature: str
    inputs: Tensors
    deadline: float
    # monotonic: a clock that is set back or forward must not change a wait.
    arrival: float = field(default_factory=time.monotonic)
    answer: Future = field(default_factory=Future)

    @property
    def size(self) -> int:
        """Examples in it."""
        return max((len(one) for one in self.inputs.values() if one.ndim), default=1)

    @property
    def kind(self) -> object:
        """Requests of one kind can be put together."""
        # The request itself is unlike any other, so it stays alone.
        if not self.model.signature(self.signature).batched:
            return self
        shapes = tuple((name, one.shape[1:]) for name, one in sorted(self.inputs.items()))
        # By identity: while versions are switched, two models have the same name.
        return id(self.model), self.signature, shapes


class Batcher:
    """A bounded queue and the thread that empties it.

    Batches form by themselves while the thread is busy; ``max_wait`` makes it wait for more.

    Args:
        max_batch: Most examples that are answered together; a request with more goes
            alone, piece by piece.
        max_wait: Seconds that the first of a batch waits for others.
        max_queue: Examples that may wait; further requests are refused at once.
    """

    def __init__(self, max_batch: int = 32, max_wait: float = 0.0, max_queue: int = 256):
        self.max_batch, self.max_wait, self.max_queue = max_batch, max_wait, max_queue
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        # A daemon, so that a server that fails to start can still exit.
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Examples in the queue."""
        # A copy: the metrics read it without the lock, and a deque must not change while it is
        # iterated.
        return sum(one.size for one in list(self._waiting))

    def submit(self, model: Model, signature: str, inputs: Tensors, timeout: float) -> Future:
        """Queue a request.

        Args:
            model: Who is to answer.
            signature: By which of its signatures.
            inputs: By name.
            timeout: Seconds until nobody waits for the answer any more.

        Returns:
            The answer to come: outputs by name.

        Raises:
            Refused: Too many are waiting.
        """
        request = _Request(model, signature, inputs, time.monotonic() + timeout)
        with self._changed:
            # An empty queue takes any request: the service limits its size, and waiting would not
            # help.
            if self._closed or (self._waiting and self.waiting + request.size > self.max_queue):
                raise RequestError("UNAVAILABLE", "Too many requests are waiting; try again later")
            self._waiting.append(request)
            self._changed.notify()
        return request.answer

    def close(self) -> None:
        """Answer what waits, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            # Requests whose client has gone are dropped; the others cannot be cancelled from here
            # on.
            alive = [one for one in batch if one.answer.set_running_or_notify_cancel()]
            now = time.monotonic()
            late = [one for one in alive if one.deadline < now]
            for one in late:
                _settle(one, RequestError("UNAVAILABLE", "The request waited too long"))
            self._answer([one for one in alive if one not in late])

    def _next(self) -> list[_Request]:
        """Wait for a request, and for those that go with it; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return []
            first = self._waiting[0]
            if self.max_wait:
                rest = first.arrival + self.max_wait - time.monotonic()
                self._changed.wait_for(lambda: self._full(first) or self._closed, max(rest, 0))
            batch = self._alike(first)
            for one in batch:
                self._waiting.remove(one)
            return batch

    def _alike(self, first: _Request) -> list[_Request]:
        batch, size, kind = [first], first.size, first.kind
        for one in list(self._waiting)[1:]:
            if one.kind == kind and size + one.size <= self.max_batch:
                batch.append(one)
                size += one.size
        return batch

    def _full(self, first: _Request) -> bool:
        return sum(one.size for one in self._alike(first)) >= self.max_batch

    def _answer(self, batch: Sequence[_Request]) -> None:
        try:
            answers = _together(batch, self.max_batch)
        except Exception as error:
            if len(batch) > 1:  # one of them is at fault: the others shall not suffer for it
                for one in batch:
                    self._answer([one])
                return
            if not isinstance(error, RequestError):
                logger.exception("A request failed")
                error = RequestError("INVALID_ARGUMENT", f"{type(error).__name__}: {error}")
            for one in batch:
                _settle(one, error)
            return
        for one, answer in zip(batch, answers, strict=True):
            _settle(one, answer)


def _settle(request: _Request, answer: Tensors | RequestError) -> None:
    with suppress(InvalidStateError):  # nobody waits any more
        if isinstance(answer, RequestError):
            request.answer.set_exception(answer)
        else:
            request.answer.set_result(answer)


def _together(batch: Sequence[_Request], most: int) -> list[Tensors]:
    if not batch:
        return []
    first = batch[0]
    if len(batch) == 1:
        return [_alone(first, most)]
    inputs = {name: np.concatenate([one.inputs[name] for one in batch]) for name in first.inputs}
    outputs = first.model.run(first.signature, inputs)
    ends = np.cumsum([one.size for one in batch])
    if any(one.ndim == 0 or len(one) != ends[-1] for one in outputs.values()):
        raise ValueError("an output has no row for each input")  # then each request goes alone
    parts = {name: np.split(one, ends[:-1]) for name, one in outputs.items()}
    return [{name: rows[place] for name, rows in parts.items()} for place in range(len(batch))]


def _alone(request: _Request, most: int) -> Tensors:
    """Answer one request, in pieces if it is larger than a batch: memory goes with the piece."""
    run, name, inputs = request.model.run, request.signature, request.inputs
    even = all(one.ndim and len(one) == request.size for one in inputs.values())
    if request.size <= most or not even or not request.model.signature(name).batched:
        return run(name, inputs)
    pieces = []
    for start in range(0, request.size, most):
        part = {key: one[start : start + most] for key, one in inputs.items()}
        pieces.append(run(name, part))
        rows = min(most, request.size - start)
        if any(one.ndim == 0 or len(one) != rows for one in pieces[-1].values()):
            return run(name, inputs)  # it does not answer row by row
    return {key: np.concatenate([one[key] for one in pieces]) for key in pieces[0]}

"""Requests that wait for each other for a moment, and are answered together."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from keras_transfer.serving.admission import RequestContext
from keras_transfer.serving.boundary import refusal
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.heap import Trimmer
from keras_transfer.serving.models import Model, Tensors

__all__ = ["Batcher", "Check"]

PIXELS = 8_000_000 * (os.cpu_count() or 1)
"""Of a batch: what a machine decodes in a fraction of a second, for images are decoded at once."""

LARGE = 1_000_000
"""Pixels of a batch after which its memory is given back."""

JOIN = 5.0  # seconds for what is being computed when the server ends

Check = Callable[[Tensors], Tensors]


@dataclass(frozen=True, eq=False)
class _Request:
    model: Model
    signature: str
    inputs: Tensors
    context: RequestContext
    costs: np.ndarray
    check: Check
    arrival: float = field(default_factory=time.monotonic)
    answer: Future = field(default_factory=Future)

    @property
    def size(self) -> int:
        """Examples in it."""
        return len(self.costs)

    @property
    def cost(self) -> int:
        """Pixels that it decodes to."""
        return int(self.costs.sum())

    @property
    def is_expired(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.context.gone or not self.context.left

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
    """A bounded queue and the two threads that empty it.

    Batches form by themselves while a thread is busy; ``max_wait`` makes it wait for more. Large
    requests have a lane of their own, where they are answered piece by piece: small ones pass them.

    Args:
        max_batch: Most examples that are answered together; a request with more is large.
        max_wait: Seconds that the first of a batch waits for others.
        max_queue: Examples that may wait in each lane; further requests are refused at once.
        max_pixels: Pixels that a batch decodes to, if it is of several examples; a request with
            more than a quarter of it is large.
    """

    def __init__(
        self,
        max_batch: int = 32,
        max_wait: float = 0.0,
        max_queue: int = 256,
        max_pixels: int = PIXELS,
    ):
        self.max_batch, self.max_queue, self.max_pixels = max_batch, max_queue, max_pixels
        self._closed = False
        self._lock = threading.Lock()
        self._small = _Lane("batcher", max_batch, max_pixels, max_wait)
        self._large = _Lane("large-batcher", max_batch, max_pixels, 0.0)
        self._lanes = (self._small, self._large)

    @property
    def waiting(self) -> int:
        """Examples in the queue."""
        return sum(lane.waiting for lane in self._lanes)

    def full(self) -> bool:
        """Whether even a small request would be refused."""
        self._drop_expired()
        return self._closed or self._small.waiting >= self.max_queue

    def _drop_expired(self) -> None:
        for lane in self._lanes:
            lane.drop_expired()

    def is_large(self, costs: np.ndarray) -> bool:
        """Whether a request with examples of these pixels goes alone, and is checked there."""
        return len(costs) > self.max_batch or int(costs.sum()) > self.max_pixels // 4

    def submit(
        self,
        model: Model,
        signature: str,
        inputs: Tensors,
        context: RequestContext,
        *,
        costs: np.ndarray | None = None,
        check: Check = dict,
    ) -> Future:
        """Queue a request.

        Args:
            model: Who is to answer.
            signature: By which of its signatures.
            inputs: By name.
            context: Until when, and whether at all, somebody waits for the answer.
            costs: (examples,) pixels that each decodes to; None for none.
            check: Makes of a part of a large request's inputs what the model takes, or refuses it.

        Returns:
            The answer to come: outputs by name.

        Raises:
            RequestError: Too many are waiting.
        """
        if costs is None:
            rows = max((len(one) for one in inputs.values() if one.ndim), default=1)
            costs = np.zeros(rows, "int64")
        lane = self._large if self.is_large(costs) else self._small
        request = _Request(model, signature, inputs, context, costs, check)
        self._drop_expired()
        with self._lock:
            # Each lane by itself: a large request shall not take all places of small ones.
            waiting = lane.waiting
            # An empty queue takes any request: the service limits its size, and waiting would not
            # help.
            if self._closed or (waiting and waiting + request.size > self.max_queue):
                raise RequestError("UNAVAILABLE", "Too many requests are waiting; try again later")
            lane.put(request)
        return request.answer

    def close(self) -> None:
        """Refuse what waits, and stop; who is to be answered still has been waited for."""
        with self._lock:
            self._closed = True
        for lane in self._lanes:
            lane.close()
        deadline = time.monotonic() + JOIN
        for lane in self._lanes:
            lane.join(max(0.0, deadline - time.monotonic()))


class _Lane:
    """A queue and the thread that empties it."""

    def __init__(self, name: str, max_batch: int, max_pixels: int, max_wait: float):
        self.max_batch, self.max_pixels, self.max_wait = max_batch, max_pixels, max_wait
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closed, self._trim = False, Trimmer()
        # A daemon, so that a server that fails to start can still exit.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        # A copy: the metrics read it without the lock, and a deque must not change while it is
        # iterated.
        return sum(one.size for one in list(self._waiting))

    def put(self, request: _Request) -> None:
        with self._changed:
            self._waiting.append(request)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for one in left:
            _settle(one, RequestError("UNAVAILABLE", "The server ends"))

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def drop_expired(self) -> None:
        """Make room: who is late or gone no longer counts as waiting."""
        with self._changed:
            late = [one for one in self._waiting if one.is_expired]
            for one in late:
                self._waiting.remove(one)
        for one in late:
            _settle(one, RequestError("UNAVAILABLE", "The request waited too long"))

    def _work(self) -> None:
        while batch := self._next():
            # Requests whose client has gone are dropped; the others cannot be cancelled from here
            # on.
            alive = [one for one in batch if one.answer.set_running_or_notify_cancel()]
            late = [one for one in alive if one.is_expired]
            for one in late:
                _settle(one, RequestError("UNAVAILABLE", "The request waited too long"))
            self._answer([one for one in alive if one not in late])
            if sum(one.cost for one in batch) > LARGE:
                self._trim()

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
            if self._closed:
                return []
            batch = self._alike(first)
            for one in batch:
                self._waiting.remove(one)
            return batch

    def _alike(self, first: _Request) -> list[_Request]:
        batch, size, cost, kind = [first], first.size, first.cost, first.kind
        for one in list(self._waiting)[1:]:
            fits = size + one.size <= self.max_batch and cost + one.cost <= self.max_pixels
            if fits and one.kind == kind:
                batch.append(one)
                size, cost = size + one.size, cost + one.cost
        return batch

    def _full(self, first: _Request) -> bool:
        return sum(one.size for one in self._alike(first)) >= self.max_batch

    def _answer(self, batch: Sequence[_Request]) -> None:
        try:
            answers = _together(batch, self.max_batch, self.max_pixels)
        except Exception as error:
            if len(batch) > 1:  # one of them is at fault: the others shall not suffer for it
                for one in batch:
                    self._answer([one])
                return
            for one in batch:
                _settle(one, refusal(error))
            return
        for one, answer in zip(batch, answers, strict=True):
            _settle(one, answer)


def _settle(request: _Request, answer: Tensors | RequestError) -> None:
    with suppress(InvalidStateError):  # nobody waits any more
        if isinstance(answer, RequestError):
            request.answer.set_exception(answer)
        else:
            request.answer.set_result(answer)


def _together(batch: Sequence[_Request], most: int, pixels: int) -> list[Tensors]:
    if not batch:
        return []
    first = batch[0]
    if len(batch) == 1:
        return [_alone(first, most, pixels)]
    inputs = {name: np.concatenate([one.inputs[name] for one in batch]) for name in first.inputs}
    outputs = first.model.run(first.signature, inputs)
    ends = np.cumsum([one.size for one in batch])
    if any(one.ndim == 0 or len(one) != ends[-1] for one in outputs.values()):
        raise ValueError("an output has no row for each input")  # then each request goes alone
    parts = {name: np.split(one, ends[:-1]) for name, one in outputs.items()}
    return [{name: rows[place] for name, rows in parts.items()} for place in range(len(batch))]


def _alone(request: _Request, most: int, pixels: int) -> Tensors:
    """Answer one request, in pieces if it is large: memory goes with the piece."""
    inputs = request.inputs
    pieces = _pieces(request.costs, most, pixels)
    even = all(one.ndim and len(one) == request.size for one in inputs.values())
    if len(pieces) <= 1 or not even or not request.model.signature(request.signature).batched:
        return _run(request, inputs)
    answers = []
    for start, end in pieces:
        request.context.check()
        answers.append(_run(request, {key: one[start:end] for key, one in inputs.items()}))
        if any(one.ndim == 0 or len(one) != end - start for one in answers[-1].values()):
            return _run(request, inputs)  # it does not answer row by row
    return {key: np.concatenate([one[key] for one in answers]) for key in answers[0]}


def _run(request: _Request, inputs: Tensors) -> Tensors:
    return request.model.run(request.signature, request.check(inputs))


def _pieces(costs: np.ndarray, most: int, pixels: int) -> list[tuple[int, int]]:
    """Begin and end of parts of at most so many examples and pixels; one example at least."""
    pieces, start, cost = [], 0, 0
    for place, one in enumerate(costs.tolist()):
        if place > start and (place - start == most or cost + one > pixels):
            pieces.append((start, place))
            start, cost = place, 0
        cost += one
    return [*pieces, (start, len(costs))]

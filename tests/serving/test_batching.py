"""The queue: who is answered with whom, and who is refused."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from keras_transfer.serving.admission import RequestContext
from keras_transfer.serving.batching import Batcher
from keras_transfer.serving.errors import RequestError


class Doubling:
    """Answers with twice the input; notes the batches; minds 13; can be held up."""

    def __init__(self):
        self.batches, self.go, self.busy = [], threading.Event(), threading.Event()
        self.go.set()

    def signature(self, name):
        return SimpleNamespace(batched=name != "alone")

    def run(self, name, inputs):
        self.busy.set()
        assert self.go.wait(30)
        x = inputs["x"]
        self.batches.append(len(x))
        if 13 in x:
            raise RequestError("INVALID_ARGUMENT", "13")
        return {"y": 2 * x}


@pytest.fixture
def held():
    """A model that is busy with a first request until ``go`` is set."""
    model = Doubling()
    model.go.clear()
    return model


def ask(batcher, model, *numbers, name="f", timeout=30.0):
    return batcher.submit(model, name, {"x": np.array(numbers)}, RequestContext(timeout))


def answer(future):
    return future.result(30)["y"].tolist()


def test_what_waits_is_answered_together_and_each_gets_its_own(held):
    batcher = Batcher(max_batch=8)
    first = ask(batcher, held, 1)
    held.busy.wait(30)
    others = [ask(batcher, held, n, n + 1) for n in (10, 20, 30)]
    held.go.set()

    assert answer(first) == [2]
    assert [answer(one) for one in others] == [[20, 22], [40, 42], [60, 62]]
    assert held.batches == [1, 6]
    batcher.close()


def test_no_batch_is_larger_than_allowed(held):
    batcher = Batcher(max_batch=3)
    futures = [ask(batcher, held, 0)]
    held.busy.wait(30)
    futures += [ask(batcher, held, n) for n in range(7)] + [ask(batcher, held, 1, 2, 3, 4)]
    held.go.set()

    for future in futures:
        future.result(30)
    assert sum(held.batches) == 12
    assert sorted(held.batches) == [1, 1, 1, 3, 3, 3]  # the four go alone, as three and one
    batcher.close()


def test_requests_of_other_kinds_are_not_mixed(held):
    batcher = Batcher()
    futures = [ask(batcher, held, 0)]
    held.busy.wait(30)
    futures += [ask(batcher, held, 1), ask(batcher, held, 2, name="g"), ask(batcher, held, 3)]
    futures += [ask(batcher, held, 4, name="alone"), ask(batcher, held, 5, name="alone")]
    held.go.set()

    assert [answer(one) for one in futures] == [[0], [2], [4], [6], [8], [10]]
    assert held.batches == [1, 2, 1, 1, 1]
    batcher.close()


def test_one_bad_request_does_not_spoil_the_others(held):
    batcher = Batcher()
    futures = [ask(batcher, held, 0)]
    held.busy.wait(30)
    futures += [ask(batcher, held, n) for n in (12, 13, 14)]
    held.go.set()

    assert [answer(one) for one in (futures[0], futures[1], futures[3])] == [[0], [24], [28]]
    with pytest.raises(RequestError, match="13"):
        futures[2].result(30)
    batcher.close()


def test_a_full_queue_refuses_at_once(held):
    batcher = Batcher(max_queue=2)
    futures = [ask(batcher, held, 0)]
    held.busy.wait(30)
    futures += [ask(batcher, held, 1), ask(batcher, held, 2)]

    assert batcher.waiting == 2
    with pytest.raises(RequestError, match="Too many") as caught:
        ask(batcher, held, 3)
    assert caught.value.code == "UNAVAILABLE"
    held.go.set()
    assert [answer(one) for one in futures] == [[0], [2], [4]]
    batcher.close()


def test_who_waited_too_long_is_not_computed(held):
    batcher = Batcher()
    first = ask(batcher, held, 0)
    held.busy.wait(30)
    late = ask(batcher, held, 1, timeout=-1.0)
    held.go.set()

    answer(first)
    with pytest.raises(RequestError, match="too long"):
        late.result(30)
    assert held.batches == [1]
    batcher.close()


def test_who_has_gone_is_not_computed(held):
    batcher = Batcher()
    first = ask(batcher, held, 0)
    held.busy.wait(30)
    gone, last = ask(batcher, held, 1), ask(batcher, held, 2)
    assert gone.cancel()
    held.go.set()

    assert (answer(first), answer(last)) == ([0], [4])
    assert held.batches == [1, 1]
    batcher.close()


def test_it_may_wait_for_others_to_come():
    model = Doubling()
    batcher = Batcher(max_batch=2, max_wait=60.0)

    futures = [ask(batcher, model, 1), ask(batcher, model, 2)]  # full before the minute is over

    assert [answer(one) for one in futures] == [[2], [4]]
    assert model.batches == [2]
    batcher.close()


def test_many_clients_get_each_their_own():
    model, batcher = Doubling(), Batcher(max_batch=16, max_queue=10_000)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: answer(ask(batcher, model, n)), range(14, 500)))

    assert found == [[2 * n] for n in range(14, 500)]
    batcher.close()


def test_a_closed_queue_refuses(held):
    held.go.set()
    batcher = Batcher()
    batcher.close()

    with pytest.raises(RequestError):
        ask(batcher, held, 1)

"""What requests may cost together, who passes whom, and what is dropped."""

import base64
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from keras_transfer.serving import connections
from keras_transfer.serving.admission import Budget, RequestContext
from keras_transfer.serving.batching import Batcher
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.grpc_api import build_grpc
from keras_transfer.serving.rest import build_app
from keras_transfer.serving.service import Limits

ASK = "/v1/models/colours:predict"


def encoded(width, height, form="webp", **options):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, form, **options)
    return file.getvalue()


def rows(*contents):
    return {"instances": [{"b64": base64.b64encode(one).decode()} for one in contents]}


def test_a_quarter_of_a_budget_is_left_to_small_amounts():
    budget = Budget(6400)  # small: at most 100

    assert budget.take(4700)
    assert not budget.take(101)  # 4,801 would be more than three quarters
    assert budget.take(100)
    assert [budget.take(100) for _ in range(17)] == [True] * 16 + [False]
    assert budget.held == 6400
    budget.give(6400)
    assert budget.take(6400)  # the only one may have all
    assert not budget.take(1)


def test_who_is_large_in_all_is_large_in_each_part():
    budget = Budget(6400)

    assert budget.take(4750, whole=4750)
    assert not budget.take(100, whole=5000)
    assert budget.take(100, whole=100)


PIXELS = 16_000_000
"""Of a batch; a request with more than 4 million is large."""


class Model:
    """Answers with its input; waits at values above 99 until ``go`` is set."""

    def __init__(self):
        self.go, self.busy, self.ran = threading.Event(), threading.Event(), []

    def signature(self, name):
        return SimpleNamespace(batched=True)

    def run(self, name, inputs):
        if inputs["x"].max() > 99:
            self.busy.set()
            assert self.go.wait(30)
        self.ran.append(inputs["x"].tolist())
        return dict(inputs)


def submit(batcher, model, numbers, pixels=0, seconds=30.0, **options):
    context = RequestContext(seconds)
    costs = np.full(len(numbers), pixels)
    answer = batcher.submit(model, "f", {"x": np.array(numbers)}, context, costs=costs, **options)
    return answer, context


def test_small_requests_pass_a_large_one():
    model, batcher = Model(), Batcher(max_pixels=PIXELS)
    large, _ = submit(batcher, model, [100, 1], pixels=10_000_000)
    assert model.busy.wait(30)
    small, _ = submit(batcher, model, [2], pixels=1_000_000)

    assert small.result(30)["x"].tolist() == [2]
    assert not large.done()
    model.go.set()
    assert large.result(30)["x"].tolist() == [100, 1]
    assert model.ran == [[2], [100], [1]]  # 20 million pixels go in two pieces
    batcher.close()


def test_large_requests_that_wait_take_no_places_of_small_ones():
    model, batcher = Model(), Batcher(max_batch=1, max_queue=3)
    running, _ = submit(batcher, model, [100, 1])
    assert model.busy.wait(30)
    waiting, _ = submit(batcher, model, [1, 2, 3])

    assert not batcher.full()
    with pytest.raises(RequestError, match="Too many"):
        submit(batcher, model, [4, 5])
    small, _ = submit(batcher, model, [6])
    assert small.result(30)["x"].tolist() == [6]
    model.go.set()
    assert waiting.result(30)["x"].tolist() == [1, 2, 3]
    assert running.done()
    batcher.close()


def test_a_batch_holds_no_more_pixels_than_allowed():
    """16 million: images of 4 million go by fours."""
    model, batcher = Model(), Batcher(max_pixels=PIXELS)
    first, _ = submit(batcher, model, [100])
    assert model.busy.wait(30)
    answers = [submit(batcher, model, [n], pixels=4_000_000)[0] for n in range(5)]
    model.go.set()

    assert [one.result(30)["x"].tolist() for one in answers] == [[n] for n in range(5)]
    assert model.ran == [[100], [0, 1, 2, 3], [4]]
    assert first.done()
    batcher.close()


@pytest.mark.parametrize("end", ["gone", "late"])
def test_a_large_request_ends_when_nobody_waits_for_it(end):
    model, batcher = Model(), Batcher(max_pixels=PIXELS)
    large, context = submit(batcher, model, [100, 1, 2], pixels=10_000_000)
    assert model.busy.wait(30)
    if end == "gone":
        context.leave()
    else:
        context.deadline = 0
    model.go.set()

    with pytest.raises(RequestError, match="too long"):
        large.result(30)
    assert model.ran == [[100]]
    batcher.close()


def test_who_has_gone_takes_no_place_in_the_queue():
    model, batcher = Model(), Batcher(max_queue=2)
    first, _ = submit(batcher, model, [100])
    assert model.busy.wait(30)
    contexts = [submit(batcher, model, [n])[1] for n in (1, 2)]
    assert batcher.full()
    contexts[0].leave()
    assert not batcher.full()
    last, _ = submit(batcher, model, [3])
    model.go.set()

    assert last.result(30)["x"].tolist() == [3]
    assert first.done()
    batcher.close()


def test_a_large_request_is_checked_piece_by_piece():
    def check(inputs):
        if 1 in inputs["x"]:
            raise RequestError("INVALID_ARGUMENT", "one")
        return inputs

    model, batcher = Model(), Batcher(max_pixels=PIXELS)
    large, _ = submit(batcher, model, [3, 1, 2], pixels=10_000_000, check=check)

    with pytest.raises(RequestError, match="one"):
        large.result(30)
    assert model.ran == [[3]]
    batcher.close()


def test_the_end_of_the_server_refuses_what_waits():
    model, batcher = Model(), Batcher(max_pixels=PIXELS)
    running, _ = submit(batcher, model, [100])
    assert model.busy.wait(30)
    waiting = [submit(batcher, model, [n])[0] for n in range(3)]
    closing = threading.Thread(target=batcher.close)
    closing.start()

    for one in waiting:
        with pytest.raises(RequestError, match="ends"):
            one.result(30)
    model.go.set()
    closing.join(30)
    assert running.result(0)["x"].tolist() == [100]
    with pytest.raises(RequestError, match="Too many"):
        submit(batcher, model, [1])


@pytest.fixture(scope="module")
def bounded(make_service, saved):
    """A server for 100,000 pixels a request and 150,000 in the queue."""
    limits = Limits(pixels=60_000, request_pixels=100_000, queue_pixels=150_000)
    return make_service(saved.folder.parent, limits)


@pytest.mark.parametrize("form", ["webp", "png", "jpeg", "bmp", "gif"])
def test_the_pixels_of_a_request_are_bounded(bounded, form):
    client = TestClient(build_app(bounded))
    one = encoded(250, 200, form)

    assert client.post(ASK, json=rows(one, one)).status_code == 200  # exactly 100,000
    found = client.post(ASK, json=rows(one, one, encoded(2, 2, form)))

    assert found.status_code == 413
    assert "100,004 pixels, over 100,000 (--max-request-pixels)" in found.json()["error"]
    assert bounded.pixels.held == 0


def test_the_pixels_of_examples_are_counted_too(bounded):
    client = TestClient(build_app(bounded))
    value = rows(encoded(250, 200))["instances"][0]
    document = {"signature_name": "classify", "examples": [{"image_bytes": value}] * 3}

    found = client.post("/v1/models/colours:classify", json=document)

    assert (found.status_code, "150,000 pixels" in found.text) == (413, True)


def test_grpc_says_that_the_request_is_too_large(bounded):
    server, port = build_grpc(bounded, "127.0.0.1:0")
    server.start()
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = "colours"
    tensor = asked.inputs["image_bytes"]
    tensor.dtype = 7
    tensor.tensor_shape.dim.add(size=3)
    tensor.string_val.extend([encoded(250, 200)] * 3)
    with (
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(asked)
    server.stop(None)

    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "--max-request-pixels" in caught.value.details()


@pytest.fixture
def held(make_service, saved):
    """A service whose model waits until ``go`` is set."""
    limits = Limits(pixels=60_000, request_pixels=100_000, queue_pixels=150_000, seconds=20.0)
    service = make_service(saved.folder.parent, limits)
    model = service.versions.get("colours")
    go, busy, run = threading.Event(), threading.Event(), model.run

    def waiting(signature, inputs):
        busy.set()
        assert go.wait(30)
        return run(signature, inputs)

    model.run = waiting
    yield SimpleNamespace(service=service, go=go, busy=busy)
    go.set()


def test_the_pixels_of_the_queue_are_bounded(held):
    client = TestClient(build_app(held.service))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, ASK, json=rows(encoded(250, 200), encoded(250, 200)))
        assert held.busy.wait(30)
        refused = client.post(ASK, json=rows(encoded(250, 200)))
        held.go.set()
        assert first.result(30).status_code == 200

    assert refused.status_code == 503
    assert "100,000 pixels are waiting, of at most 150,000 (--max-queue-pixels)" in refused.text
    assert client.post(ASK, json=rows(encoded(250, 200))).status_code == 200


def test_who_hangs_up_is_not_computed(held, at_address):
    """The first request is at the model, the second waits; both clients go."""
    body = json.dumps(rows(encoded(20, 20))).encode()
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head = head % ASK.encode() + b"Content-Length: %d\r\n\r\n" % len(body)
    with at_address(held.service) as address:
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        clients = []
        for number in (1, 2):
            client = socket.create_connection((host, int(port)))
            client.sendall(head + body)
            clients.append(client)
            assert number == 2 or held.busy.wait(30)
        until(lambda: held.service.batcher.waiting == 1)
        for client in clients:
            client.close()
        until(lambda: held.service.bodies.held == 0)
        held.go.set()
        until(lambda: held.service.batcher.waiting == 0 and held.service.pixels.held == 0)

    text = held.service.metrics.page().decode()
    assert 'status="CANCELLED"} 2.0' in text
    assert 'status="OK"' not in text


def until(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_full_queue_refuses_before_the_body_is_read(make_service, saved, at_address):
    service = make_service(saved.folder.parent, max_queue=1)
    service.pixels.take(service.pixels.limit)
    with at_address(service) as address:
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(
                b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n" % ASK.encode()
            )
            status = client.makefile("rb").readline()  # neither "100 Continue", nor a wait

    assert b" 503 " in status


def test_the_bytes_of_all_bodies_are_bounded(make_service, saved, at_address):
    """Of 12 bodies of 100 kB each that are sent to the last byte but one, 300 kB are held."""
    service = make_service(saved.folder.parent, Limits(body=100_000, bodies=400_000))
    with at_address(service) as address:
        found = []
        for _ in range(12):
            found.append(Unfinished(address, 100_000))
            until(lambda: sum(one.refused() for one in found) == max(0, len(found) - 3))
            until(lambda: service.bodies.held == min(len(found), 3) * 99_999)
        small = json.dumps(rows(encoded(20, 20))).encode()  # a quarter is left for these
        answer = Unfinished(address, len(small), small)
        assert b" 200 " in answer.file.readline()
        for one in (*found, answer):
            one.close()
        until(lambda: service.bodies.held == 0)


class Unfinished:
    """A request whose last byte does not come, unless the body is given."""

    def __init__(self, address, size, body=None):
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.file = self.socket.makefile("rb")
        head = (
            b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % (ASK.encode(), size)
        )
        self.socket.sendall(head + (b" " * (size - 1) if body is None else body))

    def refused(self):
        self.socket.setblocking(False)
        try:
            return b" 503 " in self.socket.recv(100, socket.MSG_PEEK)
        except BlockingIOError:
            return False

    def close(self):
        self.file.close()
        self.socket.close()


def test_slow_headers_are_not_waited_for(service, at_address, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    with at_address(service, http=connections.HttpConnection) as address:
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        clients = [socket.create_connection((host, int(port)), timeout=30) for _ in range(4)]
        clients[1].sendall(b"GET / HT")
        clients[2].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /")
        began = time.monotonic()
        while time.monotonic() - began < 20 and not closed(clients[3]):
            clients[3].sendall(b"G")
            time.sleep(0.1)
        assert time.monotonic() - began < 20
        assert clients[2].recv(4096).startswith(b"HTTP/1.1 200")
        assert [until_closed(one) for one in clients] == [True] * 4


def closed(client):
    client.setblocking(False)
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        client.settimeout(30)


def until_closed(client):
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        pass
    return True

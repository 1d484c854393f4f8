"""A server under requests that know the structure of what they break, and a client beside them."""

import base64
import http.client
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hostile import attack, lossless
from processes import KT

from keras_transfer.serving.grpc_api import build_grpc

logger = logging.getLogger(__name__)

REQUESTS = int(os.environ.get("KT_FUZZ_REQUESTS", "10000"))
"""Of the slow test."""


def test_hostile_requests_are_refused_with_a_text_of_ours_sample(service, at_address):
    server, grpc_port = build_grpc(service, "127.0.0.1:0")
    server.start()
    with at_address(service) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        found, bad = attack("127.0.0.1", port, grpc_port, 1, 250)
    server.stop(None)

    assert bad == []
    assert found["200"] > 0
    assert found["OK"] > 0
    assert service.pixels.held == service.bodies.held == service.batcher.waiting == 0


@pytest.fixture
def served(saved, tmp_path):
    """A function that starts a server: its process, port and gRPC port."""
    shutil.copytree(saved.folder, tmp_path / "colours" / "1")
    processes = []

    def start(*words):
        command = [*KT, "serve", str(tmp_path / "colours"), "--port", "0", "--grpc-port", "0"]
        log = (tmp_path / "log").open("w")
        process = subprocess.Popen([*command, *words], stderr=log, cwd=tmp_path)
        processes.append(process)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            text = (tmp_path / "log").read_text()
            if found := re.search(r"at http://[\d.]+:(\d+), gRPC at [\d.]+:(\d+)", text):
                return process, int(found[1]), int(found[2])
            time.sleep(0.1)
        raise AssertionError((tmp_path / "log").read_text())

    yield start
    for process in processes:
        process.kill()
        process.wait()


def ask(port, contents, timeout=60):
    """Status and seconds of a request for the classes of images."""
    rows = [{"b64": base64.b64encode(one).decode()} for one in contents]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {"Content-Type": "application/json"}
    began = time.monotonic()
    connection.request(
        "POST", "/v1/models/colours:predict", json.dumps({"instances": rows}), headers
    )
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, time.monotonic() - began


def resident(process):
    """MB that a process holds."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def p99(port, content, count=0, until=lambda: False):
    """Of the seconds of one request after the other; of so many, or until something has ended."""
    seconds = []
    while len(seconds) < count or (not count and not until()):
        status, taken = ask(port, [content])
        assert status == 200
        seconds.append(taken)
        time.sleep(0.02)
    return float(np.quantile(seconds, 0.99))


@pytest.mark.slow
def test_ten_thousand_hostile_requests_beside_a_client(served, images):
    """No unintended 5xx, at most 150 MB more, and a client that waits at most 5 times as long."""
    process, port, grpc_port = served()
    content = images.contents[0]
    p99(port, content, 100)
    hostile = Path(__file__).parents[1] / "hostile.py"

    def attacking(seed, count):
        words = [str(word) for word in ("127.0.0.1", port, grpc_port, seed, count)]
        return subprocess.Popen(
            [sys.executable, str(hostile), *words], stdout=subprocess.PIPE, text=True
        )

    # The first of each kind of request is traced, and the allocator grows: not counted.
    warm = attacking(0, min(300, REQUESTS))
    assert json.loads(warm.communicate()[0])[1] == []
    quiet, before = p99(port, content, 300), resident(process)
    attacker = attacking(1, REQUESTS)
    busy = p99(port, content, until=lambda: attacker.poll() is not None)
    found, bad = json.loads(attacker.communicate()[0])

    more = resident(process) - before
    logger.info("%s; p99 %.3f s, then %.3f s; %.0f MB more", found, quiet, busy, more)
    assert bad == []
    assert sum(found.values()) == REQUESTS
    assert more <= 150
    assert busy <= 5 * max(quiet, 0.05)


@pytest.mark.slow
def test_forty_bodies_at_once_cost_no_more_memory_than_the_budget(served):
    """31 MB each: 1.2 GB. The budget is 134 MB, and one is read at a time."""
    process, port, _ = served()
    text = base64.b64encode(os.urandom(23_000_000))
    body = b'{"instances": [{"b64": "' + text + b'"}]}'
    before = resident(process)

    def post(number):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        headers = {"Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/models/colours:predict", body, headers)
            return connection.getresponse().status
        except ConnectionError:  # refused while it was sent
            return 503
        finally:
            connection.close()

    with ThreadPoolExecutor(40) as pool:
        found = [*pool.map(post, range(40))]
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    logger.info("%s; at most %.0f MB more", sorted(found), peak - before)
    assert set(found) <= {400, 503}  # the bytes are no image
    assert 503 in found
    assert peak - before < 600


@pytest.mark.slow
def test_a_request_that_takes_a_minute_holds_up_neither_others_nor_the_end(served, images):
    """80 images of 81 million pixels; a request may take 10 seconds."""
    process, port, _ = served(
        *("--timeout", "10", "--max-request-pixels", str(10**10)),
        *("--max-queue-pixels", str(10**10)),
    )
    content = lossless(9000, 9000)
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(ask, port, [content] * 80)
        time.sleep(1)
        assert [ask(port, images.contents[:1])[0] for _ in range(5)] == [200] * 5
        assert not large.done()
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(120) == 0
        assert time.monotonic() - began < 10 + 1 + 5 + 4  # the request, the answer, the model
        assert large.result(30)[0] == 503

"""How many images a second ``kt-recipe serve`` answers, and how long a client waits.

``python -m benchmarks serve``: 1, 8 and 32 clients, each asking for one JPEG after the other over
REST, with requests put together and without (``--max-batch 1``); beside them one
``model.predict`` a request on a thread-safe Keras model, as tutorials serve one. The sides take
turns in one run. Answers are compared first: the same class for every image.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import operator
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._child import KT_RECIPE, ROOT, SHARED, WEIGHTS, run, run_recipe, setting
from benchmarks._report import report

COLUMNS = ("network", "clients", "side", "images/s", "times keras", "p50 ms", "p99 ms")
NETWORKS = {"mobilenet_v2": str(WEIGHTS), "resnet50": "none"}
KERAS_SERVER = Path(__file__).with_name("_keras_server.py")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks serve")
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--turns", type=int, default=3, help="of which the median counts")
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "cats_dogs")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    images = [path.read_bytes() for path in sorted((asked.data / "test").rglob("*.jpg"))[:64]]
    rows: list[list[Any]] = []
    for network in asked.network:
        with tempfile.TemporaryDirectory() as home, sides(network, asked.data, Path(home)) as ports:
            check(ports, images)
            for clients in asked.clients:
                rows += measured(network, clients, ports, images, asked)
    report("serve", COLUMNS, rows, options={k: str(v) for k, v in vars(asked).items()})


@contextmanager
def sides(network: str, data: Path, home: Path) -> Iterator[dict[str, int]]:
    """A short run's export behind three servers, each on a port of its own."""
    head = {"name": "head", "epochs": 1, "learning_rate": 1e-3}
    options = ["--data", data, "--weights", NETWORKS[network], *setting("stages", [head])]
    run_recipe(f"{network}_catsdogs", home, "run", *options)
    run([KT_RECIPE, "export", home / "run", "--name", "model"], home)
    run([KT_RECIPE, "export", home / "run", "--format", "keras", "--name", "keras"], home)
    export = home / "run" / "export"
    serve = [KT_RECIPE, "serve", export / "model", "--port", "0", "--no-grpc"]
    keras_file = export / "keras" / "1" / "model.keras"
    commands = {
        "keras": [sys.executable, KERAS_SERVER, keras_file],
        "ours, one by one": [*serve, "--engine", "tensorflow", "--max-batch", "1"],
        "ours, batches": [*serve, "--engine", "tensorflow"],
        "ours, batches, OpenVINO": [*serve, "--engine", "openvino"],
    }
    started = {side: start(command) for side, command in commands.items()}
    try:
        yield {side: port for side, (_, port) in started.items()}
    finally:
        for process, _ in started.values():
            process.terminate()
            process.wait()


def start(command: list[Any]) -> tuple[subprocess.Popen, int]:
    """A server, once it has said where it listens."""
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"at http://[^:]+:(\d+)", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, int(found[1])
    sys.exit(f"{command[0]} ended before it listened")


def check(ports: dict[str, int], images: list[bytes]) -> None:
    """Whether all sides name the same class for each image; this warms them, too.

    The Keras side resizes without rounding to whole pixel values, so one in twenty may differ.
    """
    named = {
        side: [answer(connection(port), one) for one in images] for side, port in ports.items()
    }
    keras = named["keras"]
    for side, names in named.items():
        if sum(map(operator.ne, names, keras)) > len(keras) / 20:
            sys.exit(f"{side} does not answer as keras does, so its speed means nothing.")


def connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def answer(to: http.client.HTTPConnection, image: bytes) -> str:
    body = json.dumps({"instances": [{"b64": base64.b64encode(image).decode()}]})
    to.request("POST", "/v1/models/model:predict", body)
    return json.load(to.getresponse())["predictions"][0]["classes"][0]


def measured(
    network: str,
    clients: int,
    ports: dict[str, int],
    images: list[bytes],
    asked: argparse.Namespace,
) -> list[list[Any]]:
    waits: dict[str, list[list[float]]] = {side: [] for side in ports}
    for _ in range(asked.turns):
        for side, port in ports.items():
            waits[side].append(load(port, clients, images, asked.seconds))
    rates = {
        side: statistics.median(len(one) / asked.seconds for one in turns)
        for side, turns in waits.items()
    }
    rows = []
    for side, turns in waits.items():
        every = sorted(1000 * wait for one in turns for wait in one)
        p50, p99 = every[len(every) // 2], every[int(0.99 * len(every))]
        rows.append([network, clients, side, rates[side], rates[side] / rates["keras"], p50, p99])
        print(rows[-1], flush=True)
    return rows


def load(port: int, clients: int, images: list[bytes], seconds: float) -> list[float]:
    """Seconds that each request took, of those that ended in time."""
    waits: list[float] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        to, place = connection(port), number
        while (began := time.perf_counter()) < end:
            answer(to, images[place % len(images)])
            place += 1
            if (now := time.perf_counter()) < end:
                waits.append(now - began)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return waits


if __name__ == "__main__":
    main()

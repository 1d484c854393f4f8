"""Images a second through a frozen network, by each engine in each precision, and by timm.

``python -m benchmarks engine``: 224 x 224, batches of 32 from memory, random weights, without
top. The engines of one network take turns; the median of the turns counts. The error is that of
the features against Keras in float32, relative, in L2. An engine that cannot run is left out.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._report import report

BATCH, SIZE = 32, 224
ENGINES = tuple(itertools.product(("keras", "graph", "openvino"), ("float32", "bfloat16")))
NETWORKS = {  # our name: timm's
    "vgg16": "vgg16",
    "resnet50": "resnet50",
    "mobilenet": "mobilenetv1_100",
    "mobilenet_v2": "mobilenetv2_100",
    "efficientnet_b0": "efficientnet_b0",
    "densenet121": "densenet121",
}
COLUMNS = ("network", "engine", "precision", "images/s", "times keras float32", "error")

Rate = Callable[[float], float]
"""From the seconds that a turn should last to images a second."""


class Torch:
    """A process that runs timm's networks; see ``_torch_engine``."""

    def __init__(self, python: str):
        script = Path(__file__).with_name("_torch_engine.py")
        self.process = subprocess.Popen(
            [python, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.versions = self._answer()

    def __bool__(self) -> bool:
        return bool(self.versions)

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def rate(self, name: str, precision: str, seconds: float) -> float:
        """Images a second; the engines of TensorFlow are idle meanwhile.

        Raises:
            RuntimeError: The process has ended.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name} {precision} {seconds}\n")
        self.process.stdin.flush()
        answer = self._answer()
        if not answer:
            raise RuntimeError(f"timm cannot run {name} in {precision}")
        return float(answer)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks engine")
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn, at least")
    parser.add_argument("--torch-python", default=sys.executable, help="that has torch and timm")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    torch = Torch(asked.torch_python)
    left_out = [] if torch else [f"{asked.torch_python} has no torch or no timm: left out."]
    rows = []
    for network in asked.network:
        rows += measured(network, asked, torch, left_out)
        print(f"{network} done", flush=True)
    torch.close()
    print("\n".join(left_out))
    report("engine", COLUMNS, rows, timm=torch.versions, left_out=left_out, options=vars(asked))


def measured(
    network: str, asked: argparse.Namespace, torch: Torch, left_out: list[str]
) -> list[list[Any]]:
    """The rows of one network."""
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    pixels = np.random.default_rng(0).uniform(0, 255, (BATCH, SIZE, SIZE, 3)).astype("float32")
    rates, features = our_rates(network, pixels, left_out)
    for precision in ("float32", "bfloat16") if torch else ():
        rates["timm", precision] = timm_rate(torch, NETWORKS[network], precision)
    found: dict[tuple[str, str], list[float]] = {way: [] for way in rates}
    for _ in range(asked.turns):
        for way, rate in rates.items():
            found[way].append(rate(asked.seconds))
    plain = found["keras", "float32"]
    return [
        [
            network,
            *way,
            statistics.median(each),
            statistics.median(one / base for one, base in zip(each, plain, strict=True)),
            error(features[way], features["keras", "float32"]) if way in features else None,
        ]
        for way, each in found.items()
    ]


def prefix(network: str) -> Any:
    """Preprocessing and backbone, from pixels to features, as the project freezes them."""
    import keras

    from keras_transfer.networks.backbones import BACKBONES, build_backbone
    from keras_transfer.networks.preprocessing import preprocess

    pixels = keras.Input((SIZE, SIZE, 3))
    inside = preprocess(pixels, BACKBONES[network].preprocessing)
    return keras.Model(pixels, build_backbone(network, image_size=SIZE)(inside))


def our_rates(
    network: str, pixels: np.ndarray, left_out: list[str]
) -> tuple[dict[tuple[str, str], Rate], dict[tuple[str, str], np.ndarray]]:
    """A way to measure each engine, and the features it gives; both warm it up."""
    from keras_transfer.features.engines import build_engine

    model = prefix(network)
    rates: dict[tuple[str, str], Rate] = {}
    features = {}
    for name, precision in ENGINES:
        try:
            run = build_engine(name, precision, model)
            features[name, precision] = next(iter(run([pixels])))
        except Exception as problem:  # of any library: the others are still worth their metrics
            left_out.append(f"{network}, {name} in {precision}: {problem!r:.200}")
            continue
        rates[name, precision] = our_rate(run, pixels)
    return rates, features


def our_rate(run: Any, pixels: np.ndarray) -> Rate:
    def rate(seconds: float) -> float:
        began = time.perf_counter()
        count = sum(map(len, run(fed(pixels, seconds))))
        return count / (time.perf_counter() - began)

    return rate


def fed(pixels: np.ndarray, seconds: float) -> Iterator[np.ndarray]:
    """The same batch until the time is up, once at least: slow networks must not take minutes."""
    began = time.perf_counter()
    yield pixels
    while time.perf_counter() - began < seconds:
        yield pixels


def timm_rate(torch: Torch, name: str, precision: str) -> Rate:
    return lambda seconds: torch.rate(name, precision, seconds)


def error(features: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(features - exact) / np.linalg.norm(exact))


if __name__ == "__main__":
    main()

"""Choose the engine for a network on this machine, by a short benchmark within an error limit."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.atomic import write_json
from keras_transfer.cache import set_aside
from keras_transfer.checksums import sha256_of_document
from keras_transfer.errors import CheckFailed
from keras_transfer.features.engines import (
    Batch,
    Engine,
    as_tensors,
    build_engine,
    in_precision,
)

__all__ = ["EXACT", "SAMPLE", "EngineChoice", "EngineSelector", "Pairs"]

logger = logging.getLogger("keras_transfer")

Pairs = Sequence[tuple[str, str]]

SAMPLE = 16
"""Images on which speed and error are measured."""

EXACT = 1e-3
"""Largest error of features that count as float32, rounding to float16 on disk included."""

TURNS, SECONDS = 3, 0.5
"""Rounds of timing; one if the fastest engine takes this many seconds."""


@dataclass(frozen=True)
class EngineChoice:
    """A chosen engine.

    Attributes:
        engine: A row of ``ENGINES``.
        precision: Precision of the computation.
        dtype: Of its features on disk: "float16" where that is exact enough, else "float32".
        error: Relative error of the features so stored, against Keras in float32:
            ``|features - theirs| / |theirs|``, the Euclidean norm over all of the sample.
        rate: Images per second in the benchmark; 0 with a single candidate.
    """

    engine: str
    precision: str
    dtype: str
    error: float
    rate: float

    @property
    def label(self) -> str:
        """Engine and precision, for messages."""
        return f"{self.engine} in {self.precision}"


class EngineSelector:
    """The engine of one network, measured when it is first needed and remembered between runs.

    Args:
        prefix: From (batch, size, size, 3) float32 pixels to features.
        sample: Makes about ``SAMPLE`` of the user's images, such as ``prefix`` takes.
        candidates: (engine, precision) pairs, as ``engines.available`` gives them; the last one
            is tried only if no other is exact enough.
        tolerance: Largest error accepted for precisions other than float32.
        memory: File that caches the choice; it and its folder need not exist.
        network: Key of this network and its weights.
    """

    def __init__(
        self,
        prefix: keras.Model,
        sample: Callable[[], Batch],
        *,
        candidates: Pairs,
        tolerance: float,
        memory: Path,
        network: str,
    ):
        self.prefix, self.sample, self.memory = prefix, sample, memory
        self.candidates, self.tolerance = candidates, tolerance
        names = " or ".join(map(" in ".join, candidates))
        self.key = "; ".join((network, machine(), names, f"error {tolerance}"))
        self._engine: Engine | None = None
        known = _recall(memory).get(self.key)
        self._choice = EngineChoice(**known) if known else None

    @property
    def choice(self) -> EngineChoice:
        """The engine chosen on this machine for this network."""
        if self._choice is None:
            self._choose()
        assert self._choice is not None
        return self._choice

    def engine(self) -> Engine:
        """The engine, validated on these images; this may change ``choice``."""
        if self._engine is None and self._choice is not None:
            self._prove(self._choice)
        if self._engine is None:
            self._choose()
        assert self._engine is not None
        return self._engine

    def _prove(self, choice: EngineChoice) -> None:
        """Build the cached choice, if it is exact enough on these images too."""
        engine = build_engine(choice.engine, choice.precision, self.prefix)
        # How much a lower precision loses depends on the images, which may be others this time.
        if choice.precision != "float32":
            pixels = self.sample()
            features = np.concatenate(list(engine([pixels])))
            if not _error(features, reference(self.prefix, pixels)) <= self.tolerance:
                return
        self._engine = engine

    def _choose(self) -> None:
        pixels = self.sample()
        expected = reference(self.prefix, pixels)
        *first, last = self.candidates
        trials = self._trials(first, pixels, expected) or self._trials([last], pixels, expected)
        if not trials:
            tried = ", ".join(sorted({name for name, _ in self.candidates}))
            raise CheckFailed(
                f"No engine ({tried}) computes this network as precisely as Keras in float32. "
                "Use --engine none to run the full network in every epoch."
            )
        self._choice, self._engine = max(trials, key=lambda trial: _worth(trial[0]))
        _remember(self.memory, self.key, self._choice)

    def _trials(
        self, candidates: Pairs, pixels: Batch, expected: np.ndarray
    ) -> list[tuple[EngineChoice, Engine]]:
        """Engines that are exact enough, and how fast they are if there are several."""
        exact = []
        for name, precision in candidates:
            if precision != "float32" and not self.tolerance:
                continue
            try:
                engine = build_engine(name, precision, self.prefix)
                features = np.concatenate(list(engine([pixels])))  # it is warm then
            except Exception as error:  # any error of a converter
                logger.debug("The engine %s in %s fails: %s", name, precision, error)
                continue
            choice = _judged(name, precision, features, expected)
            logger.debug("%s: error %.2g", choice.label, choice.error)
            if choice.error <= (EXACT if precision == "float32" else self.tolerance):
                exact.append((choice, engine))
        if len(exact) < 2:
            return exact
        rates = _rates([engine for _, engine in exact], pixels)
        return [
            (replace(choice, rate=round(rate, 1)), engine)
            for (choice, engine), rate in zip(exact, rates, strict=True)
        ]


def _worth(choice: EngineChoice) -> float:
    """Speed, with a bonus for float32, so that timing noise does not decide."""
    return choice.rate * (1.2 if choice.precision == "float32" else 1.0)


def _rates(engines: list[Engine], pixels: Batch) -> list[float]:
    """Images per second of warm engines: the best of three rounds, since noise only slows.

    Slow networks get one turn. There is work for all cores at once.
    """
    batches = max(2, (os.cpu_count() or 1) // 2) * [pixels]
    best = [float("inf")] * len(engines)
    for _ in range(TURNS):
        # Engines take turns, so that other load on the machine hits all of them.
        for number, engine in enumerate(engines):
            began = time.perf_counter()
            for _ in engine(batches):
                pass
            best[number] = min(best[number], time.perf_counter() - began)
        if min(best, default=0.0) > SECONDS:
            break
    count = len(pixels[0] if isinstance(pixels, tuple) else pixels)
    return [len(batches) * count / seconds for seconds in best]


def reference(prefix: keras.Model, batch: Batch) -> np.ndarray:
    """Features by Keras in float32, without a graph, which is faster for few images.

    Args:
        prefix: The frozen part.
        batch: Its inputs, e.g. (batch, size, size, 3) float32 pixels, 0..255.

    Returns:
        (batch, ...) float32.
    """
    model = in_precision(prefix, "float32")
    return keras.ops.convert_to_numpy(model(as_tensors(batch), training=False))


def _judged(name: str, precision: str, features: np.ndarray, expected: np.ndarray) -> EngineChoice:
    """Store as float16 if the error is negligible."""
    # Above 65,504 float16 is infinite, and so is the error then: float32 is taken.
    with np.errstate(over="ignore"):
        short = features.astype("float16").astype("float32")
    # Half, so that the error of the engine itself still fits into EXACT.
    dtype = "float16" if _error(short, features) <= EXACT / 2 else "float32"
    error = _error(short if dtype == "float16" else features, expected)
    return EngineChoice(name, precision, dtype, error, rate=0.0)


def _error(features: np.ndarray, expected: np.ndarray) -> float:
    # In float64: float32 loses digits in sums over millions of squares.
    norm = float(np.linalg.norm(expected.astype("float64")))
    error = float(np.linalg.norm(features.astype("float64") - expected)) / (norm or 1.0)
    return error if np.isfinite(error) else float("inf")


def machine() -> str:
    """What the speed of engines depends on: processors and package versions."""
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            processor = next(line for line in file if "model name" in line).split(":")[1].strip()
    except (OSError, StopIteration):
        pass
    gpus = len(tf.config.list_physical_devices("GPU"))
    packages = [f"{name} {_version(name)}" for name in ("tensorflow", "keras", "openvino")]
    return ", ".join([f"{os.cpu_count()} x {processor}", f"{gpus} GPUs", *packages])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _recall(memory: Path) -> dict[str, dict[str, Any]]:
    """The choices of earlier runs; a damaged file is set aside."""
    try:
        content = memory.read_bytes()
    except OSError:
        return {}
    try:
        kept = json.loads(content)
        if kept["sha256"] == sha256_of_document(kept["choices"]):
            return kept["choices"]
    except (ValueError, LookupError, TypeError, RecursionError):
        pass  # not even JSON, or not ours
    with suppress(OSError):
        found = "its content does not match its checksum"
        set_aside(memory, found, "engines are measured again")
    return {}


def _remember(memory: Path, key: str, choice: EngineChoice) -> None:
    """Cache a choice for the next run."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        # Read again here: another run may have added its choice since.
        choices = {**_recall(memory), key: asdict(choice)}
        write_json(memory, {"sha256": sha256_of_document(choices), "choices": choices})
    except OSError as error:
        logger.debug("The choice of engine cannot be cached: %s", error)

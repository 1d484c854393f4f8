"""Choose the engine for a network on this machine, by a short benchmark within an error limit."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import keras
import numpy as np

from keras_transfer.clock import phase
from keras_transfer.errors import CheckFailed
from keras_transfer.features.engines import (
    Batch,
    Engine,
    Pairs,
    as_tensors,
    build_engine,
    in_precision,
)
from keras_transfer.features.memory import Memory, machine
from keras_transfer.features.probing import harmless

__all__ = ["EXACT", "EngineChoice", "EngineSample", "EngineSelector", "reference"]

logger = logging.getLogger("keras_transfer")

EXACT = 1e-3
"""Largest error of features that count as float32, rounding to float16 on disk included."""

NEGLIGIBLE = 0.02
"""Up to this error, relative to how images differ, a lower precision is taken at once.

Above it a probe decides. Real weights of VGG16 have 0.7 to 0.9 % in bfloat16, and three times as
much changes no answer of a probe; those of MobileNetV2 have 11 to 20 %, and change up to one answer
in 10 (``python -m benchmarks precision``).
"""

CHUNK = 16
"""Examples that Keras computes at once for comparison: early maps are large."""

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
        probed: Hash of the examples and labels of the probe that decided; "" where none did.
    """

    engine: str
    precision: str
    dtype: str
    error: float
    rate: float
    probed: str = ""

    @property
    def label(self) -> str:
        """Engine and precision, for messages."""
        return f"{self.engine} in {self.precision}"


class EngineSample(NamedTuple):
    """Examples on which engines are compared.

    Attributes:
        inputs: What the network takes.
        exact: (n, ...) float32 features that are wanted.
        labels: (n,) int: classes, or strata of other targets; -1 where unknown.
    """

    inputs: Batch
    exact: np.ndarray
    labels: np.ndarray


class EngineSelector:
    """The engine of one network, measured when it is first needed and remembered between runs.

    Args:
        prefix: From (batch, size, size, 3) float32 pixels to features.
        few: Makes some of the user's examples, for speed and error.
        more: Makes more of them, of several classes, for a probe.
        candidates: (engine, precision) pairs, as ``engines.available`` gives them; the last one
            is tried only if no other is exact enough.
        tolerance: Largest error accepted for precisions other than float32.
        memory: Caches the choice.
        network: Key of this network and its weights.
        examples: Hash of what ``more`` makes.
    """

    def __init__(
        self,
        prefix: keras.Model,
        few: Callable[[], EngineSample],
        more: Callable[[], EngineSample],
        *,
        candidates: Pairs,
        tolerance: float,
        memory: Memory,
        network: str,
        examples: str = "",
    ):
        self.prefix, self.few, self.more, self.memory = prefix, few, more, memory
        self.candidates, self.tolerance = candidates, tolerance
        names = " or ".join(map(" in ".join, candidates))
        self.key = "; ".join((network, machine(), names, f"error {tolerance}"))
        self._engine: Engine | None = None
        self.examples, known = examples, memory.recall(self.key)
        choice = EngineChoice(**known) if known else None
        # What a probe has decided holds for its classes only.
        self._choice = choice if choice and choice.probed in ("", examples) else None

    @property
    def choice(self) -> EngineChoice:
        """The engine chosen on this machine for this network."""
        if self._choice is None:
            with phase("engines"):
                self._choose()
        assert self._choice is not None
        return self._choice

    def engine(self) -> Engine:
        """The engine, validated on these images; this may change ``choice``."""
        with phase("engines"):
            if self._engine is None and self._choice is not None:
                self._prove(self._choice)
            if self._engine is None:
                self._choose()
        assert self._engine is not None
        return self._engine

    def proved(self) -> Engine | None:
        """The engine; None where none is exact enough on these images."""
        try:
            return self.engine()
        except CheckFailed:
            return None

    def _prove(self, choice: EngineChoice) -> None:
        """Build the cached choice, if it is exact enough on these images too."""
        engine = build_engine(choice.engine, choice.precision, self.prefix)
        # How much a lower precision loses depends on the images, which may be others this time.
        if choice.precision != "float32":
            sample = self.few()
            features = _run(engine, sample)
            found = _judged(choice.engine, choice.precision, features, sample.exact)
            if self._accepted(found, features, sample.exact, engine) is None:
                return
        self._engine = engine

    def _choose(self) -> None:
        sample = self.few()
        *first, last = self.candidates
        exact = self._tried(first, sample) or self._tried([last], sample)
        if not exact:
            tried = ", ".join(sorted({name for name, _ in self.candidates}))
            raise CheckFailed(
                f"No engine ({tried}) computes this network as precisely as Keras in float32. "
                "Use --engine none to run the full network in every epoch."
            )
        self._choice, self._engine = max(exact, key=lambda one: _worth(one[0]))
        self.memory.remember(self.key, asdict(self._choice))

    def _tried(self, candidates: Pairs, sample: EngineSample) -> list[tuple[EngineChoice, Engine]]:
        """Engines that are exact enough, and how fast they are if there are several."""
        exact = []
        for name, precision in candidates:
            if precision != "float32" and not self.tolerance:
                continue
            try:
                engine = build_engine(name, precision, self.prefix)
                features = _run(engine, sample)  # it is warm then
            except Exception as error:  # any error of a converter
                logger.debug("The engine %s in %s fails: %s", name, precision, error)
                continue
            choice = _judged(name, precision, features, sample.exact)
            logger.debug("%s: error %.2g", choice.label, choice.error)
            accepted = self._accepted(choice, features, sample.exact, engine)
            if accepted is not None:
                exact.append((accepted, engine))
        if len(exact) < 2:
            return exact
        rates = _rates([engine for _, engine in exact], sample.inputs)
        return [
            (replace(choice, rate=round(rate, 1)), engine)
            for (choice, engine), rate in zip(exact, rates, strict=True)
        ]

    def _accepted(
        self, choice: EngineChoice, features: np.ndarray, exact: np.ndarray, engine: Engine
    ) -> EngineChoice | None:
        """The choice, if features differ so little that nothing learnt from them would differ."""
        if choice.precision == "float32":
            return choice if choice.error <= EXACT else None
        if not choice.error <= self.tolerance:
            return None
        if _error_of_differences(features, exact) <= NEGLIGIBLE:
            return choice
        sample = self.more()
        fine = harmless(_run(engine, sample), sample.exact, sample.labels)
        return replace(choice, probed=self.examples) if fine else None


def _run(engine: Engine, sample: EngineSample) -> np.ndarray:
    return np.concatenate(list(engine([sample.inputs])))


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
    model, inputs = in_precision(prefix, "float32"), as_tensors(batch)
    count = len(batch[0] if isinstance(batch, tuple) else batch)
    parts = [
        keras.tree.map_structure(lambda x, at=at: x[at : at + CHUNK], inputs)
        for at in range(0, count, CHUNK)
    ]
    return np.concatenate(
        [keras.ops.convert_to_numpy(model(part, training=False)) for part in parts]
    )


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


def _error_of_differences(features: np.ndarray, exact: np.ndarray) -> float:
    """The error relative to the deviations from the mean features, which all that learns uses."""
    centred = exact - exact.mean(axis=0, dtype="float64")
    spread = float(np.linalg.norm(centred))
    return float(np.linalg.norm(features.astype("float64") - exact)) / (spread or 1e-30)

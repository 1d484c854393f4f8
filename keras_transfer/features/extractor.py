"""The frozen part of a network over images: looked up, computed once, or streamed."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.clock import phase
from keras_transfer.data.batches import Loading, plain_batches
from keras_transfer.data.memory import fits
from keras_transfer.data.samples import Samples
from keras_transfer.errors import CheckFailed
from keras_transfer.features.batches import given, streamed
from keras_transfer.features.checked import finite, shown
from keras_transfer.features.engine_samples import PROBED, SAMPLE, balanced, digest, spread
from keras_transfer.features.engines import Batch, Pairs, available
from keras_transfer.features.eviction import make_room
from keras_transfer.features.memory import Memory
from keras_transfer.features.selection import EngineChoice, EngineSample, EngineSelector, reference
from keras_transfer.features.store import FOLDER, Space, Table, open_space
from keras_transfer.features.views import CLEAN, View
from keras_transfer.networks.cutting import Cut, fingerprint

__all__ = ["EngineConfig", "FeatureExtractor"]

logger = logging.getLogger("keras_transfer")

Computation = Callable[[np.ndarray], Iterator[np.ndarray]]
"""From the places of images in a table to batches of their features."""

KEPT = 64e6
"""Bytes of exact features that are kept, since several engines are compared with them."""

BATCH = 32
"""Images that go through a step from one boundary to the next together."""


@dataclass(frozen=True)
class EngineConfig:
    """How frozen parts are run, and where their features go.

    Attributes:
        engine: "auto", "keras" or "openvino".
        tolerance: Largest error of features that are not computed in float32.
        cache: The cache folder.
        keep: Whether features are kept in it for other runs.
    """

    engine: str
    tolerance: float
    cache: Path
    keep: bool = True


class FeatureExtractor:
    """Features of images at the boundary of a division.

    Args:
        cut: Its prefix is run, with the weights that it has now.
        loading: How images become pixels.
        samples: Some of the images, on which engines are measured.
        means: With what, and where to.
        backbone: Its name, for people.
        earlier: A frozen part that ends nearer to the pixels and whose features will be wanted
            too: these are made from those, and the network runs once for both.
    """

    def __init__(
        self,
        cut: Cut,
        loading: Loading,
        samples: Samples,
        means: EngineConfig,
        *,
        backbone: str,
        earlier: FeatureExtractor | None = None,
    ):
        self.cut, self.loading, self.means = cut, loading, means
        self.metadata: dict[str, Any] = {
            **loading.input.metadata,
            "backbone": backbone,
            "boundary": cut.boundary,
            "network": fingerprint(cut.frozen),
        }
        self.held: dict[tuple[Any, ...], Table] = {}
        self.known: dict[tuple[str, ...], np.ndarray] = {}
        self.counts = {"computed": 0, "cached": 0, "seconds": 0.0}
        self.shape = cut.frozen.output_shape[1:]
        self.few, self.more = spread(samples, SAMPLE), balanced(samples, PROBED)
        network = self.metadata["network"]
        pairs = available(means.engine, len(cut.inputs))
        self.whole = self._selector(cut.frozen, self._sample, network, pairs)
        self.step: tuple[FeatureExtractor, EngineSelector] | None = None
        further = earlier.cut.further() if earlier else None
        if earlier and further:
            self._go_on(earlier, further.frozen)

    def _selector(
        self,
        network: keras.Model,
        sample: Callable[[Samples], EngineSample],
        which: str,
        pairs: Pairs,
    ) -> EngineSelector:
        memory = Memory(self.means.cache / FOLDER / "engines-3.json", "engines are measured again")
        return EngineSelector(
            network,
            lambda: sample(self.few),
            lambda: sample(self.more),
            candidates=pairs,
            tolerance=self.means.tolerance,
            memory=memory,
            network=which,
            examples=digest(self.more),
        )

    def _go_on(self, earlier: FeatureExtractor, network: keras.Model) -> None:
        """Compute the features from those of a boundary nearer to the pixels, if exact enough."""
        which, same = earlier.metadata["network"], earlier.choice

        def sample(samples: Samples) -> EngineSample:
            # Errors of both steps: they do not simply add up.
            exact = reference(network, earlier.exact(samples))
            return EngineSample(earlier.features(samples), exact, samples.labels)

        pairs = [(same.engine, same.precision)]
        step = self._selector(network, sample, f"{which} to {self.metadata['network']}", pairs)
        with suppress(CheckFailed):  # then the whole prefix runs
            if step.choice:
                self.step = earlier, step

    def _sample(self, samples: Samples) -> EngineSample:
        return EngineSample(self._inputs(samples), self.exact(samples), samples.labels)

    def exact(self, samples: Samples) -> np.ndarray:
        """(n, ...) float32 features of a few images by Keras in float32."""
        key = tuple(samples.digests)
        if key in self.known:
            return self.known[key]
        features = reference(self.cut.frozen, self._inputs(samples))
        if features.nbytes <= KEPT:
            self.known[key] = features
        return features

    @property
    def choice(self) -> EngineChoice:
        """How the features are computed."""
        if self.step is None:
            return self.whole.choice
        first, second = self.step[0].choice, self.step[1].choice
        return replace(
            second,
            precision=min(first.precision, second.precision),  # "bfloat16" < "float32"
        )

    @property
    def report(self) -> dict[str, Any]:
        """What was done, JSON-ready: boundary, engine, its error, counts of images, seconds.

        The rate is that of all images that were computed; of the engine's timing, if it had one,
        where all came from the cache.
        """
        choice, seconds = self.choice, self.counts["seconds"]
        rate = round(self.counts["computed"] / seconds, 1) if seconds else choice.rate or None
        return {
            "boundary": self.cut.boundary,
            "engine": choice.engine,
            "precision": choice.precision,
            "error": choice.error,
            "images_per_second": rate,
            **self.counts,
        }

    def table(self, samples: Samples, view: View = CLEAN) -> Table | None:
        """Features of images in one view: from the cache as far as they are there.

        Args:
            samples: The images, with the digests of their content.
            view: How they are seen.

        Returns:
            The table; None where there is no room for it, neither on disk nor in memory.
        """
        with phase("features"):
            if self.means.keep:
                try:
                    table = self._cached(samples, view)
                except OSError as error:
                    logger.warning("Warning: features are not cached: %s.", error)
                    table = None
                if table is not None:
                    return table
            return self._in_memory(samples, view)

    def before(self, cut: Cut) -> FeatureExtractor:
        """The same features, computed once for both, for another rest that follows this prefix.

        Args:
            cut: Of a network that is the same up to its boundary, which is this one's.
        """
        other = copy.copy(self)  # tables, engines and counts are shared
        other.cut = cut
        return other

    def features(self, samples: Samples) -> np.ndarray:
        """(n, ...) float32 features of a few images, computed here and now."""
        return np.concatenate(list(self.whole.engine()([self._inputs(samples)])))

    def stream(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Datasets of (pixels, labels, weights) to (features, labels, weights), not kept."""
        return streamed(self.whole.engine(), batches, self.shape, self.cut)

    def _cached(self, samples: Samples, view: View) -> Table | None:
        done, seconds = np.zeros(len(samples), bool), 0.0
        with open_space(self.means.cache, self.key(view)) as space:
            while True:
                table, missing = space.find(samples.digests)
                if not missing.any():
                    self._tell(int(done.sum()), int((~done).sum()), seconds)
                    return table
                if missing[done].any():
                    raise OSError(f"{space.folder} does not give back what was just written")
                new = _first_of_each(samples.digests, missing)
                # What these features are made from comes first: it may wait for another run.
                compute = self._computation(samples.take(new), view)
                if self.key(view) != space.metadata:
                    break  # on these images another engine has proved better
                digests, began = samples.digests[new], time.perf_counter()
                with space.claim(digests) as own:
                    if own.any() and not self._add(space, digests[own], compute(own.nonzero()[0])):
                        return None
                seconds += time.perf_counter() - began
                done[new[own]] = True
                space.wait(digests[~own])
        return self._cached(samples, view)

    def _add(self, space: Space, digests: np.ndarray, batches: Iterator[np.ndarray]) -> bool:
        """Write features into the cache, if there is room."""
        row = np.empty(self.shape, self.choice.dtype)
        size = len(digests) * row.nbytes
        if reason := make_room(self.means.cache, size):
            text = "Warning: %.1f GB of features do not go into the cache: %s."
            logger.warning(text, size / 1e9, reason)
            return False
        space.add(digests, self._finite(batches), row)
        return True

    def _finite(self, batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        choice = self.choice
        return finite(batches, np.dtype(choice.dtype), self.cut.boundary, choice.label)

    def _in_memory(self, samples: Samples, view: View) -> Table | None:
        which = (view.number, view.seed, *samples.digests)
        if which in self.held:
            return self.held[which]
        row = np.empty(self.shape, self.choice.dtype)
        if not fits(len(samples) * row.nbytes):
            return None
        features = np.empty((len(samples), *row.shape), row.dtype)
        at, began = 0, time.perf_counter()
        for batch in self._finite(self._computation(samples, view)(np.arange(len(samples)))):
            features[at : at + len(batch)] = batch
            at += len(batch)
        self._tell(len(samples), 0, time.perf_counter() - began)
        self.held[which] = Table([features], np.zeros(len(samples), int), np.arange(len(samples)))
        return self.held[which]

    def _computation(self, samples: Samples, view: View) -> Computation:
        """What computes features of some of these images.

        ``choice`` may change by the call, not by what follows.
        """
        if self.step is not None:
            earlier, step = self.step
            table = earlier.table(samples, view)
            after = step.proved() if table is not None else None
            if table is not None and after is not None:
                return lambda places: shown(after(map(table.take, _split(places))), len(places))
            self.step = None  # no room for what lies between, or not exact enough on these
        engine, augment = self.whole.engine(), view.augment

        def compute(places: np.ndarray) -> Iterator[np.ndarray]:
            some = samples.take(places)
            batches = plain_batches(some, self.loading, augment, view.seeds(some.digests))
            inputs = map(self._given, batches.as_numpy_iterator())
            return shown(engine(inputs), len(places))

        return compute

    def _given(self, batch: dict[str, np.ndarray]) -> Batch:
        """What the engine takes of a batch of inputs."""
        return given(batch, self.cut.inputs)

    def _inputs(self, samples: Samples) -> Batch:
        return given(self._joined(samples, self.cut.inputs), self.cut.inputs)

    def sides(self, samples: Samples) -> dict[str, np.ndarray]:
        """(n, ...) inputs that the trainable part takes beside the features."""
        names = self.cut.passthrough
        return self._joined(samples, names) if names else {}

    def _joined(self, samples: Samples, names: Sequence[str]) -> dict[str, np.ndarray]:
        batches = [*plain_batches(samples, self.loading).as_numpy_iterator()]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in names}

    def _tell(self, computed: int, cached: int, seconds: float) -> None:
        choice = self.choice
        for name, value in (("computed", computed), ("cached", cached), ("seconds", seconds)):
            self.counts[name] = round(self.counts[name] + value, 3)
        rate = f", {computed / seconds:.0f} examples/s" if computed else ""
        level = logging.INFO if computed else logging.DEBUG
        logger.log(
            level,
            "Features up to %r by %s (error %.2g %%%s): %s computed, %s from the cache",
            *(self.cut.boundary, choice.label, 100 * choice.error, rate),
            *(f"{computed:,}", f"{cached:,}"),
        )

    def key(self, view: View) -> dict[str, Any]:
        """All that the features depend on; engines of one precision give the same."""
        how = {"precision": self.choice.precision, "dtype": self.choice.dtype}
        return {
            **self.metadata,
            **how,
            "view": view.metadata,
            "number": view.number,
            "seed": view.seed,
        }


def _split(places: np.ndarray) -> list[np.ndarray]:
    return np.split(places, range(BATCH, len(places), BATCH))


def _first_of_each(digests: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Places of the missing images, exact duplicates once."""
    places = np.flatnonzero(missing)
    _, first = np.unique(digests[places].astype(str), return_index=True)
    return places[np.sort(first)]  # np.unique gives the order of digests

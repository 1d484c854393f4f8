"""What a run would do and take, from its stages before anything is trained.

Imported when a dry run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from keras_transfer import seeds
from keras_transfer.config.stages import Stage
from keras_transfer.data.batches import training_batches
from keras_transfer.data.samples import Samples
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.features.store import stored
from keras_transfer.features.views import CLEAN, View
from keras_transfer.networks.freezing import parameter_counts
from keras_transfer.networks.lora import merge_lora
from keras_transfer.training.compiling import compile_stage
from keras_transfer.training.precision import computing_in
from keras_transfer.workflows.stage_optimizer import stage_optimizer
from keras_transfer.workflows.stage_runner import StageRunner
from keras_transfer.workflows.stage_views import stored_views

__all__ = ["forecast_stage", "run_bytes"]

STEPS, WARM = 4, 2
"""Steps that are measured, after those that build the graph, one for each size of batch."""

EVALUATION = 1 / 3
"""Part of a training step that a validation batch takes: forward, without the way back."""

SLACK = 1.5
"""Factor of the upper bound: a few steps are measured, on a machine that may be more busy later."""

EXAMPLES, MEASURED = 64, int(64e6)
"""Examples whose features are timed, and their bytes, at most."""

FLOAT32 = 4


Seconds = tuple[float, float]
"""Bounds of an estimate: low, high."""


def forecast_stage(
    runner: StageRunner, index: int, known: dict[str, set[str]], *, measured: bool
) -> dict[str, Any]:
    """What a stage would do; the weights of the network may be others afterwards.

    Args:
        runner: Of the run; nothing has been trained.
        index: Number of the stage, from 0; stages come in order.
        known: Digests of the examples whose features the stages before compute, by what the
            features depend on; gets those of this stage.
        measured: Whether a few training steps are run, to know what one takes.

    Returns:
        JSON-ready: "name", "epochs" (at most), "steps_per_epoch", "trainable" and "frozen"
        parameters, "features" (None where the full network runs in every epoch),
        "seconds_per_step" (None if not measured), "seconds" of training as [low, high].
    """
    stage, setup, network = runner.stages[index], runner.setup, runner.network
    extractors = runner.extractors  # to cut the network, layers are frozen for each stage
    network.freeze(stage.unfreeze, setup.batch_norm, stage.tuning.weights)
    extractor = extractors.of(index)
    if stage.tuning.lora is not None:
        seed = seeds.stream(setup.seed, "lora") + index
        network.enable_lora(stage.tuning.lora, stage.tuning.lora_alpha, seed)
    trainable, total = parameter_counts(network.model)
    times = _step_seconds(runner, index, extractor) if measured else []
    merge_lora(network.model)
    return {
        "name": stage.name,
        "epochs": stage.epochs,
        "steps_per_epoch": setup.steps,
        "trainable": trainable,
        "frozen": total - trainable,
        "features": None if extractor is None else _features(runner, index, extractor, known),
        "seconds_per_step": round(float(np.mean(times)), 4) if times else None,
        "seconds": [*_training_seconds(runner, stage, times)] if times else None,
    }


def _training_seconds(runner: StageRunner, stage: Stage, times: Sequence[float]) -> Seconds:
    setup = runner.setup
    batches = setup.loading.steps(len(setup.samples.split("val")))
    in_epoch = setup.steps + EVALUATION * batches
    # The earliest end: no epoch is better than the first.
    least = stage.epochs if stage.patience is None else min(stage.epochs, 1 + stage.patience)
    low, high = min(times) * in_epoch * least, max(times) * in_epoch * stage.epochs
    return (round(low, 2), round(SLACK * high, 2))


def _step_seconds(
    runner: StageRunner, index: int, extractor: FeatureExtractor | None
) -> list[float]:
    """Seconds of a few training steps on the first batches of the stage."""
    stage, setup = runner.stages[index], runner.setup
    asked = setup.precision
    # What "auto" chooses is measured in the run itself, and is as fast or faster.
    precision = "float32" if asked == "auto" else asked
    part = runner.network.model if extractor is None else extractor.cut.trainable
    known = stage.model_copy(update={"learning_rate": 0.0})
    optimizer = stage_optimizer(known, runner.network, setup.steps)
    fitted = compile_stage(part, setup.targets.terms, optimizer, precision)
    times = []
    with computing_in(part, precision):
        for batch in _first_batches(runner, index, extractor):
            began = time.perf_counter()
            fitted.train_on_batch(*batch)
            times.append(time.perf_counter() - began)
    return times[WARM:]


def _first_batches(
    runner: StageRunner, index: int, extractor: FeatureExtractor | None
) -> list[Any]:
    setup, train = runner.setup, runner.setup.targets.train()
    given, targets = setup.loading.input, setup.targets
    batches = training_batches(
        train.samples,
        setup.loading,
        train.columns,
        epochs=WARM + STEPS,  # an epoch may be a single step
        augment=given.augment if given.augments else None,
        seeds=(setup.seed, setup.seed),
        mix=targets.mix,
        sampling=targets.strategy.sampling,
    )
    if extractor is not None:
        batches = extractor.stream(batches)
    return [*batches.take(WARM + STEPS)]


def _features(
    runner: StageRunner, index: int, extractor: FeatureExtractor, known: dict[str, set[str]]
) -> dict[str, Any]:
    """What the cache has of the features of a stage when it begins, and what the rest takes."""
    stage, setup = runner.stages[index], runner.setup
    views = stored_views(stage, setup.targets, setup.loading.input, setup.view_seed) or [CLEAN]
    # The test split is predicted by way of the last stage.
    last = index == len(runner.stages) - 1
    clean = [setup.samples.split(name) for name in ("val", "test")[: 1 + last]]
    wanted = [(setup.train, view) for view in views] + [(one, CLEAN) for one in clean]
    cached = missing = 0
    for view, digests in _by_view(extractor, wanted):
        done = known.setdefault(json.dumps(extractor.key(view), sort_keys=True), set())
        new = digests - done
        there = _in_cache(extractor, np.array(sorted(new), object), view)
        cached, missing = cached + len(digests) - len(new) + there, missing + len(new) - there
        done |= new
    row = prod(extractor.shape) * np.dtype(extractor.choice.dtype).itemsize
    return {
        "boundary": extractor.cut.boundary,
        "engine": extractor.choice.label,
        "cached": cached,
        "missing": missing,
        "bytes": missing * row,
        "seconds": [*_computing_seconds(extractor, setup.train, missing)],
    }


def _by_view(
    extractor: FeatureExtractor, wanted: Iterable[tuple[Samples, View]]
) -> Iterator[tuple[View, set[str]]]:
    """Distinct examples by view: exact copies share their features, in all splits."""
    digests: dict[str, set[str]] = {}
    views = {}
    for samples, view in wanted:
        key = json.dumps(extractor.key(view), sort_keys=True)
        views[key] = view
        digests.setdefault(key, set()).update(samples.digests)
    return ((views[key], digests[key]) for key in views)


def _in_cache(extractor: FeatureExtractor, digests: np.ndarray, view: View) -> int:
    if not extractor.means.keep or not len(digests):
        return 0
    return stored(extractor.means.cache, extractor.key(view), digests)


def _computing_seconds(extractor: FeatureExtractor, samples: Samples, missing: int) -> Seconds:
    """From raw examples to features, or from the features of a boundary nearer to them."""
    if not missing:
        return 0.0, 0.0
    row = FLOAT32 * prod(extractor.shape)
    some = samples.take(np.arange(min(len(samples), max(8, min(EXAMPLES, MEASURED // row)))))
    times = [_timed(extractor, some) for _ in range(3)][1:]  # the first is slow
    slow, fast = len(some) / max(times), len(some) / min(times)
    best = max(fast, extractor.choice.rate)
    return round(missing / best, 2), round(SLACK * missing / slow, 2)


def _timed(extractor: FeatureExtractor, samples: Samples) -> float:
    if extractor.step is None:
        began = time.perf_counter()
        extractor.features(samples)
    else:
        earlier, following = extractor.step
        given, engine = earlier.features(samples), following.engine()
        began = time.perf_counter()
        for _ in engine([given]):
            pass
    return time.perf_counter() - began


def run_bytes(runner: StageRunner, stages: Sequence[dict[str, Any]]) -> int:
    """Bytes of a run directory at its largest, while it trains.

    The best and the last model; and the state of training, with two moments for each trained
    weight, while a new one replaces the old one.
    """
    total = runner.network.model.count_params()
    trained = max(stage["trainable"] or 0 for stage in stages)  # None of a learner
    return FLOAT32 * (2 * total + 2 * (total + 2 * trained))

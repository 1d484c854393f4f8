"""Runs the stages of a recipe in sequence, on examples or stored features.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer import seeds
from keras_transfer.config.stages import Optimizer, Stage
from keras_transfer.data.samples import Samples
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.features.shortening import shortened, takes_sequences
from keras_transfer.features.stage_batches import StageBatches, from_examples, from_features
from keras_transfer.features.views import CLEAN, View
from keras_transfer.inputs.images.preview import first_batch, write_preview
from keras_transfer.networks.cutting import Cut
from keras_transfer.networks.freezing import parameter_counts
from keras_transfer.networks.lora import merge_lora
from keras_transfer.runs.sweeps import stored_sweep, write_sweep
from keras_transfer.training.penalties import l2_sp, origin
from keras_transfer.training.reports import report
from keras_transfer.training.trainer import Trainer
from keras_transfer.workflows.extractors import StageExtractors
from keras_transfer.workflows.scoring import Scorer
from keras_transfer.workflows.setup import Setup
from keras_transfer.workflows.solving import solve_head
from keras_transfer.workflows.stage_optimizer import check_updates, stage_optimizer, stage_plan
from keras_transfer.workflows.stage_precision import stage_precision
from keras_transfer.workflows.stage_views import stored_views

__all__ = ["Setup", "StageRunner"]

logger = logging.getLogger("keras_transfer")

STEADY = {"schedule": "constant", "warmup_epochs": 0.0, "learning_rate": 1e-3}
"""Changed optimizer settings of a stage during a sweep."""

MEASURED = {
    "epochs": 1,
    "learning_rate": 0.0,
    "optimizer": Optimizer(name="sgd", solver="logistic"),
}
"""A solved stage is measured and kept by an epoch that changes no weight."""


class StageRunner:
    """Trains the stages in sequence.

    Args:
        setup: What the stages share.
        stages: Their settings.
        folder: Folder of models, history and state.
    """

    batches: StageBatches
    extractor: FeatureExtractor | None
    views: Sequence[View] = ()
    further: Mapping[str, Samples] = {}

    def __init__(self, setup: Setup, stages: Sequence[Stage], folder: Path):
        self.setup, self.folder = setup, folder
        self.stages = tuple(
            stage.model_copy(update=MEASURED) if stage.solved else stage for stage in stages
        )
        self.network = setup.network
        merge_lora(self.network.model)  # a backbone from a file may have LoRA of its own
        self.trainer = Trainer(self.network, folder, setup.monitor, setup.targets.terms)
        # A copy of all kernels, so only where a stage needs it, and before anything trains.
        pulled = any(stage.tuning.l2_sp for stage in stages)
        self.origin = origin(self.network) if pulled else {}
        check_updates(self.stages, setup.steps)

    @cached_property
    def extractors(self) -> StageExtractors:
        """The feature extractors of the stages."""
        # Cutting sets which layers train; `_begin` sets it again for each stage.
        return self._extractors([self._cut(stage) for stage in self.stages])

    def _extractors(self, cuts: Sequence[Cut | None]) -> StageExtractors:
        setup = self.setup
        return StageExtractors(
            cuts, setup.loading, setup.train, setup.engine, backbone=setup.backbone
        )

    def run(self) -> None:
        """Train all stages, or the remaining ones; also write the preview."""
        # The preview must not delay training; result() raises its errors.
        with ThreadPoolExecutor(1) as executor:
            preview = executor.submit(self._preview)
            report(self.trainer.done["rows"])
            self._stages()
            preview.result()

    def find_rate(self) -> dict[str, Any]:
        """Sweep the rate of the first stage that an optimizer trains, and write the result.

        Stages before it are solved; nothing is trained.

        Returns:
            What ``write_sweep`` returns.

        Raises:
            CheckFailed: The loss falls at no rate.
        """
        index = next(index for index, stage in enumerate(self.stages) if not stage.solved)
        for before in range(index):
            self._begin(before)
            self._solve()
        self._begin(index)
        return self._found(index)

    def pretrained(self) -> FeatureExtractor:
        """The extractor of the pretrained backbone, frozen completely."""
        if self.stages[0].frozen:
            extractor = self.extractors.of(0)
        else:
            self.network.freeze(None, self.setup.batch_norm)
            extractor = self._extractors([self.network.cut()]).of(0)
        assert extractor is not None  # the backbone lies before the cut
        return extractor

    def outputs(self) -> dict[str, dict[str, np.ndarray]]:
        """(n, units) float64 of val, test and further samples by output, before any activation."""
        setup = self.setup
        scorer = Scorer(self.network, setup.targets.objectives, setup.loading, self.batches)
        splits = {name: setup.samples.split(name) for name in ("val", "test")}
        return scorer.splits({**splits, **self.further})

    def reports(self) -> dict[str, dict[str, Any]]:
        """Report of feature extraction by the stage's name."""
        return self.extractors.reports([stage.name for stage in self.stages])

    @property
    def done(self) -> dict[str, Any]:
        """The number of parameters, and the precision of training steps, by the stage's name."""
        return {name: self.trainer.done[name] for name in ("parameters", "precision")}

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Metrics of baselines on the test split, by name."""
        return {}

    def further_metrics(self, scores: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
        """Further entries of ``metrics.json``, by the scores of what ``outputs`` gives."""
        return {}

    def _stages(self) -> None:
        for index in range(len(self.stages)):
            self._begin(index)
            self._set_rate(index)
            if not self.trainer.passed(index):
                self._train(index)

    def _begin(self, index: int) -> None:
        stage, extractors = self.stages[index], self.extractors
        self._freeze(stage)
        done = self.trainer.done["stage"]
        if done and index == min(done, len(self.stages) - 1):  # resumed: what was learnt so far
            self.trainer.load_best()
        if not self.trainer.passed(index):
            self._enable_lora(index)
            self._count(stage)
        self.batches = self._batches(index, extractors.of(index))

    def _freeze(self, stage: Stage) -> None:
        self.network.freeze(stage.unfreeze, self.setup.batch_norm, stage.tuning.weights)

    def _enable_lora(self, index: int) -> None:
        """Add the matrices of LoRA, which the trainer merges at the end of the stage."""
        rank, alpha = self.stages[index].tuning.lora, self.stages[index].tuning.lora_alpha
        if rank is not None:
            # The stage counts: each begins with other matrices.
            seed = seeds.stream(self.setup.seed, "lora") + index
            self.network.enable_lora(rank, alpha, seed)

    def _count(self, stage: Stage) -> None:
        trainable, total = parameter_counts(self.network.model)
        logger.info("Stage %r trains %s of %s parameters", stage.name, trainable, total)
        counts = {"trainable": trainable, "total": total}
        self.trainer.done["parameters"][stage.name] = counts

    def _set_rate(self, index: int) -> None:
        """Set the rate of a stage from its sweep, if requested."""
        stage = self.stages[index]
        if stage.learning_rate == "auto":
            stage = stage.model_copy(update={"learning_rate": self._found(index)["learning_rate"]})
            self.stages = (*self.stages[:index], stage, *self.stages[index + 1 :])

    def _found(self, index: int) -> dict[str, Any]:
        """Result of a sweep of a stage, stored if the run is resumed."""
        sweep = stored_sweep(self.folder)
        if sweep is not None:
            logger.info(
                "Learning rate %.3g, from the sweep when the run started", sweep["learning_rate"]
            )
            return sweep
        stage = self.stages[index].model_copy(update=STEADY)
        optimizer = stage_optimizer(stage, self.network, self.setup.steps)
        accumulate = stage.optimizer.accumulate
        # With the stage's penalties, since they are part of the loss that will be trained.
        with self._pulled(stage):
            curve = self.trainer.sweep(
                self.batches, optimizer, accumulate=accumulate, precision=self._precision(index)
            )
        sweep = write_sweep(self.folder, curve)
        rules = ", ".join(f"{rate:.3g} ({rule})" for rule, rate in sweep["rules"].items())
        logger.info("Learning rates by a sweep of %s steps: %s", len(curve.rates), rules)
        return sweep

    def _train(self, index: int) -> None:
        stage, steps = self.stages[index], self.setup.steps
        optimizer = stage_optimizer(stage, self.network, steps)
        plan = stage_plan(self.stages, index, steps)
        with self._pulled(stage):
            plan = plan._replace(precision=self._precision(index))
            self.trainer.stage(index, self.batches, optimizer, plan, self._start(index))

    def _precision(self, index: int) -> str:
        asked, steps = self.setup.precision, self.setup.steps
        return stage_precision(self.stages[index], asked, self.trainer, self.batches, steps)

    def _start(self, index: int) -> Callable[[], None] | None:
        """What sets weights before the first epoch of a stage."""
        return self._solve if self.stages[index].solved else None

    def _solve(self) -> None:
        """Write the solution of the current stage into the head."""
        setup, extractor, head = self.setup, self.extractor, self.batches.model
        assert extractor is not None  # refused without an engine
        assert head is not None
        # CutMix stores no features; a solver takes those of the images themselves.
        tables = [extractor.table(setup.train, view) for view in self.views or [CLEAN]]
        solve_head(head, tables, setup.train, setup.targets.strategy, setup.seed)

    def _batches(self, index: int, extractor: FeatureExtractor | None) -> StageBatches:
        stage, setup = self.stages[index], self.setup
        targets, given = setup.targets, setup.loading.input
        self.extractor = extractor
        more: dict[str, Any] = {
            "epochs": stage.epochs,
            "augment": given.augment if given.augments else None,
            "seeds": self._seeds(index),
            "mix": targets.mix,
            "sampling": targets.strategy.sampling,
        }
        train, val = targets.train(), targets.val(setup.samples.split("val"))
        model = self.network.model if extractor is None else extractor.cut.trainable
        shortens = given.groups and takes_sequences(model)
        if shortens and setup.grouped is not None:
            more["sampling"] = setup.grouped
        if extractor is None:
            logger.info("The full network runs in every epoch%s", self._cure(stage))
            batches = from_examples(train, val, setup.loading, **more)
        else:
            self.views = stored_views(stage, targets, given, setup.view_seed)
            more["augment"] = self._streamed_augment(stage)
            more["resample"] = targets.resample
            batches = from_features(extractor, train, val, self.views, **more)
        batches = replace(batches, val=targets.judged(batches.val))
        return shortened(batches, model) if shortens else batches

    def _cure(self, stage: Stage) -> str:
        if self.setup.engine is None or stage.tuning.weights == "all":
            return ""
        return "; to run part of it only once, set unfreeze to the block where training begins"

    def _seeds(self, index: int) -> tuple[int, int]:
        """Seeds of a stage: for the order of the examples and for their augmentation."""
        shuffle, augment = (seeds.stream(self.setup.seed, name) for name in ("shuffle", "augment"))
        # Otherwise every stage would repeat the order of the first.
        return shuffle + index, augment + index

    def _streamed_augment(self, stage: Stage) -> Any:
        given = self.setup.loading.input
        clean = self.setup.targets.pixels_change and stage.views == "clean"
        return given.augment if given.augments and not clean else None

    def _cut(self, stage: Stage) -> Cut | None:
        self._freeze(stage)
        return None if self.setup.engine is None else self.network.cut()

    def _pulled(self, stage: Stage) -> AbstractContextManager[None]:
        tuning = stage.tuning
        return l2_sp(self.network, self.origin, backbone=tuning.l2_sp, head=tuning.l2_sp_head)

    def _preview(self) -> None:
        path, setup = self.folder / "augmented.png", self.setup
        if path.exists() or "pixels" not in setup.loading.input.spec:
            return
        given, train = setup.loading.input, setup.targets.labelled()
        pixels, labels = first_batch(
            train.samples,
            setup.loading,
            train.columns,
            seeds=self._seeds(0),
            augment=given.augment,
            mix=setup.targets.mix,
        )
        (name, *_) = setup.targets.objectives
        write_preview(path, pixels, labels, setup.targets.labels(name).names)

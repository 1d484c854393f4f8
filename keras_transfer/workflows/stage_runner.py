"""The stages of a recipe, one after the other: what runs once, what trains, on what.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_transfer import seeds
from keras_transfer.cache import cache_dir
from keras_transfer.config.groups import Augment, Stage
from keras_transfer.data.batches import Loading, evaluation_batches
from keras_transfer.data.mixing import Mixing
from keras_transfer.data.policies import Augmentation
from keras_transfer.data.preview import first_batch, write_preview
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.evaluation.inference import agree, probabilities
from keras_transfer.features.extractor import CLEAN, EngineConfig, FeatureExtractor, View, sources
from keras_transfer.features.stage_batches import Feed, feed_features, feed_pixels
from keras_transfer.networks.cutting import Cut, cut_network
from keras_transfer.networks.freezing import freeze, parameter_counts
from keras_transfer.runs.sweeps import stored_sweep, write_sweep
from keras_transfer.training.layer_rates import layer_factors
from keras_transfer.training.optimizers import build_optimizer
from keras_transfer.training.penalties import l2_sp, origin
from keras_transfer.training.trainer import StagePlan, Supply, Trainer
from keras_transfer.workflows.imbalance import ImbalanceStrategy

if TYPE_CHECKING:
    from keras_transfer.workflows.finetune import Classify

__all__ = ["StageRunner"]

logger = logging.getLogger("keras_transfer")

VIEWS, EPOCHS_A_VIEW = 4, 5
"""Most views of an image that a stage keeps by itself; for how many epochs each of them serves."""

STEADY = {"schedule": "constant", "warmup_epochs": 0.0}
"""What a stage's optimizer is to be while a sweep sets its rate."""

PROBES = 8
"""Test images that the whole network answers too, beside its parts."""


class StageRunner:
    """A classifier in training.

    Args:
        recipe: Says how.
        folder: Where models, history and state go.
        model: As ``build_classifier`` makes it; in the end it holds the best weights.
        samples: With all their parts.
        loading: How images become batches.
    """

    def __init__(
        self, recipe: Classify, folder: Path, model: keras.Model, samples: Samples, loading: Loading
    ):
        self.recipe, self.model, self.samples, self.loading = recipe, model, samples, loading
        self.folder = folder
        self.backbone = model.get_layer("backbone")
        self.trainer = Trainer(model, folder, recipe.monitor)
        self.train = samples.split("train")
        self.balancing = self._balanced()
        self.weights = self.balancing.weights
        self.augment = Augmentation(**recipe.augment.model_dump())
        soft = bool(self.balancing.focal_gamma)
        self.mixing = mixing_of(recipe, len(samples.classes), soft)
        if self.mixing:
            self.weights = self.mixing.class_weights(self.weights)
        self.means = EngineConfig(recipe.engine, recipe.engine_error, cache_dir(), recipe.cache)
        self.parts: dict[int, FeatureExtractor] = {}
        pulled = any(stage.l2_sp for stage in recipe.planned)
        self.origin = origin(self.backbone) if pulled else {}
        self._check_updates()
        self.feed: Feed

    def _check_updates(self) -> None:
        """Refuse a stage that would end before its first update."""
        for number, stage in enumerate(self.recipe.planned):
            batches = self.loading.steps(self.balancing.length) * stage.epochs
            if stage.accumulate > batches:
                raise BadConfiguration(
                    f"stages.{number}.accumulate = {stage.accumulate}: the stage {stage.name!r} "
                    f"has {batches} batches in all, so it would make no update. Accumulate fewer, "
                    "or take more epochs or a smaller batch_size."
                )

    def run(self) -> None:
        """Fit all stages, or what is left of them; the preview is made beside that."""
        with ThreadPoolExecutor(1) as beside:
            preview = beside.submit(self._preview)
            self._stages()
            preview.result()

    def _stages(self) -> None:
        cuts = [self._cut(stage) for stage in self.recipe.planned]
        for index in range(len(cuts)):
            self._begin(index, cuts)
            self._settle_rate()
            if not self.trainer.passed(index):
                self._fit(index)

    def find_rate(self) -> dict[str, Any]:
        """Sweep the learning rate of the first stage and write what is found; fit nothing.

        Returns:
            As ``write_sweep`` does.

        Raises:
            CheckFailed: The loss falls at no rate.
        """
        self._begin(0, [self._cut(stage) for stage in self.recipe.planned])
        return self._found()

    def _begin(self, index: int, cuts: Sequence[Cut | None]) -> None:
        stage, source = self.recipe.planned[index], sources(cuts)[index]
        freeze(self.backbone, stage.unfreeze, self.recipe.batch_norm)
        trainable, total = parameter_counts(self.model)
        logger.info("Stage %r trains %s of %s parameters", stage.name, trainable, total)
        done = self.trainer.done["stage"]
        if done and index == min(done, len(cuts) - 1):  # taken up: what was learnt so far
            self.model.load_weights(self.folder / "best.keras")
        earlier = None if source is None else self._part(source, cuts[source])
        self.feed = self._feed(index, self._part(index, cuts[index], earlier))

    def _settle_rate(self) -> None:
        """Give the first stage the rate of its sweep, which says nothing about later ones."""
        if self.recipe.lr == "auto":
            first, *others = (stage.model_dump(mode="json") for stage in self.recipe.stages)
            first["learning_rate"] = self._found()["learning_rate"]
            self.recipe = self.recipe.changed(lr=None, stages=[first, *others])

    def _found(self) -> dict[str, Any]:
        """What a sweep of the first stage finds, or found when the run began."""
        found = stored_sweep(self.folder)
        if found is not None:
            logger.info("Learning rate %.3g, as found when the run began", found["learning_rate"])
            return found
        stage = self.recipe.planned[0]
        optimizer = self._optimizer(stage.model_copy(update=STEADY))
        with self._pulled(stage):
            seen = self.trainer.sweep(self._supply(), optimizer, accumulate=stage.accumulate)
        found = write_sweep(self.folder, seen)
        rules = ", ".join(f"{rate:.3g} ({rule})" for rule, rate in found["rules"].items())
        logger.info("Learning rates by a sweep of %s steps: %s", len(seen.rates), rules)
        return found

    def predictions(self) -> dict[str, np.ndarray]:
        """Probabilities of val and test: by way of features, if the whole network agrees."""
        parts = {name: self.samples.split(name) for name in ("val", "test")}
        trainable = self.feed.part
        if trainable is not None:
            found = {
                name: probabilities(trainable, self.feed.evaluation(part), name)[: len(part)]
                for name, part in parts.items()
            }
            test = parts["test"]
            some = np.unique(np.linspace(0, len(test) - 1, PROBES).astype(int))
            pixels = evaluation_batches(test.take(some), self.loading)
            whole = probabilities(self.model, pixels, graph=False)[: len(some)]
            if agree(found["test"][some], whole):
                return found
            logger.warning(
                "Warning: the whole network answers otherwise than its parts do, so all metrics "
                "come from the whole. Consider --engine-error 0."
            )
        return {
            name: probabilities(self.model, evaluation_batches(part, self.loading), name)[
                : len(part)
            ]
            for name, part in parts.items()
        }

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Metrics on the test split, by name, to stand beside those of the model."""
        return {}

    def reports(self) -> dict[str, dict[str, Any]]:
        """What the feature engine did for each stage, by the stage's name."""
        return {
            self.recipe.planned[index].name: part.report
            for index, part in sorted(self.parts.items())
            if any(part.counts.values())
        }

    def _balanced(self) -> ImbalanceStrategy:
        balancing = ImbalanceStrategy(self.recipe, self.train)
        balancing.report(self.train)
        return balancing

    def _cut(self, stage: Stage) -> Cut | None:
        freeze(self.backbone, stage.unfreeze, self.recipe.batch_norm)
        return None if self.recipe.engine == "none" else cut_network(self.model)

    def _part(
        self, index: int, cut: Cut | None, earlier: FeatureExtractor | None = None
    ) -> FeatureExtractor | None:
        """The frozen part of a stage, as its weights are now; None where all runs in the loop."""
        if cut is not None and index not in self.parts:
            self.parts[index] = FeatureExtractor(
                cut,
                self.loading,
                self.train,
                self.means,
                backbone=self.recipe.backbone,
                earlier=earlier,
            )
        return self.parts.get(index)

    def _feed(self, index: int, part: FeatureExtractor | None) -> Feed:
        stage = self.recipe.planned[index]
        more: dict[str, Any] = {
            "seeds": self._seeds(index),
            "class_weights": self.weights,
            "mix": self.mixing,
            "sampling": self.balancing.sampling,
        }
        if part is None:
            logger.info("The whole network runs in every epoch")
            return feed_pixels(
                self.train, self.loading, augment=self.augment, epochs=stage.epochs, **more
            )
        augment: Augmentation | None = self.augment
        views = self._views(stage)
        if self.recipe.cutmix:
            logger.info("cutmix shows new images in every epoch, so no features are kept of them")
            augment, views = (None if stage.views == "clean" else augment), []
        elif views == [CLEAN] and self.recipe.augment != Augment():
            logger.info("Stage %r learns from clean features and sees no augment", stage.name)
        more |= {"resample": self.balancing.resample}
        return feed_features(part, self.train, views, augment=augment, epochs=stage.epochs, **more)

    def _seeds(self, index: int) -> tuple[int, int]:
        """Of a stage: for the order of the images and for their augmentation."""
        shuffle, augment = (seeds.stream(self.recipe.seed, one) for one in ("shuffle", "augment"))
        return shuffle + index, augment + index

    def _preview(self) -> None:
        path = self.folder / "augmented.png"
        if not path.exists():
            pixels, labels = first_batch(
                self.train,
                self.loading,
                seeds=self._seeds(0),
                augment=self.augment,
                mix=self.mixing,
            )
            write_preview(path, pixels, labels, self.samples.classes)

    def _views(self, stage: Stage) -> list[View]:
        """The views of each image that are kept for a stage, the clean one first."""
        metadata, (_, seed) = self.recipe.augment.model_dump(mode="json"), self._seeds(0)
        count = self._view_count(stage)
        others = [View(metadata, number, seed, self.augment) for number in range(1, count)]
        return [CLEAN, *others][:count]

    def _view_count(self, stage: Stage) -> int:
        """How many views of each image are kept for a stage; 0: fresh ones in every epoch."""
        resampled = self.balancing.resample is not None
        if self.recipe.augment == Augment() or stage.views == "clean" or resampled:
            return 1
        if stage.views == "auto":
            drawn = self.balancing.rounds  # one image in one epoch, each time another view
            if stage.unfreeze in (None, "none"):
                return min(VIEWS, drawn)
            return min(VIEWS, max(drawn, stage.epochs // EPOCHS_A_VIEW))
        return 0 if stage.views == "fresh" else int(stage.views)

    def _fit(self, index: int) -> None:
        stage = self.recipe.planned[index]
        with self._pulled(stage):
            self.trainer.stage(index, self._supply(), self._optimizer(stage), self._plan(index))

    def _plan(self, index: int) -> StagePlan:
        stage, later = self.recipe.planned[index], self.recipe.planned[index + 1 : index + 2]
        return StagePlan(
            stage.name,
            stage.epochs,
            self.loading.steps(self.balancing.length),
            patience=stage.patience,
            plateau=stage.decay if stage.schedule == "plateau" else None,
            soup=stage.soup,
            carry=stage.carry,
            keep_optimizer_state=any(one.carry for one in later),
        )

    def _optimizer(self, stage: Stage) -> keras.optimizers.Optimizer:
        steps = self.loading.steps(self.balancing.length)
        even = stage.layer_decay == 1
        return build_optimizer(
            stage.optimizer,
            learning_rate=stage.learning_rate,
            schedule=stage.schedule,
            steps=steps * stage.epochs,
            warmup_steps=round(steps * stage.warmup_epochs),
            decay=stage.decay,
            carry=stage.carry,
            factor_of=None if even else layer_factors(self.model, stage.layer_decay),
            momentum=stage.momentum,
            weight_decay=stage.weight_decay,
            global_clipnorm=stage.clipnorm,
            clipvalue=stage.clipvalue,
            gradient_accumulation_steps=stage.accumulate if stage.accumulate > 1 else None,
            use_ema=stage.ema is not None,
            ema_momentum=stage.ema,
        )

    def _supply(self) -> Supply:
        supply = self.feed.supply(self.samples.split("val"))
        if self.mixing:
            supply = supply._replace(val=self.mixing.judged(supply.val))
        return supply._replace(focal_gamma=self.balancing.focal_gamma)

    def _pulled(self, stage: Stage) -> AbstractContextManager[None]:
        pulls = {"backbone": stage.l2_sp, "head": stage.l2_sp_head}
        return l2_sp(self.model, self.origin, **pulls)


def mixing_of(recipe: Classify, classes: int, soft: bool = False) -> Mixing | None:
    """What makes labels soft; None where neither the recipe nor its loss (``soft``) asks for it."""
    if not (soft or recipe.mixup or recipe.cutmix or recipe.label_smoothing):
        return None
    return Mixing(
        classes,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
        label_smoothing=recipe.label_smoothing,
        off_epoch=recipe.mixup_off_epoch,
    )

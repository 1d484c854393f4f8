"""Fine-tuning: a new head on a pretrained backbone, then tuned block by block."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from keras_transfer import quiet, runs, seeds
from keras_transfer.cache import cache_dir
from keras_transfer.config import rules, shorthand
from keras_transfer.config.groups import Backbone, Batches, Head, Runtime
from keras_transfer.config.stages import Stage
from keras_transfer.config.tree import nested
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration, CheckFailed, UnknownName
from keras_transfer.group import Group
from keras_transfer.inputs.image import Image
from keras_transfer.methods.bagging import Bagging
from keras_transfer.methods.base import from_text
from keras_transfer.methods.supervised import Supervised
from keras_transfer.networks.backbones import BACKBONES, build_backbone
from keras_transfer.objectives.classification import Classification
from keras_transfer.workflows.pretrained import load_pretrained, resolve_weights
from keras_transfer.workflows.reading import read_samples
from keras_transfer.workflows.recipe import Recipe

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keras_transfer.networks.network import Network
    from keras_transfer.workflows.stage_runner import StageRunner

__all__ = ["Classify", "FineTune"]

logger = logging.getLogger("keras_transfer")

AnyMethod = Annotated[
    Supervised | Bagging,
    Field(discriminator="type"),
    BeforeValidator(lambda value: from_text(value) if isinstance(value, str) else value),
]


Stages = Annotated[
    tuple[Stage, ...], Field(min_length=1, description="what is trained, one after the other")
]


class _Staged(Group):
    """The stages alone, which shorthand is applied to before the other settings are checked."""

    stages: Stages = (Stage("head"),)


class FineTune(Recipe):
    """Fine-tune a pretrained network."""

    input: Image = Field(Image(), description="how an example becomes tensors")
    backbone: Backbone = Field(description="the pretrained network")
    head: Head = Field(Head(), description="what is put on the backbone")
    objective: Classification = Field(Classification(), description="what is predicted")
    method: AnyMethod = Field(
        Supervised(),
        description="supervised; bagging:10 averages ten heads",
        json_schema_extra={"section": "Training"},
    )
    stages: Stages = (Stage("head"),)
    batches: Batches = Field(Batches(), description="how examples become batches")
    monitor: str = Field(
        "val_loss",
        description="metric that chooses the best epoch",
        json_schema_extra={"section": "Training"},
    )
    runtime: Runtime = Field(Runtime(), description="precision, devices, engine")
    baselines: Annotated[
        tuple[Literal["scratch", "boosted_trees"], ...],
        BeforeValidator(lambda value: _listed(value) if isinstance(value, str) else value),
    ] = Field(
        (),
        description="trained for comparison: scratch, boosted_trees",
        json_schema_extra={"section": "Training"},
    )

    @classmethod
    def _complete(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        given = shorthand.checked(settings)
        found = nested(cls, {k: v for k, v in settings.items() if k not in shorthand.SHORTHAND})
        if given:
            stages = _Staged(**{k: v for k, v in found.items() if k == "stages"}).stages
            full = [stage.model_dump(mode="json") for stage in stages]
            found["stages"] = shorthand.apply(full, given)
        return found

    def model_post_init(self, context: Any) -> None:
        """Refuse settings that exclude each other."""
        reason = rules.broken(rules.RECIPE_RULES, self)
        if reason:
            raise BadConfiguration(reason)

    def train(self, folder: Path, source: Any) -> dict[str, Any]:
        """Check, read, train, evaluate; everything is written into the directory."""
        clock: dict[str, float] = {}
        weights = resolve_weights(self.backbone.weights)
        with self._session() as (devices, replicas):
            recipe, samples = self, None
            if self.stages[0].schedule == "bit":
                with _timed(clock, "data"):
                    samples = self._samples(folder, source)
                    recipe = self._ruled(samples)
            with _timed(clock, "network"), devices.scope():
                backbone = recipe._backbone(weights)
            if samples is None:
                with _timed(clock, "data"):
                    samples = self._samples(folder, source)
            with _timed(clock, "training"), devices.scope():
                runner, trees = recipe._trained(folder, backbone, samples, replicas)
            with _timed(clock, "evaluation"):
                metrics = recipe._evaluate(folder, samples, runner)
                if trees is not None:
                    metrics["baselines"]["boosted_trees"] = trees.metrics(self.seed)
        if "scratch" in self.baselines:
            with _timed(clock, "baseline"):
                metrics["baselines"]["scratch"] = recipe._from_scratch(folder / "baseline", source)
        runs.write_json(folder / "metrics.json", metrics)
        for home in (folder, *folder.glob("members/*")):
            (home / "state.npz").unlink(missing_ok=True)
        reports = runner.reports()
        clock["features"] = sum(report["seconds"] for report in reports.values())
        data = runs.fingerprint(folder / "split.csv")
        return {"seconds": clock, "features": reports, "data": data}

    def find_rate(self, folder: Path) -> dict[str, Any]:
        """Find a learning rate by a sweep of the first stage, which is where a run would begin.

        Args:
            folder: Where ``lr_find.csv`` and such go.

        Returns:
            "learning_rate", which ``lr="auto"`` would take, its "rule", and those of all "rules".

        Raises:
            CheckFailed: The loss falls at no rate.
        """
        plain = self.changed(method="supervised")  # one head: each member has a rate of its own
        weights = resolve_weights(self.backbone.weights)
        with self._session() as (devices, replicas):
            with devices.scope():
                backbone = self._backbone(weights)
            samples = self._samples(folder, self.data.source)
            with devices.scope():
                return plain._runner(folder, backbone, samples, replicas).find_rate()

    def check_network(self) -> None:
        """Build the network, with random weights, to find out what is wrong with its settings.

        Raises:
            BadConfiguration: Such as a block to unfreeze that the backbone does not have.
        """
        self._backbone("none")

    @contextmanager
    def _session(self) -> Iterator[tuple[tf.distribute.Strategy, int]]:
        """Seed, precision and devices of a run; gives the strategy and its number of replicas."""
        quiet.import_tensorflow()
        from keras_transfer.training.distributed import session, strategy

        runtime, seed = self.runtime, seeds.stream(self.seed, "weights")
        deterministic = runtime.deterministic
        with session(seed=seed, precision=runtime.precision, deterministic=deterministic):
            devices = strategy(runtime.strategy, self.batches.batch_size)
            replicas = devices.num_replicas_in_sync
            refused = rules.accumulation(self) if replicas > 1 else ""
            if refused:
                raise BadConfiguration(refused)
            yield devices, replicas

    def _backbone(self, weights: str) -> keras.Model:
        """Build and fill the backbone; whatever is wrong with the network shows before the data."""
        from keras_transfer.networks.blocks import blocks
        from keras_transfer.networks.freezing import freeze
        from keras_transfer.networks.heads import build_head

        name, variant = self.backbone.name, self.backbone.variant
        backbone = build_backbone(name, image_size=self.input.image_size, variant=variant)
        build_head(2, **self.head.model_dump())
        for number, stage in enumerate(self.stages):
            try:
                freeze(backbone, stage.unfreeze, self.backbone.batch_norm)
            except UnknownName as error:
                raise BadConfiguration(
                    f"stages.{number}.unfreeze: {error} "
                    f"The blocks of {name} are: {', '.join(blocks(backbone))}."
                ) from None
        load_pretrained(backbone, weights, name=name, variant=variant)
        return backbone

    def _samples(self, folder: Path, source: Any) -> Samples:
        """Read and check the examples, and divide them into splits."""
        own: Any = self.objective.class_weight
        check = self.input.check
        return read_samples(
            self.data, source, folder, judge=check, seed=self.seed, class_weight=own
        )

    def _ruled(self, samples: Samples) -> FineTune:
        """The recipe as BiT-HyperRule wants it for these images."""
        from keras_transfer.workflows.hyperrule import hyperrule
        from keras_transfer.workflows.imbalance import ImbalanceStrategy

        train = samples.split("train")
        length = ImbalanceStrategy(self.objective, train, self.seed).length
        (first,), size = self.stages, self.input.image_size
        rule = hyperrule(first, self.batches, size, train, length, self.input.shapes)
        return self.changed(stages=[rule.stage], image_size=rule.image_size, mixup=rule.mixup)

    def _network(self, backbone: keras.Model, classes: int) -> Network:
        from keras_transfer.data.batches import LABEL
        from keras_transfer.networks.heads import build_head
        from keras_transfer.networks.network import build_network

        members = self.method.members if isinstance(self.method, Bagging) else 1
        head = build_head(classes, members=members, **self.head.model_dump())
        preprocessing = BACKBONES[self.backbone.name].preprocessing
        return build_network(backbone, {LABEL: head}, preprocessing=preprocessing)

    def _runner(
        self, folder: Path, backbone: keras.Model, samples: Samples, replicas: int
    ) -> StageRunner:
        from keras_transfer.data.batches import Loading
        from keras_transfer.workflows.bagging import BaggingRunner
        from keras_transfer.workflows.imbalance import ImbalanceStrategy
        from keras_transfer.workflows.stage_runner import Setup, StageRunner
        from keras_transfer.workflows.targets import Targets

        network = self._network(backbone, len(samples.classes))
        train = samples.split("train")
        strategy = ImbalanceStrategy(self.objective, train, self.seed)
        strategy.report(train)
        bound = self.input.bind(backbone.input_shape[1])
        setup = Setup(
            network,
            samples,
            Loading(bound, self.batches.batch_size, replicas),
            Targets(self.objective, train, self.batches, strategy),
            self._engine(),
            backbone=self.backbone.name,
            batch_norm=self.backbone.batch_norm,
            monitor=self.monitor,
            seed=self.seed,
            view_seed=seeds.stream(self.seed, "augment"),
        )
        runner = BaggingRunner if isinstance(self.method, Bagging) else StageRunner
        return runner(setup, self.stages, folder)

    def _engine(self) -> Any:
        from keras_transfer.features.extractor import EngineConfig

        runtime = self.runtime
        if runtime.engine == "none":
            return None
        return EngineConfig(runtime.engine, runtime.engine_error, cache_dir(), runtime.cache)

    def _trained(
        self, folder: Path, backbone: keras.Model, samples: Samples, replicas: int
    ) -> tuple[StageRunner, Any]:
        """Train; gives the runner, and the boosted trees with their features if asked for."""
        runner, trees = self._runner(folder, backbone, samples, replicas), None
        if "boosted_trees" in self.baselines:
            from keras_transfer.workflows.boosted_trees import BoostedTrees

            flattens = self.head.pooling == "flatten"
            shape = backbone.output_shape[1:] if flattens else None
            strategy = runner.setup.targets.strategy
            trees = BoostedTrees(runner.pretrained(), samples, strategy, shape)
        runner.run()
        return runner, trees

    def _evaluate(self, folder: Path, samples: Samples, runner: StageRunner) -> dict[str, Any]:
        """Metrics of the best model from predictions made once."""
        from keras_transfer.data.batches import LABEL
        from keras_transfer.evaluation import metrics as compute
        from keras_transfer.evaluation.predictions import write_curves, write_predictions

        metrics: dict[str, Any] = {}
        predictions, counts = runner.predictions(), samples.split("train").counts()
        for name, file in (("val", "predictions_val.csv"), ("test", "predictions.csv")):
            split, found = samples.split(name), predictions[name][LABEL]
            write_predictions(folder / file, split.keys, split.labels, found, split.classes)
            metrics[name] = self.objective.evaluate(split.labels, found, split.classes, counts)
        test = samples.split("test")
        metrics["baselines"] = {
            "majority": compute.majority_baseline(counts, test.labels, test.classes),
            **runner.baselines(),
        }
        scores = predictions["test"][LABEL]
        curves = compute.precision_recall_curves(test.labels, scores, test.classes)
        write_curves(folder / "pr_curves.csv", curves)
        return metrics

    def _from_scratch(self, folder: Path, source: Any) -> dict[str, Any]:
        """Test metrics of the same number of epochs without pretraining, everything trained."""
        total = sum(stage.epochs for stage in self.stages)
        first = self.stages[0].model_dump(mode="json")
        first |= {"name": "scratch", "epochs": total, "unfreeze": "all"}
        imbalance = self.objective.imbalance
        scratch = self.changed(
            weights="none",
            batch_norm="train",
            baselines=(),
            method="supervised",
            # There are no features to make others up from while everything is trained.
            imbalance="oversample" if imbalance == "smote" else imbalance,
            stages=[first],
        )
        try:
            if not runs.is_done(folder):
                scratch.run_in(folder, "scratch", source)
        except CheckFailed as error:  # the run itself is done, and must not be lost by this
            logger.warning("Warning: the baseline failed. %s", error)
            return {"error": str(error)}
        return runs.Run(folder).metrics["test"]


class Classify(FineTune):
    """Fine-tune a pretrained network to tell classes apart."""


def _listed(text: str) -> list[str]:
    """The names of baselines in "scratch, boosted_trees"; "none" is an empty list."""
    return [] if text in ("", "none") else [name.strip() for name in text.split(",")]


@contextmanager
def _timed(clock: dict[str, float], what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    clock[what] = round(time.perf_counter() - began, 3)

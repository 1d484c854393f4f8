"""Fine-tuning: a new head on a pretrained backbone, then training block by block."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from keras_transfer import runs, seeds
from keras_transfer.atomic import write_json
from keras_transfer.clock import phase
from keras_transfer.config import rules
from keras_transfer.config.groups import AUTO, Backbone, Batches, Head, Runtime
from keras_transfer.config.solver_checks import resolved
from keras_transfer.config.stages import Stage
from keras_transfer.data import sources
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.inputs.image import Image
from keras_transfer.inputs.table import AnyInput
from keras_transfer.methods.adabn import AdaBN
from keras_transfer.methods.adaptation import DeepAdaptation, NetworkAdaptation
from keras_transfer.methods.bagging import Bagging
from keras_transfer.methods.supervised import Supervised
from keras_transfer.methods.table import AnyMethod
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.outputs import labels_of, single_class
from keras_transfer.objectives.table import AnyObjective
from keras_transfer.runs.alignment import at_tokens
from keras_transfer.workflows.auto_backbone import choose_backbone
from keras_transfer.workflows.comparisons import from_scratch, plain_models, source_only
from keras_transfer.workflows.evaluation import evaluate_run
from keras_transfer.workflows.pretrained import check_same_file, resolve_weights
from keras_transfer.workflows.reading import brought, read_samples
from keras_transfer.workflows.recipe import Recipe
from keras_transfer.workflows.staging import Stages, completed, learnt_by, started
from keras_transfer.workflows.target_check import check_decisions, check_target, check_unknown

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keras_transfer.workflows.stage_runner import Setup, StageRunner

__all__ = ["Classify", "FineTune", "Stages", "listed"]

logger = logging.getLogger("keras_transfer")


class FineTune(Recipe):
    """Fine-tune a pretrained network."""

    input: AnyInput = Field(Image(), description="image, text or text_pair")
    backbone: Backbone = Field(description="the pretrained network")
    head: Head = Field(Head(), description="layers on top of the backbone")
    objective: AnyObjective = Field(
        Classification(), description="task: classification, multilabel, regression or tokens"
    )
    method: AnyMethod = Field(
        Supervised(),
        description="supervised, bagging:10 (ten heads), distill:run:DIR, setfit; or one that "
        "adapts to a target domain, e.g. dan",
        json_schema_extra={"section": "Training"},
    )
    stages: Stages = (Stage("head"),)
    batches: Batches = Field(Batches(), description="batch size, MixUp and CutMix")
    monitor: str = Field(
        "val_loss",
        description="metric that chooses the best epoch",
        json_schema_extra={"section": "Training"},
    )
    runtime: Runtime = Field(Runtime(), description="precision, devices, engine")
    baselines: Annotated[
        tuple[Literal["scratch", "boosted_trees", "none"], ...],
        BeforeValidator(lambda value: listed(value)),
    ] = Field(
        (),
        description="models to train for comparison: scratch, boosted_trees; none: also skip the "
        "plain model of a method",
        json_schema_extra={"section": "Training"},
    )

    @property
    def objectives(self) -> dict[str, Objective]:
        """Objectives by the name of the network's output."""
        return dict(self.objective) if isinstance(self.objective, dict) else {LABEL: self.objective}

    @property
    def chosen_by(self) -> str:
        """Metric that chooses the best epoch, and the best trial of a search."""
        method = self.method
        return f"val_{method.choose_by}" if isinstance(method, DeepAdaptation) else self.monitor

    @classmethod
    def _complete(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        return completed(cls, settings)

    def model_post_init(self, context: Any) -> None:
        """Refuse settings that exclude each other."""
        # BadConfiguration is no ValueError, so pydantic passes it on as it is.
        reason = rules.broken(rules.RECIPE_RULES, self)
        if reason:
            raise BadConfiguration(reason)

    def resolved(self, folder: Path, source: Any) -> FineTune:
        """The recipe with the best backbone of this machine, if it is to be found."""
        return choose_backbone(self, folder, source) if self.backbone.name == AUTO else self

    def train(self, folder: Path, source: Any) -> dict[str, Any]:
        """Check, read, train, evaluate; everything is written into the directory."""
        # Another recipe may train for hours before the data are read.
        sources.check_there(source)
        check_same_file(folder, self.backbone.name)
        check_unknown(self.objectives, {})
        # Before the session: another recipe may run first, with its own seed and precision.
        weights = resolve_weights(self.backbone.weights)
        if isinstance(self.method, NetworkAdaptation):
            with phase("plain_models"):
                source_only(self, folder, source)
        with self._session() as (devices, replicas):
            recipe, samples = self, None
            learnt = brought(self.input, self.backbone.name, weights, folder)
            # Other networks are built first: their errors show before a long scan of the data.
            if self._needs_data(learnt):
                with phase("data"):
                    samples = self._samples(folder, source)
                    learnt = self._learnt(folder, samples, learnt)
                    recipe = self._ruled(samples)
            with phase("network"), devices.scope():
                backbone = recipe._backbone(weights, learnt)
            if samples is None:
                with phase("data"):
                    samples = self._samples(folder, source)
            with phase("training"), devices.scope():
                runner, trees = recipe._trained(folder, backbone, samples, replicas)
            with phase("evaluation"):
                columns = self.input.text_columns
                metrics = evaluate_run(folder, self.objectives, runner, columns=columns)
                if trees is not None:
                    metrics["baselines"]["boosted_trees"] = trees.metrics(self.seed)
        if "scratch" in self.baselines:
            with phase("baseline"):
                metrics["baselines"]["scratch"] = from_scratch(recipe, folder / "baseline", source)
        if "none" not in self.baselines or isinstance(self.method, NetworkAdaptation):
            with phase("plain_models"):
                metrics["baselines"] |= plain_models(self, folder, samples)
        write_json(folder / "metrics.json", metrics)
        reports = runner.reports()
        data = runs.fingerprint(folder / "split.csv")
        return {"features": reports, **runner.done, "data": data}

    def find_rate(self, folder: Path) -> dict[str, Any]:
        """Find a learning rate by a sweep at the start of the first stage.

        Args:
            folder: Folder for ``lr_find.csv`` and other results.

        Returns:
            "learning_rate", which ``lr="auto"`` would take, its "rule", and those of all "rules".

        Raises:
            CheckFailed: The loss falls at no rate.
        """
        if isinstance(self.method, NetworkAdaptation):
            check_target(self.method, self.data.source)
        # One head: each member would have a separate rate; AdaBN has the loss of the source.
        alone = isinstance(self.method, Bagging | AdaBN)
        plain = self.changed(method="supervised") if alone else self
        with plain.prepared(folder, self.data.source) as runner:
            return runner.find_rate()

    @contextmanager
    def prepared(self, folder: Path, source: Any) -> Iterator[StageRunner]:
        """Do all that a run does before it trains.

        Args:
            folder: Gets the tables of examples and what the input learns; not that of a run.
            source: The data: a spec or arrays.

        Yields:
            The runner of the stages.
        """
        sources.check_there(source)
        check_unknown(self.objectives, {})
        weights = resolve_weights(self.backbone.weights)
        if isinstance(self.method, NetworkAdaptation):
            check_target(self.method, source)
        with self._session() as (devices, replicas):
            learnt = brought(self.input, self.backbone.name, weights, folder)
            recipe, first = self, self._needs_data(learnt)
            samples = self._samples(folder, source) if first else None
            if samples is not None:
                learnt, recipe = self._learnt(folder, samples, learnt), self._ruled(samples)
            with devices.scope():
                backbone = recipe._backbone(weights, learnt)
                samples = self._samples(folder, source) if samples is None else samples
                yield recipe._runner(folder, backbone, samples, replicas)

    def check_network(self) -> keras.Model:
        """Build the backbone with random weights to check its settings.

        Raises:
            BadConfiguration: Such as a block to unfreeze that the backbone does not have.
        """
        return self._backbone("none", None)

    def _session(self) -> AbstractContextManager[tuple[tf.distribute.Strategy, int]]:
        """Set seed and devices; gives the strategy and its number of replicas."""
        return started(self.runtime, self.batches.batch_size, self.seed)

    def _needs_data(self, brought: Any) -> bool:
        """Whether the network depends on the data, given what the weights bring."""
        return (self.input.learns and brought is None) or self.stages[0].schedule == "bit"

    def _learnt(self, folder: Path, samples: Samples, brought: Any) -> Any:
        """Fit the input on the train split, e.g. a vocabulary, and save its state."""
        return learnt_by(self.input, folder, samples, brought)

    def _backbone(self, weights: str, learnt: Any) -> keras.Model:
        """Build the backbone and load its weights; errors show before the data are read."""
        from keras_transfer.networks.heads import build_head
        from keras_transfer.workflows.building import build

        # For its errors only, since a large backbone takes seconds to build.
        build_head(2, **self.head.model_dump() | {"pooling": None})
        return build(self.backbone, self.input, self.stages, weights, learnt)

    def _samples(self, folder: Path, source: Any) -> Samples:
        """Read and check the examples, and divide them into splits."""
        return read_samples(
            self.data, source, folder, given=self.input, seed=self.seed, objectives=self.objectives
        )

    def _ruled(self, samples: Samples) -> FineTune:
        """The recipe with the settings of BiT-HyperRule for these images, if requested."""
        if self.stages[0].schedule != "bit" or not isinstance(self.input, Image):
            return self
        from keras_transfer.workflows.hyperrule import hyperrule
        from keras_transfer.workflows.imbalance import strategy_for

        train = samples.split("train")
        length = strategy_for(self.objectives, train, self.seed).length
        (first,), size = self.stages, self.input.image_size
        rule = hyperrule(first, self.batches, size, train, length, self.input.shapes)
        return self.changed(stages=[rule.stage], image_size=rule.image_size, mixup=rule.mixup)

    def _bound(self, folder: Path, backbone: keras.Model) -> Any:
        first, *_ = backbone.inputs
        names = [given.name for given in backbone.inputs]
        return self.input.bind_to(self.input.load(folder), first.shape[1], names)

    def _runner(
        self, folder: Path, backbone: keras.Model, samples: Samples, replicas: int
    ) -> StageRunner:
        from keras_transfer.data.batches import Loading
        from keras_transfer.workflows.adaptation_domain import read_domain
        from keras_transfer.workflows.building import add_heads
        from keras_transfer.workflows.extractors import engine_config
        from keras_transfer.workflows.imbalance import strategy_for
        from keras_transfer.workflows.method_targets import method_targets
        from keras_transfer.workflows.solving import solvable
        from keras_transfer.workflows.stage_runner import Setup
        from keras_transfer.workflows.text_lengths import report_lengths

        bound = self._bound(folder, backbone)
        samples = at_tokens(samples, self.objectives, bound)
        train = samples.split("train")
        objectives = {
            name: (objective, labels_of(train, name)) for name, objective in self.objectives.items()
        }
        check_decisions(self.objectives, samples)
        strategy = strategy_for(self.objectives, train, self.seed)
        if single_class(self.objectives):
            strategy.report(train)
        report_lengths(bound, train)
        loading = Loading(bound, self.batches.batch_size, replicas)
        how: dict[str, Any] = {"bound": bound, "cache": self.runtime.cache}
        how["domain"] = lambda method: read_domain(
            method, samples, self.input, self.data.data_dir, seed=self.seed, folder=folder
        )
        targets = method_targets(self.method, self.objectives, train, self.batches, strategy, **how)
        steps = loading.steps(targets.strategy.length) * sum(one.epochs for one in self.stages)
        network = add_heads(backbone, self.backbone, self.head, objectives, self.method, steps)
        setup = Setup(
            network,
            samples,
            loading,
            targets,
            engine_config(self.runtime),
            backbone=self.backbone.name,
            batch_norm=self.backbone.batch_norm,
            monitor=self.chosen_by,
            seed=self.seed,
            view_seed=seeds.stream(self.seed, "augment"),
            precision=self.runtime.steps_precision,
        )
        stages = [*resolved(self, solvable(network, len(train)))]
        return self._make_runner(setup, stages, folder)

    def _make_runner(self, setup: Setup, stages: Sequence[Stage], folder: Path) -> StageRunner:
        from keras_transfer.workflows.bagging import BaggingRunner
        from keras_transfer.workflows.setfit import SetFitRunner
        from keras_transfer.workflows.stage_runner import StageRunner

        if isinstance(self.method, NetworkAdaptation):
            from keras_transfer.workflows.adabn import AdaBNRunner
            from keras_transfer.workflows.adaptation import AdaptationRunner

            adapting = AdaBNRunner if isinstance(self.method, AdaBN) else AdaptationRunner
            baseline = folder / self.method.baseline_name
            return adapting(setup, stages, folder, method=self.method, baseline=baseline)
        runners: dict[str, type[StageRunner]] = {"bagging": BaggingRunner, "setfit": SetFitRunner}
        return runners.get(self.method.type, StageRunner)(setup, stages, folder)

    def _trained(
        self, folder: Path, backbone: keras.Model, samples: Samples, replicas: int
    ) -> tuple[StageRunner, Any]:
        """Train; returns the runner, and the boosted trees with their features if requested."""
        runner, trees = self._runner(folder, backbone, samples, replicas), None
        if "boosted_trees" in self.baselines:
            from keras_transfer.workflows.boosted_trees import BoostedTrees

            flattens = self.head.pooling == "flatten"
            shape = backbone.output_shape[1:] if flattens else None
            strategy = runner.setup.targets.strategy
            trees = BoostedTrees(runner.pretrained(), samples, strategy, shape)
        runner.run()
        return runner, trees


class Classify(FineTune):
    """Fine-tune a pretrained network to classify."""


def listed(value: Any) -> Any:
    """The names in a text such as "scratch, boosted_trees"."""
    return [*filter(None, map(str.strip, value.split(",")))] if isinstance(value, str) else value

"""Pretraining: a backbone for texts learns from texts without labels."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from keras_transfer import runs, seeds
from keras_transfer.atomic import write_json
from keras_transfer.clock import phase
from keras_transfer.config.groups import Backbone, Batches, Data, Runtime
from keras_transfer.config.pretrain_rules import PRETRAIN_RULES
from keras_transfer.config.rule import broken
from keras_transfer.config.stages import Stage
from keras_transfer.data import sources
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.inputs.text import Text
from keras_transfer.methods.masked_lm import MaskedLM
from keras_transfer.workflows.pretrained import resolve_weights
from keras_transfer.workflows.reading import brought, divided
from keras_transfer.workflows.recipe import Recipe
from keras_transfer.workflows.staging import Stages, completed, learnt_by, started

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_transfer.networks.network import Network
    from keras_transfer.workflows.pretraining import PretrainRunner

__all__ = ["Pretrain"]

logger = logging.getLogger("keras_transfer")


class Pretrain(Recipe):
    """Train a network for texts to predict masked words; no labels are needed.

    The result is a run whose network and vocabulary any recipe for texts takes by
    ``weights="run:DIR"``.
    """

    data: Data = Field(description="the texts")
    input: Text = Field(Text(), description="text")
    backbone: Backbone = Field(description="the network")
    method: MaskedLM = Field(
        MaskedLM(), description="masked_lm", json_schema_extra={"section": "Training"}
    )
    stages: Stages = (Stage("all", unfreeze="all"),)
    batches: Batches = Field(Batches(), description="batch size")
    monitor: str = Field(
        "val_perplexity",
        description="metric that chooses the best epoch",
        json_schema_extra={"section": "Training"},
    )
    runtime: Runtime = Field(Runtime(), description="precision and devices")

    @classmethod
    def _complete(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        return completed(cls, settings)

    def model_post_init(self, context: Any) -> None:
        """Refuse settings that exclude each other."""
        # BadConfiguration is no ValueError, so pydantic passes it on as it is.
        if reason := broken(PRETRAIN_RULES, self):
            raise BadConfiguration(reason)

    def check_labelled(self, what: str) -> None:
        """See ``Recipe.check_labelled``."""
        raise BadConfiguration(
            f"{what}: a pretraining has no labels to compare models by. Run it, and use {what} "
            "with a recipe that takes its network by --weights run:DIR."
        )

    def _recorded(self, folder: Path, name: str, source: Any, report: bool) -> None:
        super()._recorded(folder, name, source, report=False)  # a pretraining has none

    def train(self, folder: Path, source: Any) -> dict[str, Any]:
        """Check, read, train, evaluate; everything is written into the directory."""
        sources.check_there(source)
        weights = resolve_weights(self.backbone.weights)
        with self._session() as (devices, replicas):
            learnt = brought(self.input, self.backbone.name, weights, folder)
            samples = None
            # A network with weights is built first: its errors show before a scan of the data.
            if learnt is None:
                samples = self._samples(folder, source)
                learnt = learnt_by(self.input, folder, samples, learnt)
            with phase("network"), devices.scope():
                network = self._network(weights, learnt)
            if samples is None:
                samples = self._samples(folder, source)
            with phase("training"), devices.scope():
                runner = self._runner(folder, network, samples, replicas)
                before = runner.measured("as loaded")
                runner.run()
            with phase("evaluation"):
                metrics = runner.evaluated(before)
        write_json(folder / "metrics.json", metrics)
        return {**runner.done, "data": runs.fingerprint(folder / "split.csv")}

    def find_rate(self, folder: Path) -> dict[str, Any]:
        """Find a learning rate; see ``FineTune.find_rate``."""
        with self.prepared(folder, self.data.source) as runner:
            return runner.find_rate()

    @contextmanager
    def prepared(self, folder: Path, source: Any) -> Iterator[PretrainRunner]:
        """See ``FineTune.prepared``."""
        sources.check_there(source)
        weights = resolve_weights(self.backbone.weights)
        with self._session() as (devices, replicas):
            learnt = brought(self.input, self.backbone.name, weights, folder)
            samples = self._samples(folder, source)
            learnt = learnt_by(self.input, folder, samples, learnt)
            with devices.scope():
                network = self._network(weights, learnt)
                yield self._runner(folder, network, samples, replicas)

    def _session(self) -> AbstractContextManager[tuple[tf.distribute.Strategy, int]]:
        return started(self.runtime, self.batches.batch_size, self.seed)

    def _samples(self, folder: Path, source: Any) -> Samples:
        """Read and check the texts, and divide them into splits."""
        from keras_transfer.data.corpora import read_corpus

        if not isinstance(source, str | Path):
            raise BadConfiguration(
                f"data: a pretraining reads files of texts, not {sources.describe(source):.80}. "
                "Write them into a .txt file, a text in each line."
            )
        with phase("data"):
            samples = read_corpus(Path(source).expanduser(), self.input.text_columns)
            return divided(samples, self.data, folder, self.input, self.seed)

    def _network(self, weights: str, learnt: Any) -> Network:
        from keras_transfer.workflows.building import build
        from keras_transfer.workflows.masked_network import masked_network

        backbone = build(self.backbone, self.input, self.stages, weights, learnt)
        return masked_network(backbone, self.backbone.name, weights)

    def _runner(
        self, folder: Path, network: Network, samples: Samples, replicas: int
    ) -> PretrainRunner:
        from keras_transfer.data.batches import Loading
        from keras_transfer.inputs.masked_text import MaskedText
        from keras_transfer.workflows.imbalance import strategy_for
        from keras_transfer.workflows.pretraining import MaskedTargets, PretrainRunner
        from keras_transfer.workflows.stage_runner import Setup
        from keras_transfer.workflows.text_lengths import report_lengths

        train = samples.split("train")
        bound = MaskedText(self.input, self.input.load(folder), self.method.mask_share)
        report_lengths(bound, train)
        setup = Setup(
            network,
            samples,
            Loading(bound, self.batches.batch_size, replicas),
            MaskedTargets(train, strategy_for({}, train, self.seed)),
            None,  # no features are kept: words are masked otherwise in each epoch
            backbone=self.backbone.name,
            batch_norm=self.backbone.batch_norm,
            monitor=self.monitor,
            seed=self.seed,
            view_seed=seeds.stream(self.seed, "augment"),
            precision=self.runtime.steps_precision,
        )
        return PretrainRunner(setup, self.stages, folder)

"""Train on a source and a target domain, and keep what is better without the target's labels.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from keras_transfer import runs
from keras_transfer.config.stages import Stage
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.domains.selection import CRITERIA, Evidence
from keras_transfer.errors import BadData
from keras_transfer.evaluation.inference import collected, compiled
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.methods.adaptation import HEAD_FEATURES, Adaptation
from keras_transfer.networks.keras_files import load_keras_weights
from keras_transfer.networks.layers import ScheduledGradientReversal
from keras_transfer.training.resume import save_model
from keras_transfer.workflows.adaptation_choice import EXAMPLES, TARGET, Choice, Kept, choose
from keras_transfer.workflows.adaptation_metrics import adaptation_metrics, oracle
from keras_transfer.workflows.adapted_targets import AdaptedTargets, SourceTargets
from keras_transfer.workflows.domain_target import places
from keras_transfer.workflows.stage_runner import Setup, StageRunner

__all__ = ["AdaptationRunner", "check_same_split"]


class _Computed(NamedTuple):
    """Of n examples: (n, channels) features and (n, classes) probabilities."""

    features: np.ndarray
    probabilities: np.ndarray


class AdaptationRunner(StageRunner):
    """Trains a network with the terms of an adaptation.

    After each epoch the criterion is computed for the epoch's model, without labels of the target;
    the best epoch is kept. At the end the model is compared with the one without adaptation.

    Args:
        setup: Setup of the run; its targets have the target domain.
        stages: Their settings.
        folder: The run directory.
        method: Settings of the adaptation.
        baseline: Directory of the finished run without adaptation.
    """

    choice: Choice

    def __init__(
        self,
        setup: Setup,
        stages: Sequence[Stage],
        folder: Path,
        *,
        method: Adaptation,
        baseline: Path,
    ):
        super().__init__(setup, stages, folder)
        assert isinstance(setup.targets, AdaptedTargets | SourceTargets)
        self.method, self.domain, self.baseline = method, setup.targets.domain, baseline
        val = setup.samples.split("val")
        self.val = val.take(places(val, EXAMPLES, setup.seed))
        judged = self.domain.judged
        self.chosen_by = judged.take(places(judged, EXAMPLES, setup.seed))
        self.further = {TARGET: judged}
        self.values: dict[Kept, float] = {}
        self.scores: dict[Kept, np.ndarray] = {}

    def further_metrics(self, scores: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
        """Metrics on the target, and what the choice of the model rests on."""
        setup, kept = self.setup, self.choice.kept
        (objective,) = setup.targets.objectives.values()
        # Those of the kept model are checked against the full network.
        both = {**self.scores, kept: scores[TARGET][LABEL]}
        found = adaptation_metrics(
            self.folder, objective, setup.train, self.domain, both, self.choice
        )
        rows = self.trainer.done["rows"]
        found["adaptation"]["oracle"] = oracle(rows, setup.monitor, self.domain.known)
        return found

    def _batches(self, index: int, extractor: FeatureExtractor | None) -> StageBatches:
        batches = super()._batches(index, extractor)
        if isinstance(self.setup.targets, AdaptedTargets):
            batches = replace(batches, measure=self._measure)
        # Once a stage: a graph for each epoch would be traced in each.
        self.forward = compiled(batches.model or self.network.model)
        return batches

    def _start(self, index: int) -> Callable[[], None]:
        """Schedules go on where the stages before ended, not where their best epochs were."""
        steps = self.setup.steps * sum(stage.epochs for stage in self.stages[:index])

        def start() -> None:
            for layer in self.network.model.layers:
                if isinstance(layer, ScheduledGradientReversal):
                    layer.count.assign(steps)

        return start

    def _measure(self) -> dict[str, float]:
        """The criterion for the current weights, and the accuracy on the target if it is known."""
        target = self._computed(self.chosen_by)
        found = {f"val_{self.method.choose_by}": self._criterion(target)}
        if self.domain.known:
            right = target.probabilities.argmax(1) == self.chosen_by.labels
            found["target_accuracy"] = float(right.mean())
        return found

    def _criterion(self, target: _Computed) -> float:
        source = self._computed(self.val)
        evidence = Evidence(
            source.features, source.probabilities, self.val.labels,
            target.features, target.probabilities,
        )  # fmt: skip
        return CRITERIA[self.method.choose_by](evidence)

    def _computed(self, samples: Samples) -> _Computed:
        found = collected(self.forward, self.batches.evaluation(samples))
        features = found[HEAD_FEATURES][: len(samples)].reshape(len(samples), -1)
        return _Computed(features, softmax(found[LABEL][: len(samples)], axis=1))

    def _stages(self) -> None:
        check_same_split(self.folder, self.baseline)
        super()._stages()
        self._judge("adapted")
        load_keras_weights(self.network.predictor, self.baseline / "best.keras")
        self._judge("source_only")
        self.choice = choose(self.method, self.values)
        if self.choice.kept == "adapted":
            self.trainer.load_best()
        # Also if the file holds it: a run that was killed here may have written the other one.
        save_model(self.folder / "best.keras", self.network.predictor)
        self._renew()

    def _judge(self, name: Kept) -> None:
        """Compute the criterion and the target's predictions for the weights in the network."""
        self._renew()
        self.values[name] = self._criterion(self._computed(self.chosen_by))
        self.scores[name] = self._computed(self.further[TARGET]).probabilities

    def _renew(self) -> None:
        """Batches of the last stage for the weights in the network, which may be others now."""
        last = len(self.stages) - 1
        extractor = self._extractors([self._cut(self.stages[last])]).of(0)
        self.batches = self._batches(last, extractor)


def check_same_split(folder: Path, baseline: Path) -> None:
    """Refuse a run whose data have changed since the model without adaptation was trained."""
    one, other = (runs.fingerprint(home / "split.csv") for home in (folder, baseline))
    if one != other:
        raise BadData(
            f"The data are not those that the run in {baseline} was trained on; put them back, or "
            "start a new run without --resume."
        )

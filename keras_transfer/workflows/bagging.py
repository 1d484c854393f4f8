"""Bagging: heads on bootstrap samples of one set of features, averaged in one model.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer import seeds
from keras_transfer.config.stages import Stage
from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL
from keras_transfer.data.sampling import bootstrap
from keras_transfer.evaluation.inference import probabilities
from keras_transfer.evaluation.metrics import classification_metrics
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.networks.cutting import FEATURES, Cut
from keras_transfer.networks.keras_files import load_keras_weights
from keras_transfer.networks.network import Network, members_of
from keras_transfer.training.resume import save_model
from keras_transfer.training.trainer import Trainer, write_history
from keras_transfer.workflows.stage_runner import Setup, StageRunner

__all__ = ["BaggingRunner", "Member"]

logger = logging.getLogger("keras_transfer")

MEAN_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "log_loss")


class BaggingRunner(StageRunner):
    """Trains the heads of a network in sequence.

    The directory gets ``members/<number>/`` for each, with its history and its head alone; and the
    models of all together: ``best.keras`` of their best epochs, ``last.keras`` of their last.
    Takes the arguments of ``StageRunner``; the head of the network has several members.
    """

    cut: Cut
    shared: FeatureExtractor

    def __init__(self, setup: Setup, stages: Sequence[Stage], folder: Path):
        super().__init__(setup, stages, folder)
        heads = members_of(self.network, LABEL)  # before the network is cut
        self.members = [
            Member(self, number, network, head)
            for number, (network, head) in enumerate(heads, start=1)
        ]

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Metrics of single members: their mean, and the one with the lowest val log loss."""
        features = keras.Input(self.shared.shape, name=FEATURES)
        logits = [member.head(features)[LABEL] for member in self.members]
        # All members in one model, so that the features are read once.
        every = keras.Model({FEATURES: features}, {LABEL: keras.ops.stack(logits, axis=1)})
        setup, counts = self.setup, self.setup.train.counts()
        metrics: dict[str, list[dict[str, Any]]] = {}
        for name in ("val", "test"):
            split = setup.samples.split(name)
            # Evaluation batches may be padded for several devices.
            scores = probabilities(every, self.batches.evaluation(split), name)[: len(split)]
            metrics[name] = [
                classification_metrics(
                    split.labels, member, split.classes, counts, families(split.digests)
                )
                for member in np.moveaxis(scores, 1, 0)
            ]
        test = metrics["test"]
        mean = {name: float(np.mean([member[name] for member in test])) for name in MEAN_METRICS}
        # By val: chosen on test, it would be judged by what it was chosen on.
        best = int(np.argmin([member["log_loss"] for member in metrics["val"]]))
        return {
            "members_mean": {**mean, "accuracies": [member["accuracy"] for member in test]},
            "best_member": {"member": best + 1, **test[best]},
        }

    @property
    def done(self) -> dict[str, Any]:
        """That of the first member; the others train the same."""
        return self.members[0].done

    def _stages(self) -> None:
        shared = self.extractors.of(0)
        assert shared is not None  # the frozen backbone lies before the cut
        self.cut, self.shared = shared.cut, shared
        self.batches = self._batches(0, shared)
        for member in self.members:
            member.run()
        self._write()

    def _write(self) -> None:
        """Write the run directory; the model then has the best weights of all members."""
        rows = [
            {**row, "stage": f"member{member.number}.{row['stage']}"}
            for member in self.members
            for row in member.trainer.done["rows"]
        ]
        write_history(self.folder / "history.csv", rows)
        # best.keras second, since the network must end with the best weights.
        for name in ("last.keras", "best.keras"):
            for member in self.members:
                load_keras_weights(member.head, member.folder / name)
            save_model(self.folder / name, self.network.predictor)


class Member(StageRunner):
    """Trains one head on a bootstrap sample of the train split.

    Everything that is drawn for it is drawn by a seed of its own, except the views, whose features
    all members share.

    Args:
        ensemble: The runner that it belongs to.
        number: Counted from 1.
        network: From inputs to its logits.
        head: From pooled features to its logits.
    """

    def __init__(self, ensemble: BaggingRunner, number: int, network: Network, head: keras.Model):
        self.ensemble, self.number, self.head = ensemble, number, head
        setup = ensemble.setup
        seed = seeds.stream(setup.seed, "members") + number
        # Not stored: a resumed run draws the same examples from the seed.
        self.drawn = bootstrap(setup.train.labels, seeds.stream(seed, "members"))
        folder = ensemble.folder / "members" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        own = replace(setup, network=network, targets=setup.targets.of(self.drawn, seed), seed=seed)
        super().__init__(own, ensemble.stages, folder)
        alone = Network(head, head, network.backbones)  # its files need no backbone
        self.trainer = Trainer(alone, folder, setup.monitor, own.targets.terms)

    def run(self) -> None:
        """Train all stages, or the remaining ones."""
        text = "Member %s of %s: %s distinct of %s training examples"
        distinct, examples = len(np.unique(self.drawn)), len(self.setup.train)
        logger.info(text, self.number, len(self.ensemble.members), distinct, examples)
        shared = self.ensemble.shared
        # All members read the same features; only what follows the cut differs.
        extractor = shared.before(replace(shared.cut, after=(self.head,)))
        for index in range(len(self.stages)):
            self.batches = self._batches(index, extractor)
            self._set_rate(index)
            if not self.trainer.passed(index):
                self._train(index)

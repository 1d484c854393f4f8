"""Bagging (Breiman 1996): heads on bootstrap draws of one set of features, averaged in one model.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_transfer import seeds
from keras_transfer.config.groups import Stage
from keras_transfer.data.copies import families
from keras_transfer.data.sampling import bootstrap
from keras_transfer.evaluation.inference import probabilities
from keras_transfer.evaluation.metrics import classification_metrics
from keras_transfer.features.extractor import FeatureExtractor, View
from keras_transfer.networks.cutting import Cut
from keras_transfer.networks.heads import members_of
from keras_transfer.training.resume import save_model
from keras_transfer.training.trainer import Trainer, write_history
from keras_transfer.workflows.imbalance import ImbalanceStrategy
from keras_transfer.workflows.stage_runner import StageRunner

__all__ = ["Bagging", "Member"]

logger = logging.getLogger("keras_transfer")

MEAN_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "log_loss")


class Bagging(StageRunner):
    """A classifier of several heads in training, one head after the other.

    The folder gets ``members/<number>/`` for each, with its history and its head alone; and the
    models of all together: ``best.keras`` of their best epochs, ``last.keras`` of their last.
    Takes the arguments of ``StageRunner``; the head of ``model`` has several members.
    """

    cut: Cut
    shared: FeatureExtractor

    def __init__(self, *given: Any):
        super().__init__(*given)
        heads = members_of(self.model)  # before the model is divided
        self.members = [
            Member(self, number, model, head) for number, (model, head) in enumerate(heads, start=1)
        ]

    def baselines(self) -> dict[str, dict[str, Any]]:
        """What the members reach alone: the mean, and the one with the lowest log loss on val."""
        features = keras.Input(self.shared.shape)
        logits = keras.ops.stack([member.head(features) for member in self.members], axis=1)
        every = keras.Model(features, logits)
        metrics: dict[str, list[dict[str, Any]]] = {}
        for name in ("val", "test"):
            part = self.samples.split(name)
            found = probabilities(every, self.feed.evaluation(part), name)[: len(part)]
            metrics[name] = [
                classification_metrics(
                    part.labels, one, part.classes, self.train.counts(), families(part.digests)
                )
                for one in np.moveaxis(found, 1, 0)
            ]
        test = metrics["test"]
        mean = {name: float(np.mean([one[name] for one in test])) for name in MEAN_METRICS}
        best = int(np.argmin([one["log_loss"] for one in metrics["val"]]))
        return {
            "members_mean": {**mean, "accuracies": [one["accuracy"] for one in test]},
            "best_member": {"member": best + 1, **test[best]},
        }

    def _stages(self) -> None:
        cut = self._cut(self.recipe.planned[0])
        assert cut is not None  # the whole backbone lies before the cut
        shared = self._part(0, cut)
        assert shared is not None
        self.cut, self.shared = cut, shared
        self.feed = self._feed(0, shared)
        for member in self.members:
            member.run()
        self._write()

    def _write(self) -> None:
        """Write what a run folder holds; the model is left with all members at their best."""
        rows = [
            {**row, "stage": f"member{member.number}.{row['stage']}"}
            for member in self.members
            for row in member.trainer.done["rows"]
        ]
        write_history(self.folder / "history.csv", rows)
        for name in ("last.keras", "best.keras"):
            for member in self.members:
                member.head.load_weights(member.folder / name)
            save_model(self.folder / name, self.model)


class Member(StageRunner):
    """One head in training, on a bootstrap draw of the train split.

    Everything that is drawn for it is drawn by a seed of its own, but the views of images, whose
    features all members share.

    Args:
        whole: To which it belongs.
        number: Counted from 1.
        model: From pixels to its logits.
        head: From pooled features to its logits.
    """

    def __init__(self, whole: Bagging, number: int, model: keras.Model, head: keras.Model):
        self.whole, self.number, self.head = whole, number, head
        seed = seeds.stream(whole.recipe.seed, "members") + number
        self.drawn = bootstrap(whole.train.labels, seeds.stream(seed, "members"))
        recipe = whole.recipe.changed(seed=seed, ensemble="none")
        folder = whole.folder / "members" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(recipe, folder, model, whole.samples, whole.loading)
        self.trainer = Trainer(head, folder, recipe.monitor)  # its files need no backbone

    def run(self) -> None:
        """Fit all stages, or what is left of them."""
        text = "Member %s of %s: %s of %s training images, some of them several times"
        count, images = len(np.unique(self.drawn)), len(self.train)
        logger.info(text, self.number, len(self.whole.members), count, images)
        whole = self.whole.cut
        part = self.whole.shared.before(Cut(whole.boundary, whole.before, (self.head,)))
        for index in range(len(self.recipe.planned)):
            self.feed = self._feed(index, part)
            self._settle_rate()
            if not self.trainer.passed(index):
                self._fit(index)

    def _balanced(self) -> ImbalanceStrategy:
        return self.whole.balancing.of(self.drawn, self.recipe.seed)

    def _views(self, stage: Stage) -> list[View]:
        _, seed = self.whole._seeds(0)
        return [
            view if view.augment is None else replace(view, seed=seed)
            for view in super()._views(stage)
        ]

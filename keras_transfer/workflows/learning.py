"""Fit a classical learner to stored features, and put it behind the backbone.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.special import log_softmax

from keras_transfer import seeds
from keras_transfer.atomic import copy
from keras_transfer.config.groups import Learner
from keras_transfer.config.stages import Stage
from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.evaluation.inference import predict
from keras_transfer.evaluation.metrics import classification_metrics
from keras_transfer.features.extractor import CLEAN, FeatureExtractor
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.learners.examples import Examples
from keras_transfer.learners.fitting import Fitted, fit_learner
from keras_transfer.learners.table import LEARNERS
from keras_transfer.networks.network import Network
from keras_transfer.training.reports import report
from keras_transfer.training.resume import save_model
from keras_transfer.training.trainer import write_history
from keras_transfer.workflows.learner_heads import learner_logits
from keras_transfer.workflows.solving import labelled_features
from keras_transfer.workflows.stage_runner import Setup, StageRunner

__all__ = ["LearnerRunner"]

logger = logging.getLogger("keras_transfer")

BATCH = 512
"""Most examples that the learner answers at once."""

BASELINE = "logistic_regression"
"""The learner that every other one is compared with, on the same features."""


class LearnerRunner(StageRunner):
    """Fits one learner; there is no training to resume, so an interrupted run fits it again.

    Takes the arguments of ``StageRunner``, and the settings of the learner.
    """

    extractor: FeatureExtractor
    examples: Examples

    def __init__(self, setup: Setup, stages: Sequence[Stage], folder: Path, learner: Learner):
        super().__init__(setup, stages, folder)
        self.learner = learner

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Test metrics of logistic regression on the same features."""
        if self.learner.name == BASELINE:
            return {}
        setup, fitted = self.setup, self._fitted(BASELINE, {})
        test = setup.samples.split("test")
        batches = self._batches_of(self._head(fitted)[1])
        assert batches.model is not None  # the frozen backbone lies before it
        scores = predict(batches.model, batches.evaluation(test), BASELINE)[LABEL][: len(test)]
        probabilities = np.exp(log_softmax(scores, axis=1))
        counts, copies = setup.train.counts(), families(test.digests)
        return {
            BASELINE: classification_metrics(
                test.labels, probabilities, test.classes, counts, copies
            )
        }

    def _stages(self) -> None:
        self._freeze(self.stages[0])
        extractor = self.extractors.of(0)
        assert extractor is not None  # refused without an engine
        # Sets the views, whose features are looked up next.
        self.batches = self._batches(0, extractor)
        tables = [extractor.table(self.setup.train, view) for view in self.views or [CLEAN]]
        weights = self._weights(self.setup.train)
        self.examples = labelled_features(tables, self.setup.train, weights)
        began = time.perf_counter()
        fitted = self._fitted(self.learner.name, self.learner.parameters)
        self._report(fitted, time.perf_counter() - began)
        self.network, head = self._head(fitted)
        counts = {"trainable": head.count_params(), "total": self.network.model.count_params()}
        self.trainer.done["parameters"][self.stages[0].name] = counts
        self.batches = self._batches_of(head)
        self._write(head)

    def _fitted(self, name: str, parameters: Mapping[str, Any]) -> Fitted:
        seed = seeds.stream(self.setup.seed, "members")
        return fit_learner(name, parameters, self.examples, len(self.setup.train.classes), seed)

    def _weights(self, train: Samples) -> np.ndarray:
        """(n,) weights of examples, by their classes and by the data."""
        if LEARNERS[self.learner.name].weighted:
            return self.setup.targets.strategy.example_weights(train)
        if len(set(train.weights.tolist())) > 1:
            raise BadConfiguration(
                f"The data have weights of examples, and learner = {self.learner.name} takes none. "
                "Leave the column out, or use another learner, such as logistic_regression."
            )
        logger.info("%s takes no weights: classes count as often as they occur", self.learner.name)
        return np.ones(len(train), "float32")

    def _head(self, fitted: Fitted) -> tuple[Network, keras.Model]:
        """The network with a fitted learner, and the learner alone, from pooled features."""
        model, given = self.setup.network.model, self.setup.network
        pooled = model.get_layer("pool").output
        outputs = {LABEL: learner_logits(fitted.head, pooled)}
        joined = keras.Model(model.input, outputs, name="classifier")
        network = Network(joined, joined, given.backbones, given.passthrough)
        return network, keras.Model(pooled, outputs, name="learner")

    def _batches_of(self, head: keras.Model) -> StageBatches:
        extractor = self.extractors.of(0)
        assert extractor is not None
        return self._batches(0, extractor.before(replace(extractor.cut, after=(head,))))

    def _write(self, head: keras.Model) -> None:
        """Write the model, and a history of one row."""
        setup, model = self.setup, self.batches.model
        assert model is not None
        val = setup.samples.split("val")
        scores = predict(model, self.batches.evaluation(val), "val")[LABEL][: len(val)]
        features = self.examples.features[0]
        parts = np.array_split(features, 1 + len(features) // BATCH)
        own = np.concatenate([head(part)[LABEL] for part in parts])
        row = {"stage": self.stages[0].name, "epoch": 1}
        row |= _measured("", own, self.examples.labels) | _measured("val_", scores, val.labels)
        row["learning_rate"] = 0.0
        write_history(self.folder / "history.csv", [row])
        report([row])
        save_model(self.folder / "best.keras", self.network.predictor)
        copy(self.folder / "best.keras", self.folder / "last.keras")

    def _report(self, fitted: Fitted, seconds: float) -> None:
        name = self.learner.name
        value = f"{fitted.parameter} = {fitted.value:.3g}" if fitted.parameter else "fitted"
        if fitted.score is None:
            how = "no class has two independent examples, so there is no cross-validation"
        else:
            n = len(self.examples.labels)
            rows = f"{n:,}" if fitted.rows == n else f"{fitted.rows:,} of {n:,}"
            what = f"{fitted.by.replace('_', ' ')} {fitted.score:.4g}"
            how = f"{fitted.folds}-fold cross-validation on {rows} examples: {what}"
        logger.info("Learner %s: %s; %s (%.1f s)", name, value, how, seconds)


def _measured(prefix: str, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss and accuracy, by the names that Keras gives them."""
    losses = -log_softmax(logits.astype("float64"), axis=1)[np.arange(len(labels)), labels]
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    return {f"{prefix}loss": float(losses.mean()), f"{prefix}accuracy": accuracy}

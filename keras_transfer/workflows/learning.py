"""Fit a classical learner to stored features, and put it behind the backbone.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import log_softmax

from keras_transfer import seeds
from keras_transfer.atomic import copy
from keras_transfer.config.groups import Backbone, Learner
from keras_transfer.config.stages import Stage
from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.evaluation.inference import predict
from keras_transfer.evaluation.metrics import classification_metrics
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.features.views import CLEAN, View
from keras_transfer.learners.examples import Examples
from keras_transfer.learners.fitting import Fitted, fit_learner
from keras_transfer.learners.heads import MixtureHead
from keras_transfer.learners.mixing import mixing_weights
from keras_transfer.learners.table import LEARNERS
from keras_transfer.networks.fused import build_fused_network
from keras_transfer.networks.network import Network
from keras_transfer.networks.token_pooling import pooling_of
from keras_transfer.training.reports import report
from keras_transfer.training.resume import save_model
from keras_transfer.training.trainer import write_history
from keras_transfer.workflows.candidates import label
from keras_transfer.workflows.learner_heads import learner_logits
from keras_transfer.workflows.parts import Part, blocks_of, preprocessing_of
from keras_transfer.workflows.solving import labelled_features
from keras_transfer.workflows.stage_runner import Setup, StageRunner

__all__ = ["LearnerRunner", "answers"]

logger = logging.getLogger("keras_transfer")

BATCH = 512
"""Most examples that the learner answers at once."""

BASELINE = "logistic_regression"
"""The learner that every other one is compared with, on the same features."""


class LearnerRunner(StageRunner):
    """Fits one learner; there is no training to resume, so an interrupted run fits it again.

    Args:
        setup: Setup of the run.
        stages: One of them, which gives the views.
        folder: The run directory.
        learner: Settings of the learner.
        backbone: Settings of the network's backbone.
        pooling: That of the head.
        more: Further backbones, whose features are joined with those of the network.
        mixed: Whether each backbone has a learner, and their probabilities are averaged.
    """

    parts: list[Part]
    examples: Examples

    def __init__(
        self,
        setup: Setup,
        stages: Sequence[Stage],
        folder: Path,
        learner: Learner,
        *,
        backbone: Backbone,
        pooling: str,
        more: Sequence[Part] = (),
        mixed: bool = False,
    ):
        super().__init__(setup, stages, folder)
        self.learner, self.pooling, self.more = learner, pooling, list(more)
        self.backbone, self.mixed = backbone, mixed

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Test metrics of logistic regression, and of the features of each backbone alone."""
        found: dict[str, dict[str, Any]] = {}
        every = slice(None)
        if self.learner.name != BASELINE:
            found[BASELINE] = self._plain(BASELINE, {}, every)
        if self.more:
            for part, columns in zip(self.parts, blocks_of(self.parts), strict=True):
                found[part.name] = self._plain(self.learner.name, self.learner.parameters, columns)
        return found

    def reports(self) -> dict[str, dict[str, Any]]:
        """Report of feature extraction by backbone."""
        extractors = {part.name: part.extractor for part in self.parts}
        return {name: one.report for name, one in extractors.items() if any(one.counts.values())}

    def _stages(self) -> None:
        self._freeze(self.stages[0])
        extractor = self.extractors.of(0)
        assert extractor is not None  # refused without an engine
        self.parts = [self._own(extractor), *self.more]
        # Sets the views of augmented images.
        self._batches(0, extractor)
        self.examples = self._examples(self.views or [CLEAN])
        began = time.perf_counter()
        head = self._mixture() if self.mixed else self._learnt(slice(None), began)
        self.network = self._joined(head)
        self.batches = StageBatches(
            _alone(head, self.examples.features.shape[-1]),
            train=_no_epochs,
            val=self._evaluation(self.setup.samples.split("val")),
            evaluation=self._evaluation,
        )
        self._write()

    def _learnt(self, columns: slice, began: float) -> Any:
        """Head of the recipe's learner on some columns of the features, reported."""
        fitted = self._fitted(self.learner.name, self.learner.parameters, columns)
        self._report(fitted, len(self.examples.labels), time.perf_counter() - began)
        return fitted.head

    def _mixture(self) -> MixtureHead:
        """A learner for each backbone; the weights of their probabilities are chosen on val."""
        val = self.setup.samples.split("val")
        heads, found = [], []
        for columns in blocks_of(self.parts):
            heads.append(self._learnt(columns, time.perf_counter()))
            found.append(self._probabilities(heads[-1], val, columns))
        weights = mixing_weights(found, val.labels, val.weights)
        shown = zip(self.parts, weights, strict=True)
        text = ", ".join(f"{part.name} {weight:.3f}" for part, weight in shown)
        logger.info("Weights of their probabilities, by the log loss on val: %s", text)
        return MixtureHead(tuple(heads), tuple(part.channels for part in self.parts), weights)

    def _own(self, extractor: FeatureExtractor) -> Part:
        """The recipe's own backbone."""
        preprocessing = preprocessing_of(self.backbone) if self.more else ""
        network = self.setup.network.backbone
        return Part(label(self.backbone), network, preprocessing, extractor)

    def _examples(self, views: Sequence[View]) -> Examples:
        """The train split, with the features of all backbones side by side."""
        train = self.setup.train
        weights = self._weights(train)
        of_parts = [
            labelled_features([part.extractor.table(train, view) for view in views], train, weights)
            for part in self.parts
        ]
        features = np.concatenate([one.features for one in of_parts], axis=-1)
        return of_parts[0]._replace(features=features)

    def _evaluation(self, samples: Samples) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(self._features(samples)).batch(BATCH)

    def _features(self, samples: Samples) -> np.ndarray:
        """(n, channels) float32 of all backbones side by side."""
        return np.concatenate([part.features(samples) for part in self.parts], axis=-1)

    def _fitted(self, name: str, parameters: Mapping[str, Any], columns: slice) -> Fitted:
        seed = seeds.stream(self.setup.seed, "members")
        examples = self.examples._replace(features=self.examples.features[..., columns])
        blocks = [part.channels for part in self.parts] if columns == slice(None) else []
        return fit_learner(
            name, parameters, examples, len(self.setup.train.classes), seed, blocks=blocks
        )

    def _plain(self, name: str, parameters: Mapping[str, Any], columns: slice) -> dict[str, Any]:
        """Test metrics of a learner on some columns of the features."""
        return self._test_metrics(self._fitted(name, parameters, columns).head, columns)

    def _test_metrics(self, head: Any, columns: slice) -> dict[str, Any]:
        """Test metrics of a fitted learner on some columns of the features."""
        test, counts = self.setup.samples.split("test"), self.setup.train.counts()
        probabilities = self._probabilities(head, test, columns)
        return classification_metrics(
            test.labels, probabilities, test.classes, counts, families(test.digests)
        )

    def _probabilities(self, head: Any, samples: Samples, columns: slice) -> np.ndarray:
        """(n, classes) float64 of a learner on some columns of the features."""
        return answers(head, self._features(samples)[:, columns])

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

    def _joined(self, head: Any) -> Network:
        """The network with a fitted learner."""
        given = self.setup.network
        if self.more:
            heads = {LABEL: lambda pooled: learner_logits(head, pooled)}
            parts = [(part.network, part.preprocessing) for part in self.parts]
            return build_fused_network(parts, pooling_of(self.pooling, None), heads)
        pooled = given.model.get_layer("pool").output
        outputs = {LABEL: learner_logits(head, pooled)}
        joined = keras.Model(given.model.input, outputs, name="classifier")
        return Network(joined, joined, given.backbones, given.passthrough)

    def _write(self) -> None:
        """Write the model, and a history of one row."""
        head, samples, name = self.batches.model, self.setup.samples, self.stages[0].name
        assert head is not None
        counts = {"trainable": head.count_params(), "total": self.network.model.count_params()}
        self.trainer.done["parameters"][name] = counts
        features, val = self.examples.features[0], samples.split("val")
        own = predict(head, tf.data.Dataset.from_tensor_slices(features).batch(BATCH))[LABEL]
        scores = predict(head, self.batches.val)[LABEL]
        row: dict[str, Any] = {"stage": name, "epoch": 1}
        row |= _measured("", own, self.examples.labels) | _measured("val_", scores, val.labels)
        row["learning_rate"] = 0.0
        write_history(self.folder / "history.csv", [row])
        report([row])
        save_model(self.folder / "best.keras", self.network.predictor)
        copy(self.folder / "best.keras", self.folder / "last.keras")

    def _report(self, fitted: Fitted, n: int, seconds: float) -> None:
        name = self.learner.name
        value = f"{fitted.parameter} = {fitted.value:.3g}" if fitted.parameter else "fitted"
        if fitted.score is None:
            how = "no class has two independent examples, so there is no cross-validation"
        else:
            rows = f"{n:,}" if fitted.rows == n else f"{fitted.rows:,} of {n:,}"
            what = f"{fitted.by.replace('_', ' ')} {fitted.score:.4g}"
            how = f"{fitted.folds}-fold cross-validation on {rows} examples: {what}"
        logger.info("Learner %s: %s; %s (%.1f s)", name, value, how, seconds)


def _no_epochs(epoch: int) -> tf.data.Dataset:
    """A learner is fitted, not trained."""
    raise RuntimeError("a learner has no epochs")


def answers(head: Any, features: np.ndarray) -> np.ndarray:
    """(n, classes) float64 probabilities of a fitted learner for (n, channels) float32 features."""
    batches = tf.data.Dataset.from_tensor_slices(features).batch(BATCH)
    logits = predict(_alone(head, features.shape[1]), batches)[LABEL]
    return np.exp(log_softmax(logits, axis=1))


def _alone(head: Any, channels: int) -> keras.Model:
    """A fitted learner from (batch, channels) features to its logits."""
    features = keras.Input((channels,), dtype="float32")
    return keras.Model(features, {LABEL: learner_logits(head, features)}, name="learner")


def _measured(prefix: str, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss and accuracy, by the names that Keras gives them."""
    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    return {f"{prefix}loss": float(losses.mean()), f"{prefix}accuracy": accuracy}

"""Train a backbone on pairs of examples, with a head that is solved after each epoch.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from scipy.special import log_softmax

from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.evaluation.inference import collected, compiled
from keras_transfer.features.extractor import FeatureExtractor
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.learners.examples import Examples
from keras_transfer.learners.logistic import LinearHead, fit_logistic
from keras_transfer.methods.setfit import EMBEDDING
from keras_transfer.workflows.solving import logits_layer, weighted_examples
from keras_transfer.workflows.stage_runner import StageRunner

__all__ = ["SetFitRunner"]

logger = logging.getLogger("keras_transfer")


class SetFitRunner(StageRunner):
    """Trains the stages on pairs, and solves the head after each epoch.

    The metrics of an epoch are those of its solved head, so the best epoch is chosen as in any
    other run. Takes the arguments of ``StageRunner``.
    """

    def run(self) -> None:
        """Train all stages, or the remaining ones."""
        drawn, n = self.setup.targets.strategy.length, len(self.setup.train)
        each = "as many of each class of a batch"
        logger.info("Pairs: an epoch draws %s of %s examples, %s", f"{drawn:,}", f"{n:,}", each)
        super().run()

    def _batches(self, index: int, extractor: FeatureExtractor | None) -> StageBatches:
        batches = replace(super()._batches(index, extractor), measure=self._measure)
        # Once a stage: a graph for each epoch would be traced in each.
        self.forward = compiled(batches.model or self.network.model)
        return batches

    def _measure(self) -> dict[str, float]:
        """Solve the head for the current weights; returns its metrics on train and val."""
        setup = self.setup
        splits = {"": setup.train, "val_": setup.samples.split("val")}
        rows = {prefix: self._embeddings(samples) for prefix, samples in splits.items()}
        weights = setup.targets.strategy.example_weights(setup.train)
        examples = weighted_examples(rows[""][None], setup.train, weights)
        # Val chooses C: the embeddings of train were trained on its labels.
        held = _held(rows["val_"], splits["val_"])
        head = fit_logistic(examples, len(setup.train.classes), setup.seed, held)
        layer = logits_layer(self.network)
        layer.kernel.assign(head.kernel)
        layer.bias.assign(head.bias)
        found: dict[str, float] = {}
        for prefix, samples in splits.items():
            loss, accuracy = _judged(rows[prefix], head, samples)
            found |= {f"{prefix}{LABEL}_loss": loss, f"{prefix}{LABEL}_accuracy": accuracy}
        return {**found, "val_loss": found[f"val_{LABEL}_loss"]}

    def _embeddings(self, samples: Samples) -> np.ndarray:
        """(n, channels) float32."""
        found = collected(self.forward, self.batches.evaluation(samples))[EMBEDDING]
        # Evaluation batches may be padded for several devices.
        return found[: len(samples)].reshape(len(samples), -1).astype("float32")


def _held(rows: np.ndarray, val: Samples) -> Examples | None:
    """The val examples with a weight above 0; None if there are none."""
    used = np.flatnonzero(val.weights)
    if not len(used):
        return None
    return Examples(rows[None, used], val.labels[used], val.weights[used].astype("float64"), used)


def _judged(rows: np.ndarray, head: LinearHead, samples: Samples) -> tuple[float, float]:
    """Weighted log loss and accuracy of a head on (n, channels) embeddings."""
    logits = rows @ head.kernel + head.bias
    losses = -log_softmax(logits, axis=1)[np.arange(len(rows)), samples.labels]
    right = logits.argmax(1) == samples.labels
    loss, accuracy = (np.average(each, weights=samples.weights) for each in (losses, right))
    return float(loss), float(accuracy)

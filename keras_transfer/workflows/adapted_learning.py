"""Fit a classical learner to features that are adapted to a target domain.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from keras_transfer import seeds
from keras_transfer.data.copies import related
from keras_transfer.data.samples import LABEL
from keras_transfer.learners.fitting import Fitted, fit_learner
from keras_transfer.learners.heads import TransformedHead
from keras_transfer.learners.transforms import Adapted, adapt, with_target
from keras_transfer.methods.feature_adaptation import FeatureAdaptation
from keras_transfer.workflows.adaptation_metrics import target_metrics
from keras_transfer.workflows.learning import LearnerRunner
from keras_transfer.workflows.scoring import Scorer
from keras_transfer.workflows.target_examples import TargetExamples

__all__ = ["AdaptedRunner"]

logger = logging.getLogger("keras_transfer")

EVERY = slice(None)


class AdaptedRunner(LearnerRunner):
    """Fits the learner to adapted features, and to plain ones for comparison.

    The model has no input for the domain: it takes every example for one of the target.

    Args:
        *given: As for ``LearnerRunner``.
        method: How features are adapted.
        target: Target examples.
        **more: As for ``LearnerRunner``.
    """

    plain: Any
    scores: np.ndarray

    def __init__(self, *given: Any, method: FeatureAdaptation, target: TargetExamples, **more: Any):
        super().__init__(*given, **more)
        self.method, self.target = method, target

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Test metrics of the same learner on plain features too."""
        plain = {self.method.baseline_name: self._measured(self.plain, EVERY)}
        return plain | super().baselines()

    def predictions(self) -> dict[str, dict[str, np.ndarray]]:
        """As of every run; the scores of the target are kept."""
        setup = self.setup
        scorer = Scorer(self.network, setup.targets.objectives, setup.loading, self.batches)
        samples = {name: setup.samples.split(name) for name in ("val", "test")}
        found = scorer.splits({**samples, "target": self.target.evaluated})
        self.scores = found.pop("target")[LABEL]
        return found

    def target_metrics(self) -> dict[str, Any]:
        """Metrics of the adapted and of the plain model on the target."""
        samples = self.target.evaluated
        return target_metrics(
            self.folder,
            self.method.type,
            samples,
            self.scores,
            self._probabilities(self.plain, samples, EVERY),
            labelled=self.target.labelled,
            train=self.setup.targets.labels(LABEL),
        )

    def _learnt(self, columns: slice, began: float) -> Any:
        parts, samples = self.parts, self.target.samples
        target = np.concatenate([part.features(samples) for part in parts], axis=-1)
        adapted = self._adapted(target)
        fitted = self._fitted_to(adapted)
        self._report(fitted, len(self.examples.labels), time.perf_counter() - began)
        self.plain = self._fitted(self.learner.name, self.learner.parameters, columns).head
        return self._kept(TransformedHead(adapted.map, fitted.head), target)

    def _kept(self, adapted: TransformedHead, target: np.ndarray) -> Any:
        """The head of the model: ``adapted``, or ``self.plain``.

        Args:
            adapted: The learner on adapted features.
            target: (m, channels) float32 plain features of the target; those of the source are
                ``self.examples.features``.
        """
        return adapted

    def _adapted(self, target: np.ndarray) -> Adapted:
        """Both domains, brought together."""
        began, widths = time.perf_counter(), [part.channels for part in self.parts]
        estimator = self.method.estimator()
        adapted = adapt(estimator, self.examples, target, blocks=widths)
        n, seconds = len(self.examples.labels), time.perf_counter() - began
        if adapted.weights is None:
            logger.info(
                "Method %s: %s source and %s target examples, %s features (%.1f s)",
                *(self.method.type, f"{n:,}", f"{len(target):,}"),
                *(f"{adapted.target.shape[1]:,}", seconds),
            )
            return adapted
        logger.info(
            "Method %s: weights of %s of %s source examples are above 0, and count like %.0f "
            "examples of equal weight (%.1f s)",
            *(self.method.type, f"{len(adapted.examples.labels):,}", f"{n:,}"),
            *(adapted.effective, seconds),
        )
        return adapted

    def _fitted_to(self, adapted: Adapted) -> Fitted:
        """The learner on adapted examples, and on those of the target whose labels are used."""
        learnt, examples = self.target.learnt, adapted.examples
        if learnt.any():
            few = self.target.samples.take(learnt)
            copies = related(few.digests, few.groups)
            examples = with_target(examples, adapted.target[learnt], few.labels, copies)
        blocks = [part.channels for part in self.parts] if self.method.keeps_columns else []
        name, parameters = self.learner.name, self.learner.parameters
        seed, classes = seeds.stream(self.setup.seed, "members"), len(self.setup.train.classes)
        return fit_learner(name, parameters, examples, classes, seed, blocks=blocks)

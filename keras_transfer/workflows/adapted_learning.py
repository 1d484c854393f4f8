"""Fit a classical learner to features that are adapted to a target domain.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_transfer import seeds
from keras_transfer.data.copies import related
from keras_transfer.data.samples import LABEL
from keras_transfer.domains.selection import CRITERIA, Evidence
from keras_transfer.learners.fitting import Fitted, fit_learner
from keras_transfer.learners.heads import TransformedHead
from keras_transfer.learners.transforms import Adapted, adapt, with_target
from keras_transfer.methods.feature_adaptation import FeatureAdaptation
from keras_transfer.workflows.adaptation_choice import EXAMPLES, TARGET, Choice, Kept, choose
from keras_transfer.workflows.adaptation_domain import TargetDomain
from keras_transfer.workflows.adaptation_metrics import adaptation_metrics
from keras_transfer.workflows.domain_target import places
from keras_transfer.workflows.learning import LearnerRunner, answers

__all__ = ["AdaptedRunner"]

logger = logging.getLogger("keras_transfer")

EVERY = slice(None)


class AdaptedRunner(LearnerRunner):
    """Fits the learner to adapted features and to plain ones, and keeps one of both.

    The model has no input for the domain: it takes every example for one of the target.

    Args:
        *given: As for ``LearnerRunner``.
        method: How features are adapted.
        domain: The target.
        **more: As for ``LearnerRunner``.
    """

    heads: dict[Kept, Any]
    choice: Choice

    def __init__(self, *given: Any, method: FeatureAdaptation, domain: TargetDomain, **more: Any):
        super().__init__(*given, **more)
        self.method, self.domain = method, domain
        self.further = {TARGET: domain.judged}

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Test metrics of the same learner on plain features too."""
        plain = self._test_metrics(self.heads["source_only"], EVERY)
        return {self.method.baseline_name: plain} | super().baselines()

    def further_metrics(self, scores: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
        """Metrics of both models on the target, and which one is kept."""
        samples, kept = self.domain.judged, self.choice.kept
        both = {
            # That of the model with its learner, checked against the full network.
            name: scores[TARGET][LABEL]
            if name == kept
            else self._probabilities(head, samples, EVERY)
            for name, head in self.heads.items()
        }
        (objective,) = self.setup.targets.objectives.values()
        return adaptation_metrics(
            self.folder, objective, self.setup.train, self.domain, both, self.choice
        )

    def _learnt(self, columns: slice, began: float) -> Any:
        adapted = self._adapted()
        fitted = self._fitted_to(adapted)
        self._report(fitted, len(self.examples.labels), time.perf_counter() - began)
        plain = self._fitted(self.learner.name, self.learner.parameters, columns).head
        self.heads = {
            "adapted": TransformedHead(adapted.map, fitted.head),
            "source_only": plain,
        }
        self.choice = choose(self.method, self._criterion(adapted, fitted.head))
        return self.heads[self.choice.kept]

    def _adapted(self) -> Adapted:
        """Both domains, brought together."""
        began, blocks = time.perf_counter(), [part.channels for part in self.parts]
        target = self._features(self.domain.samples)
        adapted = adapt(self.method.estimator(), self.examples, target, blocks=blocks)
        n, seconds = len(self.examples.labels), time.perf_counter() - began
        if adapted.weights is None:
            logger.info(
                "Method %s: %s source and %s target examples, %s features (%.1f s)",
                *(self.method.type, f"{n:,}", f"{len(target):,}"),
                *(f"{adapted.target.shape[1]:,}", seconds),
            )
            return adapted
        logger.info(
            "Method %s: %s of %s source examples have a weight, and count like %.0f examples of "
            "equal weight (%.1f s)",
            *(self.method.type, f"{len(adapted.examples.labels):,}", f"{n:,}"),
            *(adapted.effective, seconds),
        )
        return adapted

    def _fitted_to(self, adapted: Adapted) -> Fitted:
        """The learner on adapted examples, and on those of the target whose labels are used."""
        examples, labelled = adapted.examples, self.domain.labelled
        if len(labelled):
            few = self.domain.samples.take(labelled)
            copies = related(few.digests, few.groups)
            examples = with_target(examples, adapted.target[labelled], few.labels, copies)
        blocks = [part.channels for part in self.parts] if self.method.keeps_columns else []
        name, parameters = self.learner.name, self.learner.parameters
        seed, classes = seeds.stream(self.setup.seed, "members"), len(self.setup.train.classes)
        return fit_learner(name, parameters, examples, classes, seed, blocks=blocks)

    def _criterion(self, adapted: Adapted, head: Any) -> dict[Kept, float]:
        """What the criterion says of both models, without labels of the target.

        Args:
            adapted: Both domains, brought together.
            head: The learner on adapted features.
        """
        val, seed = self.setup.samples.split("val"), self.setup.seed
        val = val.take(places(val, EXAMPLES, seed))
        # Those with labels were learnt from.
        chosen = np.setdiff1d(np.arange(len(self.domain.samples)), self.domain.labelled)
        chosen = chosen[places(self.domain.judged, EXAMPLES, seed)]
        ours, theirs = self._features(val), self._features(self.domain.samples.take(chosen))

        def value(learner: Any, source: np.ndarray, target: np.ndarray) -> float:
            pair = answers(learner, source), answers(learner, target)
            evidence = Evidence(source, pair[0], val.labels, target, pair[1])
            return CRITERIA[self.method.choose_by](evidence)

        return {
            # Source examples as such; the model itself would take them for some of the target.
            "adapted": value(head, adapted.source(ours), adapted.target[chosen]),
            "source_only": value(self.heads["source_only"], ours, theirs),
        }

"""Scores of a trained network's splits: from stored features, if the full network agrees."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from keras_transfer.data.batches import Loading, evaluation_batches
from keras_transfer.data.samples import Samples
from keras_transfer.evaluation.inference import ACTIVATIONS, agree, predict
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.networks.network import Network
from keras_transfer.objectives.base import Objective

__all__ = ["Scorer"]

logger = logging.getLogger("keras_transfer")

PROBES = 8
"""Number of test examples that the full network predicts for comparison."""

TOLERANCE = 0.05
"""Largest difference of a probability, or of a value in standard deviations."""

Scores = dict[str, np.ndarray]
"""(n, units) float64 by output."""


class Scorer:
    """Computes scores of samples.

    Args:
        network: With its best weights.
        objectives: By the name of the output.
        loading: Settings of batch loading.
        batches: Those of the last stage.
    """

    def __init__(
        self,
        network: Network,
        objectives: Mapping[str, Objective],
        loading: Loading,
        batches: StageBatches,
    ):
        self.network, self.objectives = network, objectives
        self.loading, self.batches = loading, batches

    def splits(self, samples: Mapping[str, Samples]) -> dict[str, Scores]:
        """Scores of several splits.

        Args:
            samples: By the name of the split; "test" is one of them.
        """
        if self.batches.model is not None:
            scores = {name: self._from_features(name, split) for name, split in samples.items()}
            if self._confirmed(scores["test"], samples["test"]):
                return scores
            logger.warning(
                "Warning: predictions from cached features differ from the full network; metrics "
                "use the full network. Consider --engine-error 0."
            )
        return {name: self._from_network(name, split) for name, split in samples.items()}

    def _from_features(self, name: str, split: Samples) -> Scores:
        assert self.batches.model is not None
        outputs = predict(self.batches.model, self.batches.evaluation(split), name)
        return self._activated(outputs, len(split))

    def _from_network(self, name: str, split: Samples) -> Scores:
        batches = evaluation_batches(split, self.loading)
        return self._activated(predict(self.network.predictor, batches, name), len(split))

    def _activated(self, outputs: Scores, n: int) -> Scores:
        """Scores of the first n examples; outputs without an objective are left out."""
        return {
            name: ACTIVATIONS[objective.activation](outputs[name][:n])
            for name, objective in self.objectives.items()
        }

    def _confirmed(self, found: Scores, test: Samples) -> bool:
        """Whether the full network agrees on a few raw examples."""
        # Evenly spaced: a test split may be sorted by class, or be smaller than PROBES.
        subset = np.unique(np.linspace(0, len(test) - 1, PROBES).astype(int))
        batches = evaluation_batches(test.take(subset), self.loading)
        # No graph: tracing a network takes longer than eight examples.
        full = self._activated(predict(self.network.predictor, batches, graph=False), len(subset))
        return all(
            _alike(objective, found[name], subset, full[name])
            for name, objective in self.objectives.items()
        )


def _alike(objective: Objective, cached: np.ndarray, subset: np.ndarray, full: np.ndarray) -> bool:
    if objective.activation == "softmax":
        return agree(cached[subset], full, TOLERANCE)
    # Values have units of their own; probabilities do not.
    scale = cached.std(axis=0) if objective.activation == "linear" else 1.0
    return bool((np.abs(cached[subset] - full) <= TOLERANCE * scale).all())

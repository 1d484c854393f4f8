"""Outputs of a trained network for splits: from stored features, if the full network agrees."""

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

Outputs = dict[str, np.ndarray]
"""(n, units) float64 by output, before any activation."""


class Scorer:
    """Computes outputs of samples.

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

    def splits(self, samples: Mapping[str, Samples]) -> dict[str, Outputs]:
        """Outputs of several splits, before any activation.

        Args:
            samples: By the name of the split; "test" is one of them.
        """
        if self.batches.model is not None:
            found = {name: self._from_features(name, split) for name, split in samples.items()}
            if self._confirmed(found["test"], samples["test"]):
                return found
            logger.warning(
                "Warning: predictions from cached features differ from the full network; metrics "
                "use the full network. Consider --engine-error 0."
            )
        return {name: self._from_network(name, split) for name, split in samples.items()}

    def _from_features(self, name: str, split: Samples) -> Outputs:
        assert self.batches.model is not None
        outputs = predict(self.batches.model, self.batches.evaluation(split), name)
        return self._of_objectives(outputs, len(split))

    def _from_network(self, name: str, split: Samples) -> Outputs:
        batches = evaluation_batches(split, self.loading)
        return self._of_objectives(predict(self.network.predictor, batches, name), len(split))

    def _of_objectives(self, outputs: Outputs, n: int) -> Outputs:
        """Outputs of the first n examples; those without an objective are left out."""
        return {name: outputs[name][:n] for name in self.objectives}

    def _confirmed(self, found: Outputs, test: Samples) -> bool:
        """Whether the full network agrees on a few raw examples."""
        # Evenly spaced: a test split may be sorted by class, or be smaller than PROBES.
        subset = np.unique(np.linspace(0, len(test) - 1, PROBES).astype(int))
        batches = evaluation_batches(test.take(subset), self.loading)
        # No graph: tracing a network takes longer than eight examples.
        full = predict(self.network.predictor, batches, graph=False)
        return all(
            _alike(objective, found[name], subset, full[name][: len(subset)])
            for name, objective in self.objectives.items()
        )


def _alike(objective: Objective, found: np.ndarray, subset: np.ndarray, full: np.ndarray) -> bool:
    activate = ACTIVATIONS[objective.activation]
    cached, full = activate(found), activate(full)
    if objective.activation == "softmax":
        units = cached.shape[-1]  # of each token, where these have outputs
        return agree(cached[subset].reshape(-1, units), full.reshape(-1, units), TOLERANCE)
    # Values have units of their own; probabilities do not.
    scale = cached.std(axis=0) if objective.activation == "linear" else 1.0
    return bool((np.abs(cached[subset] - full) <= TOLERANCE * scale).all())

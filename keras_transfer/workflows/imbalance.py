"""Class imbalance: weights, sampling or SMOTE, chosen by the counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from keras_transfer import seeds
from keras_transfer.data.balance import WEIGHTINGS, choose_strategy, class_weights, weight_table
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import SAMPLINGS, Bootstrap, Sampling
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.outputs import labels_of, single_class

__all__ = ["ImbalanceStrategy", "strategy_for"]

logger = logging.getLogger("keras_transfer")

FOCAL_GAMMA = 2.0
"""Gamma of the focal loss: that of its authors (arXiv:1708.02002), and of Keras."""


@dataclass(frozen=True, eq=False)
class ImbalanceStrategy:
    """Strategy for class imbalance, by the counts of the train split only.

    Attributes:
        length: Examples per epoch.
        seed: Seed of sampling.
        name: The strategy; "auto" is resolved.
        reason: Why it was chosen.
        weights: For each classification (classes,) float32, weight of an example by its class.
        sampling: Sampling of an epoch; None: every example once.
        focal_gamma: Gamma of the focal loss; 0: cross-entropy.
        drawn: Places in the train split of a bootstrap sample; None: all, once each.
    """

    length: int
    seed: int
    name: str = "none"
    reason: str = ""
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    sampling: Sampling | None = None
    focal_gamma: float = 0.0
    drawn: np.ndarray | None = None

    def report(self, train: Samples) -> None:
        """Log the strategy, its reason, an epoch's length, and counts and weights by class."""
        details = (self.name, self.reason, self.length)
        logger.info("Imbalance: %s (%s); an epoch has %s examples", *details)
        (weights,) = self.weights.values()
        logger.info("%s", weight_table(train.classes, train.counts(), weights))

    def of(self, drawn: np.ndarray, seed: int) -> ImbalanceStrategy:
        """The same strategy on a bootstrap sample of the train split with equal class counts.

        Args:
            drawn: (n,) int64 rows of the train split, as ``bootstrap`` gives them.
            seed: Seed of further sampling.
        """
        other = replace(self, drawn=drawn, seed=seeds.stream(seed, "shuffle"))
        # SMOTE resamples the drawn features itself; see `resample`.
        if self.name == "smote":
            return other
        return replace(other, sampling=Bootstrap(drawn, self.sampling))

    def example_weights(self, train: Samples) -> np.ndarray:
        """(n,) float32 weights of examples, for learners that see no batches.

        Weights take the place of sampling: classes that an epoch would draw equally often weigh
        the same, and an example of a bootstrap sample as often as it was drawn.

        Args:
            train: The train split, n examples.
        """
        (of_class,) = self.weights.values()
        if self.name in (*SAMPLINGS, "smote"):
            of_class = class_weights("class_weight", train.classes, train.counts())
        weights = train.weights * of_class[train.labels]
        if self.drawn is None:
            return weights
        return weights * np.bincount(self.drawn, minlength=len(train)).astype("float32")

    @property
    def rounds(self) -> int:
        """Maximum number of times that an epoch draws an example."""
        return 1 if self.sampling is None else self.sampling.rounds

    @property
    def resample(self) -> Callable[..., Any] | None:
        """Resampling of features (SMOTE): maps features and samples to larger sets."""
        if self.name != "smote":
            return None
        # imbalanced-learn is an extra, so it is imported only if it is used.
        from keras_transfer.features.smote import smote

        drawn = self.drawn
        if drawn is None:
            return partial(smote, seed=self.seed)
        return lambda table, train: smote(table.rows(drawn), train.take(drawn), self.seed)


def strategy_for(
    objectives: Mapping[str, Objective], train: Samples, seed: int
) -> ImbalanceStrategy:
    """Choose the strategy for class imbalance.

    Sampling and made-up features are for a single classification. Of several objectives each
    classification may weight its classes.

    Args:
        objectives: By the name of the output.
        train: The train split.
        seed: The recipe's.
    """
    if single_class(objectives):
        (objective,) = objectives.values()
        assert isinstance(objective, Classification)
        return _of_classes(objective, train, seed)
    weights = {
        name: _weights(objective, train, name)
        for name, objective in objectives.items()
        if isinstance(objective, Classification)
    }
    return ImbalanceStrategy(len(train), seeds.stream(seed, "shuffle"), weights=weights)


def _of_classes(objective: Classification, train: Samples, seed: int) -> ImbalanceStrategy:
    counts, class_weight, requested = train.counts(), objective.class_weight, objective.imbalance
    # The user's own weights are the strategy; a second one would count rare classes twice.
    name, reason = choose_strategy(
        "none" if class_weight and requested == "auto" else requested, counts
    )
    if class_weight and requested == "auto":
        reason = "weights as given"
    weighting: Any = class_weight or (name if name in WEIGHTINGS else "none")
    sampling = Sampling(name, train.labels, train.classes) if name in SAMPLINGS else None
    length = len(train if sampling is None else sampling)
    if name == "smote":
        length = int(counts.max()) * len(counts)
    return ImbalanceStrategy(
        length,
        seeds.stream(seed, "shuffle"),
        name,
        reason,
        {"label": class_weights(weighting, train.classes, counts)},
        sampling,
        FOCAL_GAMMA if name == "focal" else 0.0,
    )


def _weights(objective: Classification, train: Samples, name: str) -> np.ndarray:
    """Strategy for one of several objectives: weights only; "auto" means none."""
    labels = labels_of(train, name)
    # Unknown classes are -1, which bincount refuses.
    known = labels.values[objective.known(labels.values)]
    requested = objective.imbalance if objective.imbalance in WEIGHTINGS else "none"
    weighting: Any = objective.class_weight or requested
    return class_weights(weighting, labels.names, np.bincount(known, minlength=len(labels.names)))

"""Classes of different size: weights, sampling or made-up features, as the counts suggest."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from keras_transfer import seeds
from keras_transfer.data.balance import WEIGHTINGS, choose_strategy, class_weights, weight_table
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import SAMPLINGS, Bootstrap, Sampling
from keras_transfer.objectives.classification import Classification

__all__ = ["ImbalanceStrategy"]

logger = logging.getLogger("keras_transfer")

FOCUSING = 2.0
"""Gamma of the focal loss: that of its authors, and of Keras."""


class ImbalanceStrategy:
    """What is done about classes of different size, by the counts of the train split alone.

    Args:
        objective: Says what is asked for.
        train: The train split.
        seed: The recipe's.

    Attributes:
        name: The strategy; "auto" is resolved.
        weights: (classes,) float32, weight of an example by its class.
        sampling: What an epoch draws; None: every example once.
        focal_gamma: Gamma of the focal loss; 0: cross-entropy.
        length: Examples per epoch.
        drawn: Places in the train split of a bootstrap sample; None: all, once each.
    """

    drawn: np.ndarray | None = None

    def __init__(self, objective: Classification, train: Samples, seed: int):
        counts = train.counts()
        own, asked = objective.class_weight, objective.imbalance
        self.name, self._why = choose_strategy("none" if own and asked == "auto" else asked, counts)
        if own and asked == "auto":
            self._why = "weights as given"
        weighting = self.name if self.name in WEIGHTINGS else "none"
        self.weights = class_weights(own or weighting, train.classes, counts)
        drawing = self.name in SAMPLINGS
        self.sampling = Sampling(self.name, train.labels, train.classes) if drawing else None
        self.focal_gamma = FOCUSING if self.name == "focal" else 0.0
        self.length = len(train if self.sampling is None else self.sampling)
        if self.name == "smote":
            self.length = int(counts.max()) * len(counts)
        self.seed = seeds.stream(seed, "shuffle")

    def report(self, train: Samples) -> None:
        """Log the strategy, its reason, an epoch's length, and counts and weights by class."""
        metadata = (self.name, self._why, self.length)
        logger.info("Imbalance: %s (%s); an epoch has %s images", *metadata)
        logger.info("%s", weight_table(train.classes, train.counts(), self.weights))

    def of(self, drawn: np.ndarray, seed: int) -> ImbalanceStrategy:
        """The same strategy on a bootstrap draw of the train split, whose classes are as large.

        Args:
            drawn: As ``bootstrap`` gives it.
            seed: Of what is drawn further.
        """
        other = copy.copy(self)
        other.drawn, other.seed = drawn, seeds.stream(seed, "shuffle")
        if self.name != "smote":
            other.sampling = Bootstrap(drawn, self.sampling)
        return other

    @property
    def rounds(self) -> int:
        """How often an epoch draws an image at most."""
        return 1 if self.sampling is None else self.sampling.rounds

    @property
    def resample(self) -> Callable[..., Any] | None:
        """What makes new features, as ``feed_features`` takes it."""
        if self.name != "smote":
            return None
        from keras_transfer.features.smote import smote

        drawn = self.drawn
        if drawn is None:
            return partial(smote, seed=self.seed)
        return lambda table, train: smote(table.rows(drawn), train.take(drawn), self.seed)

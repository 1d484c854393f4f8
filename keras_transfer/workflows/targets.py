"""What the network is trained towards: columns of targets and weights, losses, mixing, sampling."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.config.groups import Batches
from keras_transfer.data.batches import LABEL, Columns, label_columns
from keras_transfer.data.mixing import Mixing, Soften, smoothed, smoothed_weights
from keras_transfer.data.samples import Samples
from keras_transfer.features.stage_batches import Resample, Split
from keras_transfer.features.store import Table
from keras_transfer.objectives.classification import Classification
from keras_transfer.training.terms import Term
from keras_transfer.workflows.imbalance import ImbalanceStrategy

__all__ = ["Targets"]


class Targets:
    """The targets of a classification, and what is done about the sizes of its classes.

    Args:
        objective: What is predicted.
        train: The train split.
        batches: MixUp and CutMix.
        strategy: What is done about classes of different size.

    Attributes:
        mix: Makes targets soft, in batches of the train split; None: targets are class numbers.
        strategy: As given.
        pixels_change: Whether batches are made of new images in every epoch (CutMix).
    """

    def __init__(
        self,
        objective: Classification,
        train: Samples,
        batches: Batches,
        strategy: ImbalanceStrategy,
    ):
        self.objective, self.strategy, self._train = objective, strategy, train
        self.pixels_change = bool(batches.cutmix)
        smoothing, blends = objective.label_smoothing, batches.mixup or batches.cutmix
        self.mix: Mixing | None = None
        if strategy.focal_gamma or blends or smoothing:
            soften: dict[str, Soften] = {LABEL: smoothed(len(train.classes), smoothing)}
            self.mix = Mixing(
                soften,
                mixup=batches.mixup,
                cutmix=batches.cutmix,
                off_epoch=batches.mixup_off_epoch,
            )

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of the loss."""
        loss = self.objective.loss(soft=self.mix is not None, focal_gamma=self.strategy.focal_gamma)
        return (Term(LABEL, LABEL, loss, metrics=self.objective.metrics),)

    @property
    def class_weights(self) -> np.ndarray:
        """(classes,) float32, weight of an example by its class."""
        if self.mix is None:
            return self.strategy.weights
        return smoothed_weights(self.strategy.weights, self.objective.label_smoothing)

    def train(self) -> Split:
        """The train split with targets and weights."""
        return Split(self._train, self._columns(self._train))

    def val(self, samples: Samples) -> Split:
        """A validation split with targets."""
        return Split(samples, Columns({LABEL: samples.labels}, {}))

    def judged(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Validation batches with targets as the loss takes them; label smoothing is left out."""
        if self.mix is None:
            return batches
        hot = smoothed(len(self._train.classes))
        soften = tf.autograph.experimental.do_not_convert(
            lambda x, y, weights: (x, {name: hot(target) for name, target in y.items()}, weights)
        )
        return batches.map(soften)

    def of(self, drawn: np.ndarray, seed: int) -> Targets:
        """The same targets on a bootstrap draw of the train split.

        Args:
            drawn: As ``bootstrap`` gives it.
            seed: Seed of what is drawn further.
        """
        other = copy.copy(self)
        other.strategy = self.strategy.of(drawn, seed)
        return other

    @property
    def resample(self) -> Resample | None:
        """What makes other features up, as ``from_features`` takes it."""
        make: Callable[..., Any] | None = self.strategy.resample
        if make is None:
            return None

        def resampled(table: Table, train: Samples) -> tuple[Table, Samples, Columns]:
            table, samples = make(table, train)
            return table, samples, self._columns(samples)

        return resampled

    def _columns(self, samples: Samples) -> Columns:
        return label_columns(samples, self.class_weights)

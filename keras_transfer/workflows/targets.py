"""Training targets: columns of targets and weights, losses, mixing, sampling."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.config.groups import Batches
from keras_transfer.data.batches import Columns
from keras_transfer.data.mixing import Mixing, Soften, smoothed, smoothed_weights
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.features.stage_batches import Resample, Split
from keras_transfer.features.store import Table
from keras_transfer.methods.base import ExtraTerm
from keras_transfer.objectives.base import Labels, Objective
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.outputs import labels_of
from keras_transfer.training.terms import Term
from keras_transfer.workflows.imbalance import ImbalanceStrategy

__all__ = ["Targets"]


class Targets:
    """The targets of a network's outputs, and the strategy for class imbalance.

    Args:
        objectives: By the name of the output.
        train: The train split.
        batches: MixUp and CutMix.
        strategy: Strategy for class imbalance.
        extra: Terms of the method.
        label_weight: Factor of the objectives' terms.

    Attributes:
        rows: The examples of training.
        mix: Makes targets soft, in batches of the train split; None: classes are numbers.
        pixels_change: Whether batches are made of new images in every epoch (CutMix).

    Raises:
        BadConfiguration: MixUp or CutMix would blend with examples that have no target.
    """

    def __init__(
        self,
        objectives: Mapping[str, Objective],
        train: Samples,
        batches: Batches,
        strategy: ImbalanceStrategy,
        extra: Sequence[ExtraTerm] = (),
        label_weight: float = 1.0,
    ):
        self.extra, self.label_weight = tuple(extra), label_weight
        self.objectives, self.strategy, self._train = dict(objectives), strategy, train
        self.rows = train
        self.pixels_change = bool(batches.cutmix)
        blends = bool(batches.mixup or batches.cutmix)
        smooths = any(_smoothing(objective) for objective in objectives.values())
        self.mix: Mixing | None = None
        if blends:
            self._refuse_unknown()
        if strategy.focal_gamma or blends or smooths:
            self.mix = Mixing(
                {
                    name: self._soften(name, _smoothing(self.objectives.get(name)))
                    for name in self._outputs
                },
                mixup=batches.mixup,
                cutmix=batches.cutmix,
                off_epoch=batches.mixup_off_epoch,
            )

    @property
    def _outputs(self) -> list[str]:
        return [*self.objectives, *(term.output for term in self.extra)]

    def labels(self, output: str) -> Labels:
        """Labels of the train split."""
        return labels_of(self._train, output)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of the loss."""
        terms = [
            Term(
                name,
                name,
                self._loss(objective, self.labels(name)),
                objective.weight * self.label_weight,
                tuple(objective.training_metrics(self.labels(name).names)),
            )
            for name, objective in self.objectives.items()
        ]
        more = [Term(term.output, term.output, term.loss, term.weight) for term in self.extra]
        return (*terms, *more)

    def train(self) -> Split:
        """The examples of training with targets and weights."""
        return Split(self.rows, self._columns(self.rows))

    def labelled(self) -> Split:
        """Those of them that have labels."""
        return self.train()

    def val(self, samples: Samples) -> Split:
        """A validation split with targets, and weight 0 where there is none."""
        targets, weights = {}, {}
        for name, objective in self.objectives.items():
            targets[name], weights[name] = objective.targets(labels_of(samples, name).values)
        for name, values in self._extra_values.items():  # the labels alone choose the best epoch
            targets[name] = np.zeros((len(samples), *values.shape[1:]), "float32")
            weights[name] = np.zeros(len(samples), "float32")
        return Split(samples, Columns(targets, weights))

    def judged(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Validation batches with targets as the loss takes them; label smoothing is left out."""
        if self.mix is None:
            return batches
        # Smoothed labels would raise the validation loss of a model that is right.
        hard = {name: self._soften(name) for name in self._outputs}
        soften = tf.autograph.experimental.do_not_convert(
            lambda x, y, weights: (x, {name: hard[name](y[name]) for name in y}, weights)
        )
        return batches.map(soften)

    def of(self, drawn: np.ndarray, seed: int) -> Targets:
        """The same targets on a bootstrap sample of the train split.

        Args:
            drawn: (n,) int64 rows of the train split, as ``bootstrap`` gives them.
            seed: Seed of further sampling.
        """
        other = copy.copy(self)
        other.strategy = self.strategy.of(drawn, seed)
        return other

    @property
    def resample(self) -> Resample | None:
        """Resampling of features, for ``from_features``."""
        make: Callable[..., Any] | None = self.strategy.resample
        if make is None:
            return None

        def resampled(table: Table, train: Samples) -> tuple[Table, Samples, Columns]:
            table, samples = make(table, train)
            return table, samples, self._columns(samples)

        return resampled

    def _columns(self, samples: Samples) -> Columns:
        targets, weights = {}, {}
        for name, objective in self.objectives.items():
            targets[name], known = objective.targets(labels_of(samples, name).values)
            # Weight 0 leaves an example out of the loss and of the weighted metrics.
            factors = samples.weights * known
            if name in self.strategy.weights:
                # An unknown class is 0 here, and its weight is 0 already.
                factors = factors * self._class_weights(name)[targets[name]]
            weights[name] = factors.astype("float32")
        for name, values in self._extra_values.items():
            targets[name], weights[name] = values, self._extra_weights(samples)
        return Columns(targets, weights)

    # A teacher answers the whole train split for it.
    @cached_property
    def _extra_values(self) -> dict[str, np.ndarray]:
        return {term.output: term.values(self.rows) for term in self.extra}

    def _extra_weights(self, samples: Samples) -> np.ndarray:
        """(n,) float32 weights of the examples in the terms of the method."""
        return samples.weights

    def _class_weights(self, name: str) -> np.ndarray:
        """(classes,) float32, weight of an example by its class."""
        weights = self.strategy.weights[name]
        if self.mix is None:
            return weights
        # A soft target belongs to several classes, and so does its weight.
        return smoothed_weights(weights, _smoothing(self.objectives[name]))

    def _refuse_unknown(self) -> None:
        """Refuse to blend the target of an example with that of one that has none."""
        for name, objective in self.objectives.items():
            unknown = int((~objective.known(self.labels(name).values)).sum())
            if unknown:
                raise BadConfiguration(
                    f"mixup and cutmix blend the targets of two examples, and {unknown:,} of "
                    f"{len(self._train):,} training examples have no {name}. Leave mixup and "
                    "cutmix out, or these examples."
                )

    def _loss(self, objective: Objective, labels: Labels) -> Any:
        if isinstance(objective, Classification):
            soft, gamma = self.mix is not None, self.strategy.focal_gamma
            return objective.loss(labels, soft=soft, focal_gamma=gamma)
        return objective.loss(labels)

    def _soften(self, name: str, label_smoothing: float = 0.0) -> Soften:
        if isinstance(self.objectives.get(name), Classification):
            return smoothed(len(self.labels(name).names), label_smoothing)
        return lambda targets: tf.cast(targets, tf.float32)


def _smoothing(objective: Objective | None) -> float:
    """Of a classification; other losses smooth labels themselves."""
    return objective.label_smoothing if isinstance(objective, Classification) else 0.0

"""A teacher's outputs as targets of a student."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_transfer import runs
from keras_transfer.cache import cache_dir
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.features.extractor import EngineConfig, FeatureExtractor
from keras_transfer.methods.base import ExtraTerm
from keras_transfer.methods.distill import Distill
from keras_transfer.networks.cutting import Cut
from keras_transfer.objectives.base import Labels, Objective
from keras_transfer.training.distillation import DistillationLoss

__all__ = ["Teacher"]

logger = logging.getLogger("keras_transfer")


class Teacher:
    """A finished run whose outputs are computed once per example, and cached.

    Args:
        method: Has the path of the run.
        output: Name of the output to learn from.
        labels: Labels of the student's train split; the teacher's units are put in this order.
        cache: Whether its outputs are cached for later runs.

    Raises:
        BadConfiguration: The run is not there, or predicts something else.
    """

    def __init__(
        self, method: Distill, objective: Objective, output: str, labels: Labels, cache: bool
    ):
        self.method, self.objective, self.labels = method, objective, labels
        self.run = runs.Run(method.teacher.removeprefix("run:"))
        self.order = self._order(output)
        self.output, self.cache = output, cache

    def term(self) -> ExtraTerm:
        """The term of the loss that compares the student with the teacher."""
        (name,) = Distill.outputs
        return ExtraTerm(name, self._loss(), self.method.alpha, self.outputs)

    def outputs(self, samples: Samples) -> np.ndarray:
        """(n, units) float32 outputs of the teacher, before any activation."""
        table = self._extractor(samples).table(samples)
        if table is None:
            raise BadData("There is no room for the teacher's outputs. Free memory or disk space.")
        # By name: the teacher may have been trained on classes in another order.
        return table.take(np.arange(len(table)))[:, self.order].astype("float32")

    def _loss(self) -> keras.losses.Loss:
        # A temperature softens probabilities; values have none.
        if self.objective.activation == "linear":
            return self.objective.loss(self.labels)
        return DistillationLoss(self.method.temperature, self.objective.activation)

    def _order(self, output: str) -> list[int]:
        """Index of each of the student's units among the teacher's."""
        teacher = self.run.outputs.get(output)
        same = teacher is not None and teacher.objective.activation == self.objective.activation
        if teacher is None or not same or set(teacher.names) != set(self.labels.names):
            predicts = ", ".join(
                f"{name} ({', '.join(output.names[:10])})"
                for name, output in self.run.outputs.items()
            )
            raise BadConfiguration(
                f"The teacher in {self.run.folder} predicts {predicts}; the student is to predict "
                f"{output} ({', '.join(self.labels.names[:10])}). Choose a teacher of the same "
                "classes."
            )
        return [teacher.names.index(name) for name in self.labels.names]

    def _extractor(self, samples: Samples) -> FeatureExtractor:
        """Extractor that computes and caches the teacher's outputs like features."""
        predictor = self.run.network.predictor
        (given,) = predictor.inputs
        graph = keras.Model(given, predictor.output[self.output], name="teacher")
        cut = Cut("outputs", (graph,), (), tuple(predictor.input))
        loading = replace(self.run.loading, replicas=1)
        # Float32 only: bfloat16 would change what the student learns from.
        config = EngineConfig("auto", 0.0, cache_dir(), self.cache)
        name: Any = self.run.settings["backbone"]["name"]
        return FeatureExtractor(cut, loading, samples, config, backbone=f"teacher {name}")

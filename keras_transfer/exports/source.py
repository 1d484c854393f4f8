"""What is exported: a network, what its outputs are, and how examples become its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import Loading
from keras_transfer.exports.answers import Answers
from keras_transfer.objectives.outputs import Outputs

__all__ = ["Source"]


@dataclass(frozen=True, eq=False)
class Source:
    """What is exported.

    Attributes:
        name: Of the model, as a server calls it.
        model: From inputs by name, such as (batch, size, size, 3) float32 RGB pixels 0..255, to
            (batch, units) outputs by name, before any activation.
        answers: What each output is, and what a graph returns for it.
        loading: How examples become those inputs.
        metadata: JSON-ready; what ``export.json`` says.
        settings: Of the recipe.
        representative: Batches of training inputs by name; a new iterator each call: int8 takes
            its ranges from them.
    """

    name: str
    model: keras.Model
    answers: Answers
    loading: Loading
    metadata: dict[str, Any]
    settings: dict[str, Any]
    representative: Callable[[], Iterator[Mapping[str, np.ndarray]]]

    @property
    def outputs(self) -> Outputs:
        """The outputs of the network, by name."""
        return self.answers.outputs

    def scores(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """(batch, units) float32 scores by the name of the output, inside a graph."""
        return self.answers.scores(self.model(dict(inputs), training=False))

    def inputs(self, batch: int | None = None) -> dict[str, tf.TensorSpec]:
        """(batch, ...) specs of what the network takes, by name; batches of any size if None."""
        return {
            name: tf.TensorSpec([batch, *tensor.shape[1:]], tensor.dtype, name=name)
            for name, tensor in self.model.input.items()
        }

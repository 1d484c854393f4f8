"""What is explained: one value of a network's output for each image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.errors import BadConfiguration
from keras_transfer.explanations.halves import Halves, halves
from keras_transfer.networks.label_curves import uncalibrated
from keras_transfer.networks.learner_layers import differentiable
from keras_transfer.networks.network import Network

__all__ = ["BATCH", "FILL", "Subject", "log_odds", "score_of"]

FILL = np.array([123.68, 116.779, 103.939], "float32")
"""The mean colour of ImageNet: near 0 behind the preprocessing of most networks."""

BATCH = 32


def log_odds(logits: tf.Tensor, units: tf.Tensor, activation: str) -> tf.Tensor:
    """(n,) log-odds of the asked units, log p / (1 - p); values of a regression.

    Not the probability, which hardly moves where it is close to 1.

    Args:
        logits: (n, units) float32 outputs before their activation.
        units: (n,) int32.
        activation: softmax, sigmoid or linear.
    """
    asked = tf.gather(logits, units, batch_dims=1)
    if activation != "softmax":
        return asked
    own = tf.one_hot(units, tf.shape(logits)[1], True, False)
    others = tf.where(own, tf.fill(tf.shape(logits), logits.dtype.min), logits)
    return asked - tf.reduce_logsumexp(others, axis=1)


def score_of(logits: tf.Tensor, units: tf.Tensor, activation: str) -> tf.Tensor:
    """(n,) probabilities of the asked units, of what ``log_odds`` takes; values of a regression."""
    values = log_odds(logits, units, activation)
    return values if activation == "linear" else tf.sigmoid(values)


@dataclass(frozen=True, eq=False)
class Subject:
    """An output of a network for images, and what is asked of it.

    Attributes:
        network: The network; only its predictor is used.
        output: Name of the output.
        activation: softmax, sigmoid or linear: from the output to scores.
    """

    network: Network
    output: str
    activation: str

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return int(self.network.predictor.input["pixels"].shape[1])

    @cached_property
    def halves(self) -> Halves:
        """The network, divided at its last maps; see ``halves``."""
        return halves(self.network)

    def check_gradient(self, method: str) -> None:
        """Refuse a method that needs a gradient where there is none.

        Raises:
            BadConfiguration: The head counts neighbours or leaves.
        """
        if not differentiable(self.network.predictor):
            raise BadConfiguration(
                f"--method {method} needs a gradient, and the run's learner counts neighbours or "
                "leaves of trees, which have none. Use --method occlusion."
            )

    @cached_property
    def _outputs(self) -> keras.Model:
        """From the inputs to the output before isotonic curves, and to the output."""
        model = self.network.predictor
        both = (uncalibrated(model)[self.output], model.output[self.output])
        return keras.Model(model.input, both)

    def logits(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Outputs of images, before any activation.

        Args:
            pixels: (n, size, size, 3) float32, 0..255.

        Returns:
            (n, units) float32 outputs whose values are explained, before isotonic curves, on whose
            plateaus all gradients are 0; and those of which the scores are.
        """
        first, second = self._outputs({"pixels": pixels}, training=False)
        return tf.cast(first, tf.float32), tf.cast(second, tf.float32)

    def value(self, logits: tf.Tensor, units: tf.Tensor) -> tf.Tensor:
        """(n,) values that are explained, as ``log_odds`` gives them."""
        return log_odds(logits, units, self.activation)

    @cached_property
    def _forward(self) -> Any:
        """A graph that is traced once, for batches of any size."""
        return tf.function(self.logits, input_signature=[self.pixels_spec])

    @property
    def pixels_spec(self) -> tf.TensorSpec:
        """Of batches of images of any size."""
        return tf.TensorSpec([None, self.size, self.size, 3], tf.float32)

    def run(self, images: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and scores of images, batch by batch.

        Args:
            images: (n, size, size, 3) float32, or what gives them by slices.
            units: (n,) int.

        Returns:
            (n,) float64 values as ``value`` gives them, and scores.
        """
        values, scores = [], []
        for start in range(0, len(units), BATCH):
            part = slice(start, start + BATCH)
            asked = tf.constant(units[part], tf.int32)
            explained, logits = self._forward(tf.constant(images[part], tf.float32))
            values.append(self.value(explained, asked).numpy())
            scores.append(score_of(logits, asked, self.activation).numpy())
        return np.concatenate(values).astype("float64"), np.concatenate(scores).astype("float64")

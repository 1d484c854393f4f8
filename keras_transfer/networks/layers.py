"""Layers that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

__all__ = ["GradientReversal", "ScheduledGradientReversal"]

GAMMA = 10.0
"""Steepness of the schedule, as in the paper."""


@keras.saving.register_keras_serializable(package="keras_transfer")
class GradientReversal(keras.layers.Layer):
    """Identity whose gradient is multiplied by ``-factor``.

    Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks", arXiv:1505.07818: what
    comes after it learns to tell domains apart, and what comes before it learns to prevent that.

    Args:
        factor: Lambda of the paper, 0 or more.
        **options: Options of every Keras layer.
    """

    def __init__(self, factor: float = 1.0, **options: Any):
        super().__init__(**options)
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        """(batch, ...) floats, unchanged."""
        return _reversed(inputs, self.factor)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="keras_transfer")
class ScheduledGradientReversal(GradientReversal):
    """Gradient reversal whose factor grows with training.

    Ganin et al. 2016, section 5.2: with the share p of the training that is done, the factor is
    multiplied by ``2 / (1 + exp(-10 p)) - 1``, which grows from 0 to almost 1. So features are not
    changed by a domain classifier that has not learnt yet. The number of training steps is a
    weight of the layer, so that a resumed training continues the schedule.

    Args:
        steps: Number of training steps until p is 1; 1 or more.
        factor: The factor that the schedule approaches, 0 or more.
        **options: Options of every Keras layer.
    """

    def __init__(self, steps: int, factor: float = 1.0, **options: Any):
        super().__init__(factor, **options)
        self.steps = steps

    def build(self, input_shape: Any) -> None:
        """Create the count of training steps, a () int64 weight that is not trained."""
        self.count = self.add_weight(
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            # Each replica of a distributed training counts each step.
            aggregation="only_first_replica",
            name="count",
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(batch, ...) floats, unchanged; counts a step in training."""
        p = tf.minimum(tf.cast(self.count.value, "float32") / self.steps, 1.0)
        factor = self.factor * (2 / (1 + tf.exp(-GAMMA * p)) - 1)
        if training:
            self.count.assign_add(1)
        return _reversed(inputs, factor)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {**super().get_config(), "steps": self.steps}


def _reversed(inputs: Any, factor: Any) -> Any:
    """Inputs whose gradient is multiplied by ``-factor``, a () float."""

    @tf.custom_gradient
    def reversed_gradient(values: tf.Tensor) -> Any:
        return tf.identity(values), lambda upstream: -tf.cast(factor, upstream.dtype) * upstream

    return reversed_gradient(inputs)

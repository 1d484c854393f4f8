"""Layers that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

__all__ = ["GradientReversal"]


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

        @tf.custom_gradient
        def reversed_gradient(values: tf.Tensor) -> Any:
            return tf.identity(values), lambda upstream: -self.factor * upstream

        return reversed_gradient(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {**super().get_config(), "factor": self.factor}

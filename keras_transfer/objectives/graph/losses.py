"""Losses that Keras does not have. Each mends the shape of labels that lack the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

__all__ = ["StandardisedError", "WeightedBinaryCrossentropy"]


@keras.saving.register_keras_serializable(package="keras_transfer")
class WeightedBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of logits with a factor for the positives of each label.

    For a logit z, a label y and a factor w: -(w y log sigmoid(z) + (1 - y) log(1 - sigmoid(z))),
    the mean over the labels of an example.

    Args:
        pos_weight: (labels,) factors above 0.
        label_smoothing: Share s; y becomes (1 - s) y + s / 2.
        name: Name of the loss.
        **options: Options of every Keras loss.
    """

    def __init__(
        self,
        pos_weight: Sequence[float],
        label_smoothing: float = 0.0,
        name: str = "weighted_binary_crossentropy",
        **options: Any,
    ):
        super().__init__(name=name, **options)
        # Plain floats: get_config must fit into JSON.
        self.pos_weight = [float(weight) for weight in pos_weight]
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) losses of (batch, labels) labels and logits."""
        y = _like(y_true, y_pred)
        y = (1 - self.label_smoothing) * y + self.label_smoothing / 2
        weight = ops.cast(self.pos_weight, y_pred.dtype)
        # -log(1 - sigmoid(z)) = z + softplus(-z), -log sigmoid(z) = softplus(-z): none overflows.
        losses = (1 - y) * y_pred + (1 + (weight - 1) * y) * ops.softplus(-y_pred)
        return ops.mean(losses, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        own = {"pos_weight": self.pos_weight, "label_smoothing": self.label_smoothing}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_transfer")
class StandardisedError(keras.losses.Loss):
    """Error of values in the units of the data, divided by a scale for each target.

    With the error e = (predicted - true) / scale, the mean over the targets of: e^2 (mse); |e|
    (mae); or e^2 / 2 up to |e| = delta and delta (|e| - delta / 2) beyond (huber).

    Args:
        scale: (targets,) above 0, such as the standard deviations of the train split.
        error: mse, mae or huber.
        delta: Of huber, in units of the scale.
        name: Name of the loss.
        **options: Options of every Keras loss.
    """

    def __init__(
        self,
        scale: Sequence[float],
        error: str = "mse",
        delta: float = 1.0,
        name: str = "standardised_error",
        **options: Any,
    ):
        super().__init__(name=name, **options)
        self.scale = [float(value) for value in scale]
        self.error, self.delta = error, delta

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) losses of (batch, targets) values."""
        e = (y_pred - _like(y_true, y_pred)) / ops.cast(self.scale, y_pred.dtype)
        if self.error == "mse":
            return ops.mean(ops.square(e), axis=-1)
        size = ops.abs(e)
        if self.error == "huber":
            far = self.delta * (size - self.delta / 2)
            # Both branches are finite, so the gradient of where has no NaN from the one not taken.
            size = ops.where(size <= self.delta, ops.square(e) / 2, far)
        return ops.mean(size, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        own = {"scale": self.scale, "error": self.error, "delta": self.delta}
        return {**super().get_config(), **own}


def _like(y_true: Any, y_pred: Any) -> Any:
    """Labels with the type and rank of predictions: (n,) against (n, 1) would become (n, n)."""
    # Labels of one target come as (n,) from tables.
    y = ops.cast(y_true, y_pred.dtype)
    return ops.expand_dims(y, -1) if len(y.shape) == len(y_pred.shape) - 1 else y

"""The loss of a student towards its teacher."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["DistillationLoss"]


@keras.saving.register_keras_serializable(package="keras_transfer")
class DistillationLoss(keras.losses.Loss):
    """Divergence of a student's softened outputs from its teacher's.

    Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2. With logits t of the teacher, s of
    the student and temperature T: ``T^2 KL(softmax(t / T) || softmax(s / T))``. The factor T^2
    keeps the gradient's size as T changes. With sigmoids the divergence is that of Bernoulli
    distributions, the mean over the labels.

    Args:
        temperature: T, above 0.
        activation: "softmax" or "sigmoid".
        name: Name of the loss.
        **options: Options of every Keras loss.
    """

    def __init__(
        self,
        temperature: float = 4.0,
        activation: str = "softmax",
        name: str = "distillation",
        **options: Any,
    ):
        super().__init__(name=name, **options)
        self.temperature, self.activation = temperature, activation

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) losses of (batch, units) logits of teacher and student."""
        teacher = ops.cast(y_true, y_pred.dtype) / self.temperature
        student = y_pred / self.temperature
        if self.activation == "softmax":
            p = ops.softmax(teacher, axis=-1)
            # Not log(softmax): it is -inf where a share is rounded to 0.
            log_ratio = ops.log_softmax(teacher, axis=-1) - ops.log_softmax(student, axis=-1)
            return self.temperature**2 * ops.sum(p * log_ratio, axis=-1)
        p = ops.sigmoid(teacher)
        # log sigmoid(z) = -softplus(-z), log (1 - sigmoid(z)) = -softplus(z): none overflows.
        yes = ops.softplus(-student) - ops.softplus(-teacher)
        no = ops.softplus(student) - ops.softplus(teacher)
        return self.temperature**2 * ops.mean(p * yes + (1 - p) * no, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        own = {"temperature": self.temperature, "activation": self.activation}
        return {**super().get_config(), **own}

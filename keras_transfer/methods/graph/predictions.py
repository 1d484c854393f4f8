"""Losses of the predictions for target examples, which have no labels.

Each loss takes (batch, 1) float ids of domains, 0 source and 1 target, and (batch, classes) float32
logits. Rows of the source do not count; without any of the target all losses are 0.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_transfer.methods.graph.domains import entropy, for_each, members, per_row

__all__ = ["ClassConfusion", "PredictionEntropy", "PseudoLabelCrossentropy"]

TINY = 1e-12


@keras.saving.register_keras_serializable(package="keras_transfer")
class ClassConfusion(keras.losses.Loss):
    """How often the predictions for target examples confuse two classes.

    Jin et al. 2020, "Minimum Class Confusion for Versatile Domain Adaptation", arXiv:1912.03699,
    equations 2 to 6. With y = softmax(z / T) of m rows, and weights W proportional to
    ``1 + exp(-H(y))`` with the sum m: ``C_jk = sum_i W_i y_ij y_ik``, each row of C is divided by
    its sum, and the loss is the sum of all C_jk with j != k, divided by the number of classes: from
    0 to 1. No gradient flows through the weights, as in the authors' code.

    Args:
        temperature: T, above 0.
        name: Name of the loss.
        **options: Options of every Keras loss.
    """

    def __init__(self, temperature: float = 2.5, name: str = "class_confusion", **options: Any):
        super().__init__(name=name, **options)
        self.temperature = temperature

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) confusions, equal for all rows."""
        logits = y_pred / self.temperature
        _, target = members(y_true)
        # Each row of C is divided by its sum, so the sum of the weights does not matter.
        weights = target * ops.stop_gradient(1 + ops.exp(-entropy(logits)))
        shares = ops.softmax(logits, axis=-1)
        weighted = ops.expand_dims(weights, -1) * shares
        # The probabilities of a row have the sum 1, so a row of C has that of a column of these.
        sums = ops.sum(weighted, axis=0)
        between = ops.sum(weighted * (1 - shares), axis=0)
        return for_each(ops.mean(between / ops.maximum(sums, TINY)), y_true)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {**super().get_config(), "temperature": self.temperature}


@keras.saving.register_keras_serializable(package="keras_transfer")
class PredictionEntropy(keras.losses.Loss):
    """Mean entropy of the predictions for target examples, 0 to log K.

    Grandvalet and Bengio 2005, "Semi-supervised Learning by Entropy Minimization", NeurIPS 17.
    """

    def __init__(self, name: str = "prediction_entropy", **options: Any):
        super().__init__(name=name, **options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) losses."""
        _, target = members(y_true)
        return per_row(entropy(y_pred), target)


@keras.saving.register_keras_serializable(package="keras_transfer")
class PseudoLabelCrossentropy(keras.losses.Loss):
    """Cross-entropy of target examples with the classes that the network itself predicts.

    Lee 2013, "Pseudo-Label", ICML workshop; of the confident predictions only, as in FixMatch
    (Sohn et al. 2020, arXiv:2001.07685, equation 4): the sum over the target rows whose largest
    probability is ``threshold`` or more, divided by the number of all target rows.

    Args:
        threshold: Between 0 and 1.
        name: Name of the loss.
        **options: Options of every Keras loss.
    """

    def __init__(self, threshold: float = 0.9, name: str = "pseudo_labels", **options: Any):
        super().__init__(name=name, **options)
        self.threshold = threshold

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) losses."""
        _, target = members(y_true)
        # The largest probability is that of the predicted class: its loss is -log of it.
        losses = -ops.max(ops.log_softmax(y_pred, axis=-1), axis=-1)
        confident = ops.max(ops.softmax(y_pred, axis=-1), axis=-1) >= self.threshold
        return per_row(ops.cast(confident, y_pred.dtype) * losses, target)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {**super().get_config(), "threshold": self.threshold}

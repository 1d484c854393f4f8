"""Losses of domain classifiers and decoders."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_transfer.methods.graph.domains import entropy, members, per_row

__all__ = ["DomainCrossentropy", "Reconstruction"]

TINY = 1e-9
"""Variances of at most this are rounding errors."""


@keras.saving.register_keras_serializable(package="keras_transfer")
class DomainCrossentropy(keras.losses.Loss):
    """Cross-entropy of a domain classifier, the mean of both domains' means.

    So a classifier that ignores the features loses log 2, whatever the shares of the domains in a
    batch are.

    Args:
        classes: Number of the last columns, which are logits of classes; 0: there are none.
            With them each row has the weight ``1 + exp(-H)``, where H is the entropy of its
            classes: CDAN+E (Long et al. 2018, arXiv:1705.10667, section 3.3). A domain's weights
            are divided by their sum, as in the authors' code, and no gradient flows through them,
            as in TLlib.
        name: Name of the loss.
        **options: Options of every Keras loss.
    """

    def __init__(self, classes: int = 0, name: str = "domain_crossentropy", **options: Any):
        super().__init__(name=name, **options)
        self.classes = classes

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) losses of (batch, 1) ids and (batch, 1 + classes) logits of the target."""
        logits, classes = y_pred[:, 0], ops.stop_gradient(y_pred[:, 1:])
        source, target = members(y_true)
        # -log sigmoid(z) = softplus(-z), -log(1 - sigmoid(z)) = softplus(z): none overflows.
        losses = ops.softplus(ops.where(target > 0, -logits, logits))
        weights = 1 + ops.exp(-entropy(classes)) if self.classes else ops.ones_like(logits)
        return sum(per_row(losses, weights * chosen) for chosen in (source, target)) / 2

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {**super().get_config(), "classes": self.classes}


@keras.saving.register_keras_serializable(package="keras_transfer")
class Reconstruction(keras.losses.Loss):
    """Squared error of a decoder, the mean of both domains' means.

    What is decoded are features that are standardized within each domain of the batch, so that a
    code without any trace of the domain can have no error. A constant feature is 0. No gradient
    flows to them. A decoder that gives 0 has the loss 1.
    """

    def __init__(self, name: str = "reconstruction", **options: Any):
        super().__init__(name=name, **options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) losses of (batch, 1) ids and (batch, 2 d) decoded features and true ones."""
        decoded, features = ops.split(y_pred, 2, axis=-1)
        features, losses = ops.stop_gradient(features), 0.0
        for chosen in members(y_true):
            error = ops.mean(ops.square(decoded - _standardized(features, chosen)), axis=-1)
            losses += per_row(error, chosen) / 2
        return losses


def _standardized(features: Any, chosen: Any) -> Any:
    """(batch, d) features with the mean 0 and variance 1 over the chosen rows."""
    shares = ops.expand_dims(chosen / ops.maximum(ops.sum(chosen), 1), -1)
    centred = features - ops.sum(shares * features, axis=0)
    variance = ops.sum(shares * ops.square(centred), axis=0)
    return ops.where(variance > TINY, centred * ops.rsqrt(ops.maximum(variance, TINY)), 0.0)

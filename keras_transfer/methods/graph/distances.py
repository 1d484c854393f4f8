"""Distances of the domains in a batch, as losses.

Each loss takes (batch, 1) float ids of domains, 0 source and 1 target, and float32 outputs of the
network. It gives the same value for each row of the batch: the distance, which is 0 where a domain
is missing.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_transfer.methods.graph.domains import contrast, for_each, members

__all__ = ["CovarianceDistance", "JointMeanDiscrepancy", "MeanDiscrepancy"]

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of the Gaussian kernels, as factors of the mean squared distance of two rows."""
CLASS_BANDWIDTH = 1.68
"""Bandwidth of the kernel of probabilities, as in the authors' code of JAN."""
TINY = 1e-12


@keras.saving.register_keras_serializable(package="keras_transfer")
class CovarianceDistance(keras.losses.Loss):
    """Distance of the covariances of both domains.

    Sun and Saenko 2016, "Deep CORAL", arXiv:1607.01719: ``|C_s - C_t|^2 / (4 d^2)`` with the
    Frobenius norm, covariances divided by n - 1, and d features. 0 where a domain has fewer than
    two rows.
    """

    def __init__(self, name: str = "covariance_distance", **options: Any):
        super().__init__(name=name, **options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) distances of (batch, 1) ids and (batch, d) features."""
        rows, signs, enough = 0.0, 0.0, 1.0
        for sign, chosen in zip((1.0, -1.0), members(y_true), strict=True):
            n, column = ops.sum(chosen), ops.expand_dims(chosen, -1)
            mean = ops.sum(column * y_pred, axis=0) / ops.maximum(n, 1)
            rows += column * (y_pred - mean) / ops.sqrt(ops.maximum(n - 1, 1))
            signs += sign * chosen
            enough *= ops.cast(n > 1, y_pred.dtype)
        # tr(C_s C_t) is the sum of the squared products of their rows: no matrix of d by d.
        products = ops.square(ops.matmul(rows, ops.transpose(rows)))
        squares = ops.sum(signs * ops.matmul(products, ops.expand_dims(signs, -1))[:, 0])
        return for_each(enough * squares / (4 * y_pred.shape[-1] ** 2), y_true)


@keras.saving.register_keras_serializable(package="keras_transfer")
class MeanDiscrepancy(keras.losses.Loss):
    """Squared maximum mean discrepancy of both domains, with several Gaussian kernels.

    Long et al. 2015, "Learning Transferable Features with Deep Adaptation Networks",
    arXiv:1502.02791: the mean of k over pairs of source rows, plus that over pairs of target rows,
    minus twice that over pairs of both, where k is the mean of five kernels
    ``exp(-|x - y|^2 / b)`` and b is 1/4, 1/2, 1, 2 and 4 times the mean squared distance of two
    rows of the batch. No gradient flows through b. Pairs of a row with itself count: this is the
    biased estimate, which is never negative. From 0 to 2.
    """

    def __init__(self, name: str = "mean_discrepancy", **options: Any):
        super().__init__(name=name, **options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) discrepancies of (batch, 1) ids and (batch, channels) features."""
        return for_each(_discrepancy(_kernels(y_pred), y_true), y_true)


@keras.saving.register_keras_serializable(package="keras_transfer")
class JointMeanDiscrepancy(keras.losses.Loss):
    """Squared maximum mean discrepancy of features and predictions together.

    Long et al. 2017, "Deep Transfer Learning with Joint Adaptation Networks", arXiv:1605.06636:
    as ``MeanDiscrepancy``, where k is the product of its kernels of the features and of one of the
    probabilities of the classes, ``exp(-|p - q|^2 / 1.68)``.

    Args:
        classes: Number of the last columns, which are logits.
        name: Name of the loss.
        **options: Options of every Keras loss.
    """

    def __init__(self, classes: int, name: str = "joint_mean_discrepancy", **options: Any):
        super().__init__(name=name, **options)
        self.classes = classes

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch,) discrepancies of (batch, 1) ids and (batch, channels + classes) columns."""
        features, logits = y_pred[:, : -self.classes], y_pred[:, -self.classes :]
        shares = _squared_distances(ops.softmax(logits, axis=-1))
        kernel = _kernels(features) * ops.exp(-shares / CLASS_BANDWIDTH)
        return for_each(_discrepancy(kernel, y_true), y_true)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {**super().get_config(), "classes": self.classes}


def _discrepancy(kernel: Any, domain: Any) -> Any:
    """() squared distance of the domains' means in the space of a (batch, batch) kernel."""
    shares = contrast(domain)
    return ops.sum(shares * ops.matmul(kernel, ops.expand_dims(shares, -1))[:, 0])


def _kernels(rows: Any) -> Any:
    """(batch, batch) mean of the Gaussian kernels of (batch, channels) rows."""
    squares = _squared_distances(rows)
    n = ops.cast(ops.shape(rows)[0], rows.dtype)
    mean = ops.stop_gradient(ops.sum(squares) / ops.maximum(n * (n - 1), 1))
    # Rows that all are the same have no distance to be measured by.
    mean = ops.where(mean > TINY, mean, 1.0)
    return sum(ops.exp(-squares / (factor * mean)) for factor in BANDWIDTHS) / len(BANDWIDTHS)


def _squared_distances(rows: Any) -> Any:
    """(batch, batch) |x - y|^2 of (batch, channels) rows."""
    # A common offset changes no distance, but would cost digits.
    rows -= ops.stop_gradient(ops.mean(rows, axis=0))
    lengths = ops.sum(ops.square(rows), axis=-1)
    products = ops.matmul(rows, ops.transpose(rows))
    return ops.maximum(lengths[:, None] + lengths[None, :] - 2 * products, 0)

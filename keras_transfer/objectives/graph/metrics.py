"""Metrics of an epoch that Keras does not compute from logits and mixed labels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["MultiLabelAUC"]


@keras.saving.register_keras_serializable(package="keras_transfer")
class MultiLabelAUC(keras.metrics.AUC):
    """Mean area under the precision-recall curves of all labels, from logits, by 200 thresholds.

    A label that mixup made a share is positive from 1/2 on; Keras would take any share above 0.

    Args:
        labels: Number of labels.
        name: Name of the metric.
        dtype: Type of the computation.
    """

    def __init__(self, labels: int, name: str = "pr_auc", dtype: Any = None):
        self.labels = labels
        super().__init__(
            curve="PR",
            multi_label=True,
            num_labels=labels,
            from_logits=True,
            name=name,
            dtype=dtype,
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch of (batch, labels) labels and logits, and (batch,) weights."""
        hard = ops.cast(ops.convert_to_tensor(y_true) >= 0.5, "float32")
        super().update_state(hard, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``__init__``."""
        return {"labels": self.labels, "name": self.name, "dtype": self.dtype}

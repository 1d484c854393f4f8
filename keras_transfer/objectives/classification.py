"""Classification: one class per example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from keras_transfer.group import ClassName, NonNegative
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.imbalance import Imbalance, OwnWeights

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["Classification"]


class Classification(Objective):
    """One class per example: softmax and cross-entropy."""

    activation: ClassVar[str] = "softmax"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    monitors: ClassVar[Mapping[str, str]] = {
        "val_loss": "min",
        "val_accuracy": "max",
        "loss": "min",
        "accuracy": "max",
    }
    headline: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")

    type: Literal["classification"] = "classification"
    imbalance: Imbalance = Field(
        "auto",
        description="what is done about classes of different size",
        json_schema_extra={"section": "Imbalance"},
    )
    class_weight: dict[ClassName, NonNegative] | OwnWeights | None = Field(
        None,
        description="{class: weight} instead of computed weights",
        json_schema_extra={"section": "Imbalance"},
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="label smoothing factor, 0 to 1"
    )

    def loss(self, *, soft: bool = False, focal_gamma: float = 0.0) -> keras.losses.Loss:
        """Cross-entropy of logits.

        Args:
            soft: Targets are (batch, classes) shares instead of (batch,) class numbers.
            focal_gamma: Gamma of the focal loss (Lin et al. 2017, arXiv:1708.02002), which takes
                shares: ``-(1 - p)^gamma log p``; 0: cross-entropy.
        """
        import keras

        if focal_gamma:
            return keras.losses.CategoricalFocalCrossentropy(
                alpha=1.0, gamma=focal_gamma, from_logits=True
            )
        if soft:
            return keras.losses.CategoricalCrossentropy(from_logits=True)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def evaluate(
        self,
        true: np.ndarray,
        scores: np.ndarray,
        names: Sequence[str],
        train_counts: Sequence[int] | np.ndarray | None = None,
    ) -> dict[str, Any]:
        """Compute metrics; see ``evaluation.metrics.classification_metrics``."""
        from keras_transfer.evaluation.metrics import classification_metrics

        return classification_metrics(true, scores, names, train_counts)

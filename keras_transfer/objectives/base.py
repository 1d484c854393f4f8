"""What every objective has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from keras_transfer.group import Group

__all__ = ["Objective"]


class Objective(Group):
    """What is predicted, with which loss, metrics and baselines; base of all objectives.

    Attributes:
        activation: From the network's outputs to scores: "softmax", "sigmoid" or "linear".
        metrics: Keras names of the metrics of each epoch.
        monitors: Metrics that may choose the best epoch, each with "min" or "max".
        headline: Metrics for tables, the most important first.
    """

    activation: ClassVar[str] = "linear"
    metrics: ClassVar[tuple[str, ...]] = ()
    monitors: ClassVar[Mapping[str, str]] = {"val_loss": "min", "loss": "min"}
    headline: ClassVar[tuple[str, ...]] = ()
    section: ClassVar[str] = "Training"

    def evaluate(self, *given: Any, **more: Any) -> dict[str, Any]:
        """Compute the metrics of scores."""
        raise NotImplementedError

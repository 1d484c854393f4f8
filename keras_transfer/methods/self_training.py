"""Adaptation by the network's own predictions for target examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from keras_transfer.group import NonNegative, Portion, Positive
from keras_transfer.methods.adaptation import DeepAdaptation, domain_ids, weight_field
from keras_transfer.methods.base import ExtraTerm

if TYPE_CHECKING:
    from keras_transfer.objectives.base import Labels, Objective

__all__ = ["MCC", "EntropyMinimization", "PseudoLabels"]


class MCC(DeepAdaptation):
    """Minimize the confusion of classes among the predictions for target examples.

    Jin et al. 2020, "Minimum Class Confusion for Versatile Domain Adaptation", arXiv:1912.03699.
    """

    outputs: ClassVar[Sequence[str]] = ("confusion",)
    adapts: ClassVar[Literal["features", "logits"]] = "logits"

    type: Literal["mcc"] = "mcc"
    weight: NonNegative = weight_field(1.0, "class confusion")
    temperature: Positive = Field(
        2.5,
        description="softens the predictions whose confusion is measured",
        json_schema_extra={"section": ""},  # the help of --temperature is that of distillation
    )

    def extra_terms(
        self, output: str, objective: Objective, train: Labels
    ) -> tuple[ExtraTerm, ...]:
        """The class confusion."""
        from keras_transfer.methods.graph.predictions import ClassConfusion

        loss = ClassConfusion(self.temperature)
        return (ExtraTerm("confusion", loss, self.weight, domain_ids),)


class EntropyMinimization(DeepAdaptation):
    """Minimize the entropy of the predictions for target examples.

    Grandvalet and Bengio 2005, "Semi-supervised Learning by Entropy Minimization", NeurIPS 17. It
    makes predictions certain, right or wrong; a large weight can merge classes.
    """

    outputs: ClassVar[Sequence[str]] = ("entropy",)
    adapts: ClassVar[Literal["features", "logits"]] = "logits"

    type: Literal["entropy_minimization"] = "entropy_minimization"
    weight: NonNegative = weight_field(0.1, "mean entropy of the target")

    def extra_terms(
        self, output: str, objective: Objective, train: Labels
    ) -> tuple[ExtraTerm, ...]:
        """The entropy."""
        from keras_transfer.methods.graph.predictions import PredictionEntropy

        return (ExtraTerm("entropy", PredictionEntropy(), self.weight, domain_ids),)


class PseudoLabels(DeepAdaptation):
    """Take confident predictions for target examples as their labels.

    Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method", ICML
    workshop, with the threshold of FixMatch (Sohn et al. 2020, arXiv:2001.07685). The labels are
    those of the network as it is in each step.
    """

    outputs: ClassVar[Sequence[str]] = ("pseudo_label",)
    adapts: ClassVar[Literal["features", "logits"]] = "logits"

    type: Literal["pseudo_labels"] = "pseudo_labels"
    weight: NonNegative = weight_field(1.0, "pseudo-labels' term")
    threshold: Portion = Field(
        0.9, description="probability from which a prediction is taken as a label"
    )

    def extra_terms(
        self, output: str, objective: Objective, train: Labels
    ) -> tuple[ExtraTerm, ...]:
        """The cross-entropy of confident predictions."""
        from keras_transfer.methods.graph.predictions import PseudoLabelCrossentropy

        loss = PseudoLabelCrossentropy(self.threshold)
        return (ExtraTerm("pseudo_label", loss, self.weight, domain_ids),)

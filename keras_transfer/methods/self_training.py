"""Adaptation by the network's own predictions for target examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from keras_transfer.group import NonNegative, Portion, Positive
from keras_transfer.methods.adaptation import DeepAdaptation, weight_field

if TYPE_CHECKING:
    import keras

    from keras_transfer.methods.base import HeadTensors

__all__ = ["MCC", "EntropyMinimization", "PseudoLabels"]


class _SelfTraining(DeepAdaptation):
    """A term of the logits that counts more as training proceeds.

    Predictions of a network that has learnt nothing yet are wrong, and would be confirmed.
    """

    adapts: ClassVar[Literal["features", "logits"]] = "logits"

    def extra_outputs(self, head: HeadTensors) -> dict[str, keras.KerasTensor]:
        """(batch, classes) logits, whose gradient grows by the schedule of DANN."""
        from keras_transfer.networks.layers import ScheduledGradientReversal

        # Minus minus one: nothing is reversed.
        ramp = ScheduledGradientReversal(max(head.steps, 1), -1.0, name="ramp")
        return dict.fromkeys(self.outputs, ramp(head.logits))


class MCC(_SelfTraining):
    """Minimize the confusion of classes among the predictions for target examples.

    Jin et al. 2020, "Minimum Class Confusion for Versatile Domain Adaptation", arXiv:1912.03699.
    """

    outputs: ClassVar[Sequence[str]] = ("confusion",)

    type: Literal["mcc"] = "mcc"
    weight: NonNegative = weight_field(1.0, "class confusion")
    temperature: Positive = Field(
        2.5,
        description="softens the predictions whose confusion is measured",
        json_schema_extra={"section": ""},  # the help of --temperature is that of distillation
    )

    def loss(self, classes: int) -> keras.losses.Loss:
        """The class confusion."""
        from keras_transfer.methods.graph.predictions import ClassConfusion

        return ClassConfusion(self.temperature)


class EntropyMinimization(_SelfTraining):
    """Minimize the entropy of the predictions for target examples.

    Grandvalet and Bengio 2005, "Semi-supervised Learning by Entropy Minimization", NeurIPS 17. It
    makes predictions certain, right or wrong. The weight is that of Shu et al. 2018 (VADA,
    arXiv:1802.08735).
    """

    outputs: ClassVar[Sequence[str]] = ("entropy",)

    type: Literal["entropy_minimization"] = "entropy_minimization"
    weight: NonNegative = weight_field(0.01, "mean entropy of the target")

    def loss(self, classes: int) -> keras.losses.Loss:
        """The entropy."""
        from keras_transfer.methods.graph.predictions import PredictionEntropy

        return PredictionEntropy()


class PseudoLabels(_SelfTraining):
    """Take confident predictions for target examples as their labels.

    Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method", ICML
    workshop, with the threshold of FixMatch (Sohn et al. 2020, arXiv:2001.07685). The labels are
    those of the network as it is in each step.
    """

    outputs: ClassVar[Sequence[str]] = ("pseudo_label",)

    type: Literal["pseudo_labels"] = "pseudo_labels"
    weight: NonNegative = weight_field(0.1, "pseudo-labels' term")
    threshold: Portion = Field(
        0.9, description="probability from which a prediction is taken as a label"
    )

    def loss(self, classes: int) -> keras.losses.Loss:
        """The cross-entropy of confident predictions."""
        from keras_transfer.methods.graph.predictions import PseudoLabelCrossentropy

        return PseudoLabelCrossentropy(self.threshold)

"""Adaptation by a distance of the domains, which training makes small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from keras_transfer.group import NonNegative
from keras_transfer.methods.adaptation import DeepAdaptation, weight_field

if TYPE_CHECKING:
    import keras

    from keras_transfer.methods.base import HeadTensors

__all__ = ["DAN", "JAN", "DeepCORAL"]


class _Matching(DeepAdaptation):
    """One distance of the features."""

    outputs: ClassVar[Sequence[str]] = ("alignment",)

    def extra_outputs(self, head: HeadTensors) -> dict[str, keras.KerasTensor]:
        """The features."""
        return {"alignment": head.features}


class DeepCORAL(_Matching):
    """Match the covariances of the features of both domains.

    Sun and Saenko 2016, arXiv:1607.01719: ``|C_s - C_t|^2 / (4 d^2)`` of the d features that the
    last layer takes; the paper has it at the last layer's outputs.
    """

    type: Literal["deep_coral"] = "deep_coral"
    weight: NonNegative = weight_field(10.0, "distance of covariances")

    def loss(self, classes: int) -> keras.losses.Loss:
        """The distance of the covariances."""
        from keras_transfer.methods.graph.distances import CovarianceDistance

        return CovarianceDistance()


class DAN(_Matching):
    """Match the distributions of the features of both domains.

    Long et al. 2015, "Learning Transferable Features with Deep Adaptation Networks",
    arXiv:1502.02791: the squared maximum mean discrepancy (MMD) with several Gaussian kernels, of
    the features that the last layer takes.
    """

    type: Literal["dan"] = "dan"
    weight: NonNegative = weight_field(1.0, "discrepancy of features")

    def loss(self, classes: int) -> keras.losses.Loss:
        """The discrepancy."""
        from keras_transfer.methods.graph.distances import MeanDiscrepancy

        return MeanDiscrepancy()


class JAN(_Matching):
    """Match the joint distributions of features and predictions of both domains.

    Long et al. 2017, "Deep Transfer Learning with Joint Adaptation Networks", arXiv:1605.06636: as
    DAN, with the product of the kernels of the features and of the probabilities of the classes.
    """

    type: Literal["jan"] = "jan"
    weight: NonNegative = weight_field(1.0, "joint discrepancy")

    def extra_outputs(self, head: HeadTensors) -> dict[str, keras.KerasTensor]:
        """(batch, channels + classes): features and logits."""
        import keras

        columns = keras.layers.Concatenate(dtype="float32", name="alignment_columns")
        return {"alignment": columns([head.features, head.logits])}

    def loss(self, classes: int) -> keras.losses.Loss:
        """The discrepancy."""
        from keras_transfer.methods.graph.distances import JointMeanDiscrepancy

        return JointMeanDiscrepancy(classes)

"""Adaptation by a domain classifier that the features are to deceive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from keras_transfer.group import NonNegative
from keras_transfer.methods.adaptation import DeepAdaptation, domain_ids, weight_field
from keras_transfer.methods.base import ExtraTerm

if TYPE_CHECKING:
    import keras

    from keras_transfer.methods.base import HeadTensors
    from keras_transfer.objectives.base import Labels, Objective

__all__ = ["CDAN", "DANN", "AdversarialAutoencoder"]


class DANN(DeepAdaptation):
    """Learn features by which a domain classifier cannot tell the domains apart.

    Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks", arXiv:1505.07818. The
    domain classifier minimizes the cross-entropy of the domains. Between it and the features the
    gradient is reversed, and multiplied by ``2 / (1 + exp(-10 p)) - 1`` as the share p of training
    that is done grows from 0 to 1.
    """

    outputs: ClassVar[Sequence[str]] = ("domain",)

    type: Literal["dann"] = "dann"
    weight: NonNegative = weight_field(0.2, "domain classifier's term")

    def extra_outputs(self, head: HeadTensors) -> dict[str, keras.KerasTensor]:
        """(batch, 1) logits of the target domain."""
        return {"domain": _domain_logits(head.features, head.steps)}

    def loss(self, classes: int) -> keras.losses.Loss:
        """The cross-entropy of the domains."""
        from keras_transfer.methods.graph.adversarial import DomainCrossentropy

        return DomainCrossentropy()


class CDAN(DeepAdaptation):
    """Deceive a domain classifier that sees products of features and predictions.

    Long et al. 2018, "Conditional Adversarial Domain Adaptation", arXiv:1705.10667. As DANN, but
    the domain classifier takes the products of features and probabilities of the classes, so that
    features are matched class by class.
    """

    outputs: ClassVar[Sequence[str]] = ("domain",)

    type: Literal["cdan"] = "cdan"
    weight: NonNegative = weight_field(0.2, "domain classifier's term")
    entropy_conditioning: bool = Field(
        True, description="examples that are predicted with certainty count more (CDAN+E)"
    )

    def extra_outputs(self, head: HeadTensors) -> dict[str, keras.KerasTensor]:
        """(batch, 1 + classes) logits of the target domain and of the classes."""
        import keras

        from keras_transfer.networks.domain_layers import MultilinearMap

        products = MultilinearMap(name="domain_map")([head.features, head.logits])
        domain = _domain_logits(products, head.steps)
        if not self.entropy_conditioning:
            return {"domain": domain}
        columns = keras.layers.Concatenate(dtype="float32", name="domain_columns")
        return {"domain": columns([domain, head.logits])}

    def loss(self, classes: int) -> keras.losses.Loss:
        """The cross-entropy of the domains."""
        from keras_transfer.methods.graph.adversarial import DomainCrossentropy

        return DomainCrossentropy(classes if self.entropy_conditioning else 0)


class AdversarialAutoencoder(DeepAdaptation):
    """Learn a code of the backbone's features that hides the domain, and can be decoded.

    After Makhzani et al. 2015, "Adversarial Autoencoders", arXiv:1511.05644. There an encoder
    deceives a discriminator that compares its codes with draws from a prior distribution. Here the
    discriminator compares the codes of both domains, through a gradient reversal as in DANN. The
    encoder is the head up to its last hidden layer; a decoder rebuilds the pooled features of the
    backbone from the code, standardized within each domain. The code stays informative so, where
    the adversary alone could empty it.
    """

    outputs: ClassVar[Sequence[str]] = ("domain", "reconstruction")

    type: Literal["adversarial_autoencoder"] = "adversarial_autoencoder"
    weight: NonNegative = weight_field(0.2, "domain classifier's term")
    reconstruction: NonNegative = Field(
        1.0, description="factor of the decoder's mean squared error; the labels have 1"
    )

    def extra_outputs(self, head: HeadTensors) -> dict[str, keras.KerasTensor]:
        """(batch, 1) logits of the target domain; (batch, 2 d) decoded features and true ones."""
        from keras_transfer.networks.domain_layers import decode

        return {
            "domain": _domain_logits(head.features, head.steps),
            "reconstruction": decode(head.features, head.pooled),
        }

    def loss(self, classes: int) -> keras.losses.Loss:
        """The cross-entropy of the domains."""
        from keras_transfer.methods.graph.adversarial import DomainCrossentropy

        return DomainCrossentropy()

    def extra_terms(
        self, output: str, objective: Objective, train: Labels
    ) -> tuple[ExtraTerm, ...]:
        """The cross-entropy of the domains, and the error of the decoder."""
        from keras_transfer.methods.graph.adversarial import Reconstruction

        error = ExtraTerm("reconstruction", Reconstruction(), self.reconstruction, domain_ids)
        return (*super().extra_terms(output, objective, train), error)


def _domain_logits(features: keras.KerasTensor, steps: int) -> keras.KerasTensor:
    """(batch, 1) logits of a domain classifier behind a scheduled gradient reversal."""
    from keras_transfer.networks.domain_layers import discriminate
    from keras_transfer.networks.layers import ScheduledGradientReversal

    reversal = ScheduledGradientReversal(max(steps, 1), name="domain_reversal")
    return discriminate(reversal(features))

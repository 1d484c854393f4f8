"""Layer-wise learning rate decay: each block has a lower rate than the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_transfer.networks.blocks import blocks
from keras_transfer.networks.network import Network

__all__ = ["layer_factors", "layerwise"]

Factor = Callable[[Any], float]
"""From a Keras variable to the factor of its rate."""

DECAYS = ("weight_decay", "adam_weight_decay")
"""Keras's settings of decoupled decay; Muon uses the second for variables that are not matrices."""


def layer_factors(network: Network, decay: float) -> Factor:
    """Compute the learning rate factor of each variable of a network.

    ``decay ** d``, where d is 0 for the head, 1 for the last block of the backbone, 2 for the one
    before it, and so on: the layer-wise decay of ULMFiT (Howard and Ruder 2018, arXiv:1801.06146,
    with 1/2.6) and BEiT (Bao et al. 2021, arXiv:2106.08254).

    Args:
        network: With any number of backbones.
        decay: Above 0, up to 1.

    Returns:
        A function of the variables; 1 for those that are in no block.
    """
    factors: dict[int, float] = {}
    for backbone in network.backbones.values():
        for depth, layers in enumerate(reversed(blocks(backbone).values()), start=1):
            for layer in layers:
                factors.update({id(variable): decay**depth for variable in layer.variables})
    return lambda variable: factors.get(id(variable), 1.0)


def layerwise(optimizer: Any, factor_of: Factor) -> Any:
    """Make an optimizer class with a learning rate factor per variable.

    The factor stands inside the update, so that it is right for Adam and its kin too, which a
    factor on the gradient would leave as they are; and decoupled weight decay follows the rate.
    Adafactor bounds its rate by 1 / sqrt(updates), so where the rate itself is above that, its
    factor shows only below.

    Args:
        optimizer: A class of ``keras.optimizers``.
        factor_of: From a variable to the factor of its rate.

    Returns:
        A subclass.
    """

    class Layerwise(optimizer):
        def build(self, variables: list[Any]) -> None:
            super().build(variables)
            self.factors = tuple(map(factor_of, variables))
            # Read once: replicas take turns below, where another one may have set a block's decay.
            given = [name for name in DECAYS if getattr(self, name, None) is not None]
            self.decays = tuple((name, getattr(self, name)) for name in given)

        def _factor(self, variable: Any) -> float:
            return self.factors[self._get_variable_index(variable)]

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate * self._factor(variable))

        def _apply_weight_decay(self, variables: list[Any]) -> None:
            if not self.decays:
                return
            for variable in variables:
                for name, decay in self.decays:
                    setattr(self, name, decay * self._factor(variable))
                super()._apply_weight_decay([variable])
            for name, decay in self.decays:
                setattr(self, name, decay)

    Layerwise.__name__ = optimizer.__name__
    return Layerwise

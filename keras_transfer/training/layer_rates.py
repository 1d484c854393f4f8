"""Rates that fall from the head to the pixels: each block learns slower than the one behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_transfer.networks.blocks import blocks

__all__ = ["layer_factors", "layerwise"]

Factor = Callable[[Any], float]
"""From a Keras variable to the factor of its rate."""


def layer_factors(classifier: keras.Model, decay: float) -> Factor:
    """Give each variable of a classifier the factor of its learning rate.

    ``decay ** d``, where d is 0 for the head, 1 for the last block of the backbone, 2 for the one
    before it, and so on: the layer-wise decay of ULMFiT (Howard and Ruder 2018, arXiv:1801.06146,
    with 1/2.6) and BEiT (Bao et al. 2021, arXiv:2106.08254).

    Args:
        classifier: As ``build_classifier`` makes it.
        decay: Above 0, up to 1.

    Returns:
        A function of the variables; 1 for those that are in no block.
    """
    found: dict[int, float] = {}
    stretches = blocks(classifier.get_layer("backbone"))
    for depth, layers in enumerate(reversed(stretches.values()), start=1):
        for layer in layers:
            found.update({id(variable): decay**depth for variable in layer.variables})
    return lambda variable: found.get(id(variable), 1.0)


def layerwise(optimizer: Any, factor_of: Factor) -> Any:
    """Make a class of optimizers whose rate differs by variable.

    The factor stands inside the update, so that it is right for Adam and its kin too, which a
    factor on the gradient would leave as they are; and decoupled weight decay follows the rate.

    Args:
        optimizer: A class of ``keras.optimizers``.
        factor_of: From a variable to the factor of its rate.

    Returns:
        A subclass.
    """

    class Layerwise(optimizer):
        weight_decay: float | None

        def build(self, variables: list[Any]) -> None:
            super().build(variables)
            self.factors = tuple(map(factor_of, variables))

        def _factor(self, variable: Any) -> float:
            return self.factors[self._get_variable_index(variable)]

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate * self._factor(variable))

        def _apply_weight_decay(self, variables: list[Any]) -> None:
            whole = self.weight_decay
            if whole is None:
                return
            for variable in variables:
                self.weight_decay = whole * self._factor(variable)
                super()._apply_weight_decay([variable])
            self.weight_decay = whole

    Layerwise.__name__ = optimizer.__name__
    return Layerwise

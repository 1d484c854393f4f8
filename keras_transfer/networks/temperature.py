"""Temperatures of outputs, as layers of Keras that every format of export knows."""

from __future__ import annotations

from collections.abc import Mapping

import keras

__all__ = ["NAME", "with_temperatures"]

NAME = "temperature"
"""Begins the names of these layers."""


def with_temperatures(model: keras.Model, temperatures: Mapping[str, float]) -> keras.Model:
    """Divide outputs by their temperatures; the weights are shared with the model.

    Args:
        model: From inputs by name to (batch, units) outputs by name, before any activation.
        temperatures: T above 0 by the name of the output; other outputs stay as they are.

    Returns:
        A model with the same inputs and outputs, with a ``Rescaling`` by 1 / T after each.
    """
    outputs = dict(model.output)
    for name, temperature in temperatures.items():
        layer = f"{NAME}_{name}" if len(outputs) > 1 else NAME
        # float32 under mixed precision too, as the logits are.
        scale = keras.layers.Rescaling(1 / temperature, dtype="float32", name=layer)
        outputs[name] = scale(outputs[name])
    return keras.Model(model.input, outputs, name=model.name)

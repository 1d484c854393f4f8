"""Curves of probabilities by label, as plain operations that every format of export knows."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

__all__ = ["NAME", "uncalibrated", "with_curves"]

NAME = "isotonic"
"""Begins the names of these layers."""


def with_curves(
    model: keras.Model, output: str, ramps: Sequence[np.ndarray], fitted: np.ndarray
) -> keras.Model:
    """Replace the logits of an output by those of its curves; the weights are shared.

    A curve is a sum of ramps, ``y_0 + sum_k (y_(k+1) - y_k) clip((z - x_k) / (x_(k+1) - x_k), 0,
    1)``, which is the linear interpolation between its knots.

    Args:
        model: From inputs by name to (batch, units) logits by name.
        output: Name of the output.
        ramps: Of each label: (labels,) first probabilities; (labels, k) starts, widths and
            heights of ramps.
        fitted: (labels,) bool: the others keep their logits.

    Returns:
        A model with the same inputs and outputs.
    """
    # A layer of this name, so that heat maps find what comes before: on a plateau of a curve all
    # gradients are 0.
    start = keras.layers.Rescaling(1.0, dtype="float32", name=f"{NAME}_{output}")
    logits = start(model.output[output])
    first, starts, widths, steps = (part.astype("float32") for part in ramps)
    ramps = ops.clip((ops.expand_dims(logits, -1) - starts) / widths, 0.0, 1.0)
    chances = ops.sum(ramps * steps, axis=-1) + first
    curved = ops.log(chances) - ops.log(1.0 - chances)
    # Not a sum weighted by 0 and 1: 0 times an infinite logit is NaN.
    found = curved if fitted.all() else ops.where(fitted, curved, logits)
    return keras.Model(model.input, {**model.output, output: found}, name=model.name)


def uncalibrated(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Outputs by name, before curves where there are some."""
    names = {layer.name for layer in model.layers}
    return {
        name: model.get_layer(layer).input if (layer := f"{NAME}_{name}") in names else tensor
        for name, tensor in model.output.items()
    }

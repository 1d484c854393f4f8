"""Moving averages of the weights: warm-up of the momentum, and use in validation."""

from __future__ import annotations

from typing import Any

import keras

from keras_transfer.training.optimizer_state import unwrapped

__all__ = ["SwapEMAWeights", "swap_ema_weights", "with_warm_ema"]


def with_warm_ema(optimizer: Any) -> Any:
    """Make an optimizer class whose moving averages start with a low momentum.

    The momentum of update t, from 0, is ``min(ema_momentum, (1 + t) / (10 + t))``, that of
    TensorFlow's ExponentialMovingAverage with ``num_updates``. With Keras's own constant 0.99 half
    of the average would be the untrained weights after 70 updates, which may be all there are.
    Where gradients are accumulated, only a batch that ends in an update moves the average; Keras's
    own moves at each.

    Args:
        optimizer: A class of ``keras.optimizers``.

    Returns:
        A subclass.
    """

    class Averaging(optimizer):
        ema_momentum: Any
        gradient_accumulation_steps: int | None
        _iterations: Any

        def _update_model_variables_moving_average(self, variables: list[Any]) -> None:
            target = self.ema_momentum
            done = keras.ops.cast(self.iterations, "float32")
            momentum = keras.ops.minimum(target, (1 + done) / (10 + done))
            if self.gradient_accumulation_steps:
                updated = (self._iterations + 1) % self.gradient_accumulation_steps == 0
                momentum = keras.ops.where(updated, momentum, 1.0)
            # Keras reads this attribute while it traces the update, so a tensor can replace it.
            self.ema_momentum = momentum
            super()._update_model_variables_moving_average(variables)
            self.ema_momentum = target

    Averaging.__name__ = optimizer.__name__
    return Averaging


def swap_ema_weights(model: keras.Model) -> None:
    """Swap the weights and their moving averages.

    Args:
        model: Compiled; without moving averages in its optimizer nothing happens.
    """
    optimizer = unwrapped(model.optimizer)
    if not optimizer.use_ema:
        return
    averages = optimizer._model_variables_moving_average
    for variable, average in zip(model.trainable_variables, averages, strict=True):
        # `value` is the variable itself, so without a copy its old numbers would be lost.
        value = keras.ops.copy(variable.value)
        variable.assign(average.value)
        average.assign(value)


class SwapEMAWeights(keras.callbacks.Callback):
    """Validate with the moving averages, if the optimizer has them."""

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Swap them in."""
        swap_ema_weights(self.model)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Swap the weights back."""
        swap_ema_weights(self.model)

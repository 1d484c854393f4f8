"""Run a learning rate range test on a model, and restore its state."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.training.lr_finder import STEPS, Sweep, diverged, rates
from keras_transfer.training.replicas import synchronized_batch_norm

__all__ = ["sweep"]


def sweep(
    fitted: keras.Model, batches: tf.data.Dataset, *, steps: int = STEPS, accumulate: int = 1
) -> Sweep:
    """Train with a growing rate until the loss diverges, then restore the model.

    What is put back, to the bit: weights, statistics, the seeds of dropout, and the generators of
    Python and NumPy.

    Args:
        fitted: Compiled, with a constant rate.
        batches: As for ``fit``; repeated if they end.
        steps: Number of rates.
        accumulate: Batches whose mean gradient makes one update: each rate is held for so many.

    Returns:
        Rates and losses, up to the last finite one.
    """
    rise = _Rise(rates(steps), accumulate)
    with _put_back(fitted), synchronized_batch_norm(fitted):
        fitted.fit(
            batches.repeat(),
            steps_per_epoch=steps * accumulate,
            verbose=0,
            shuffle=False,  # the batches come shuffled
            callbacks=[rise],
        )
    return rise.seen


class _Rise(keras.callbacks.Callback):
    """Set the rate before each update, and record the mean loss of its batches."""

    def __init__(self, planned: Sequence[float], repeats: int):
        super().__init__()
        self.planned, self.repeats = planned, repeats
        self.seen = Sweep([], [])
        self.losses: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Keras's loss is the mean of the epoch so far, unless the metrics are reset."""
        self.model.reset_metrics()
        self.model.optimizer.learning_rate = self.planned[batch // self.repeats]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop where the loss diverges."""
        self.losses.append(float((logs or {})["loss"]))
        if not math.isfinite(self.losses[-1]):
            self.model.stop_training = True
        elif len(self.losses) == self.repeats:
            self.seen.rates.append(self.planned[batch // self.repeats])
            self.seen.losses.append(sum(self.losses) / self.repeats)
            self.losses = []
            self.model.stop_training = diverged(self.seen.losses)


@contextmanager
def _put_back(model: keras.Model) -> Iterator[None]:
    variables = list(model.variables)
    # np.array copies: what Keras gives may share the memory of the variable.
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    # Keras draws seeds that nobody set from Python's generator.
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        random.setstate(python)
        np.random.set_state(numpy)

"""Callbacks, and the state of Keras's callbacks for resuming a run."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from keras_transfer.errors import CheckFailed
from keras_transfer.training.ema import swap_ema_weights
from keras_transfer.training.monitors import better
from keras_transfer.training.resume import save_state

__all__ = [
    "AfterEpoch",
    "BestCheckpoint",
    "Measure",
    "Progress",
    "RestoreCallbackState",
    "StopOnNaN",
    "callback_state",
]

Log = dict[str, Any]

STATE_ATTRIBUTES = ("best", "wait", "stopped_epoch", "best_epoch", "cooldown_counter")
"""Attributes with the state of callbacks over epochs."""


def callback_state(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, Log]:
    """State of callbacks over epochs, JSON-ready, by class name."""
    memories = {type(callback).__name__: vars(callback) for callback in callbacks}
    return {
        who: {
            # NumPy's numbers are not JSON.
            name: None if memory[name] is None else float(memory[name])
            for name in STATE_ATTRIBUTES
            if name in memory
        }
        for who, memory in memories.items()
    }


class RestoreCallbackState(keras.callbacks.Callback):
    """Restore the state of other callbacks; comes after them in the list.

    Keras's callbacks forget everything in their ``on_train_begin`` (keras#6697).

    Args:
        callbacks: Callbacks to restore.
        memory: Result of ``callback_state`` when the run was interrupted.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], memory: dict[str, Log]):
        super().__init__()
        self.callbacks, self.memory = callbacks, memory

    def on_train_begin(self, logs: Log | None = None) -> None:
        """Restore, after every other callback has reset itself."""
        for callback in self.callbacks:
            for name, value in self.memory.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)


class BestCheckpoint(keras.callbacks.Callback):
    """Write the variables of a model whenever the monitored metric is the best so far.

    Args:
        path: An ``.npz`` file; written atomically.
        model: Model to write; shares its layers with the model in training, has no optimizer.
        monitor: Name of the metric in the epoch's logs.
        best: Best value of earlier stages; None if there are none.
    """

    def __init__(self, path: Path, model: keras.Model, monitor: str, best: float | None = None):
        super().__init__()
        self.path, self.kept, self.monitor, self.best = path, model, monitor, best

    def on_epoch_end(self, epoch: int, logs: Log | None = None) -> None:
        """Compare and write."""
        value = float((logs or {})[self.monitor])
        if better(self.monitor, value, self.best):
            self.best = value
            # The metric is that of the averages, so these are written.
            swap_ema_weights(self.model)
            save_state(self.path, self.kept, {self.monitor: value})
            swap_ema_weights(self.model)


class Measure(keras.callbacks.Callback):
    """Add metrics to those of an epoch; comes before all callbacks that read them.

    Args:
        measure: Gives the metrics of the model as validation sees it: with moving averages.
    """

    def __init__(self, measure: Callable[[], dict[str, float]]):
        super().__init__()
        self.measure = measure

    def on_epoch_end(self, epoch: int, logs: Log | None = None) -> None:
        """Measure."""
        swap_ema_weights(self.model)
        if logs is not None:
            logs.update(self.measure())
        swap_ema_weights(self.model)


class StopOnNaN(keras.callbacks.Callback):
    """Stop ``fit`` with CheckFailed at the first non-finite loss; the message says where.

    Args:
        stage: Name of the stage, for the message.
    """

    def __init__(self, stage: str):
        super().__init__()
        self.stage, self.epoch = stage, 0

    def on_epoch_begin(self, epoch: int, logs: Log | None = None) -> None:
        """Store the number of the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Log | None = None) -> None:
        """Check the running loss, which stays NaN after the first NaN."""
        self._check((logs or {}).get("loss"), f"batch {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: Log | None = None) -> None:
        """Check the validation loss."""
        self._check((logs or {}).get("val_loss"), "validation")

    def _check(self, loss: float | None, where: str) -> None:
        if loss is None or math.isfinite(loss):
            return
        raise CheckFailed(
            f"The loss became {float(loss)} in stage {self.stage!r}, epoch {self.epoch + 1}, "
            f"{where}. Usual causes: a learning rate too high, or mixed_float16 overflowing. "
            "Try a tenth of --lr, or --precision float32."
        )


class Progress(keras.callbacks.Callback):
    """A progress bar if stderr is a terminal, and one line per epoch to ``tell``.

    The bar has the time left of the epoch, and from the second epoch on that of the stage, if it
    trains all of its epochs.

    Args:
        stage: Name of the stage.
        epochs: Number of epochs.
        tell: Called with the line.
    """

    def __init__(self, stage: str, epochs: int, tell: Callable[[str], None]):
        super().__init__()
        self.stage, self.epochs, self.tell = stage, epochs, tell
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Log | None = None) -> None:
        """Start the clock and the bar."""
        self.began = time.perf_counter()
        self.bar = tqdm(
            total=self.params["steps"],
            desc=f"{self.stage} {epoch + 1}/{self.epochs}",
            leave=False,
            disable=None,  # on a terminal only
            file=sys.stderr,
        )
        if self.seconds:
            left = (self.epochs - epoch) * sum(self.seconds) / len(self.seconds)
            self.bar.set_postfix_str(f"stage {tqdm.format_interval(left)} left")

    def on_train_batch_end(self, batch: int, logs: Log | None = None) -> None:
        """Advance the bar."""
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: Log | None = None) -> None:
        """Report the metrics."""
        self.bar.close()
        metrics = "  ".join(f"{name} {float(value):.4g}" for name, value in (logs or {}).items())
        seconds = time.perf_counter() - self.began
        self.seconds.append(seconds)
        self.tell(f"{self.stage} {epoch + 1}/{self.epochs}  {metrics}  ({seconds:.1f} s)")


class AfterEpoch(keras.callbacks.Callback):
    """Call a function with each epoch's number and metrics, after all other callbacks."""

    def __init__(self, act: Callable[[int, dict[str, float]], None]):
        super().__init__()
        self.act = act

    def on_epoch_end(self, epoch: int, logs: Log | None = None) -> None:
        """Call it."""
        self.act(epoch, {name: float(value) for name, value in (logs or {}).items()})

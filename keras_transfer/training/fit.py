"""One fit loop over stages, which can be killed at any moment and taken up again."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_transfer.training.callbacks import (
    AfterEpoch,
    KeepBest,
    Progress,
    Remember,
    StopOnNaN,
    memory_of,
)
from keras_transfer.training.monitors import MONITORS
from keras_transfer.training.state import (
    read_progress,
    restore_variables,
    save_model,
    save_state,
)

__all__ = ["Trainer"]

logger = logging.getLogger("keras_transfer")

Batches = Callable[[int], tf.data.Dataset]


class Trainer:
    """Fits a classifier stage by stage in a folder, keeping its best and its last state there.

    The folder holds ``best.keras`` and ``last.keras``, ``history.csv`` with a row an epoch,
    ``tensorboard/``, and while training goes on ``state.npz``. A trainer made on a folder
    with a ``state.npz`` goes on from there: the epochs done are not done again, and what
    follows equals a training that was never interrupted, bit for bit on a CPU.

    Args:
        model: Takes float32 pixels, gives logits. It is never compiled; what is compiled shares
            its layers, so files of ``model`` hold no optimizer.
        folder: Exists.
        val: Batches of pixels, labels and weights; gone through after each epoch.
        monitor: The figure that chooses the best epoch: a row of ``monitors.MONITORS``.
    """

    def __init__(self, model: keras.Model, folder: Path, val: tf.data.Dataset, monitor: str):
        self.model, self.folder, self.val, self.monitor = model, folder, val, monitor
        self.state = folder / "state.npz"
        done = read_progress(self.state) or {"stage": 0, "epoch": 0, "ended": False}
        self.done: dict[str, Any] = {"rows": [], "best": None, "memory": {}, **done}

    def stage(
        self,
        index: int,
        name: str,
        train: Batches,
        *,
        epochs: int,
        steps: int,
        optimizer: keras.optimizers.Optimizer,
        patience: int | None = None,
        plateau: float | None = None,
    ) -> None:
        """Train one stage, or what is left of it; the model then holds the best weights so far.

        Which layers train is what their ``trainable`` says at the call.

        Args:
            index: Number of the stage, from 0; stages come in order.
            name: For tables and logs.
            train: From the number of the first epoch (from 0) to the batches of all epochs
                from it on.
            epochs: How many, at most.
            steps: Batches an epoch.
            optimizer: New.
            patience: Epochs without a better figure after which the stage ends; None: never.
            plateau: Factor on the learning rate after 2 epochs without a better figure.

        Raises:
            CheckFailed: The loss became NaN or infinite; the best model so far is in the folder.
        """
        if index < self.done["stage"]:
            return
        if self.done["epoch"] == 0 and self.state.exists():
            restore_variables(self.state, self.model)
        fitted = self._compile(optimizer)
        if self.done["epoch"] > 0:
            restore_variables(self.state, fitted)
        if not self.done["ended"]:
            watching = self._watching(patience, plateau)
            self._fit(fitted, name, train(self.done["epoch"]), epochs, steps, watching)
        self._close(index)

    def _compile(self, optimizer: keras.optimizers.Optimizer) -> keras.Model:
        fitted = keras.Model(self.model.inputs, self.model.outputs)
        fitted.compile(
            optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=["accuracy"],
            # XLA compiles for long, and its convolutions are slower than oneDNN's on a CPU.
            jit_compile="auto" if tf.config.list_logical_devices("GPU") else False,
        )
        fitted.optimizer.build(fitted.trainable_variables)
        return fitted

    def _watching(
        self, patience: int | None, plateau: float | None
    ) -> list[keras.callbacks.Callback]:
        """The callbacks that remember: KeepBest first."""
        best = KeepBest(self.folder / "best.keras", self.model, self.monitor, self.done["best"])
        watching: list[keras.callbacks.Callback] = [best]
        mode = MONITORS[self.monitor]
        if plateau is not None:
            watching.append(
                keras.callbacks.ReduceLROnPlateau(
                    self.monitor, factor=plateau, patience=2, mode=mode
                )
            )
        if patience is not None:
            watching.append(
                keras.callbacks.EarlyStopping(self.monitor, patience=patience, mode=mode)
            )
        return watching

    def _fit(
        self,
        fitted: keras.Model,
        name: str,
        train: tf.data.Dataset,
        epochs: int,
        steps: int,
        watching: list[keras.callbacks.Callback],
    ) -> None:
        def after_epoch(epoch: int, figures: dict[str, float]) -> None:
            figures["learning_rate"] = _learning_rate(fitted.optimizer)
            self.done["rows"].append({"stage": name, "epoch": epoch + 1, **figures})
            self.done.update(
                epoch=epoch + 1,
                ended=fitted.stop_training or epoch + 1 == epochs,
                best=watching[0].best,
                memory=memory_of(watching),
            )
            save_state(self.state, fitted, self.done)
            write_history(self.folder / "history.csv", self.done["rows"])

        fitted.fit(
            train,
            validation_data=self.val,
            initial_epoch=self.done["epoch"],
            epochs=epochs,
            steps_per_epoch=steps,
            verbose=0,
            shuffle=False,  # the batches come shuffled
            callbacks=[
                StopOnNaN(name),
                *watching,
                keras.callbacks.TensorBoard(self.folder / "tensorboard" / name, write_graph=False),
                Progress(name, epochs, logger.info),
                Remember(watching, self.done["memory"]),
                AfterEpoch(after_epoch),
            ],
        )

    def _close(self, index: int) -> None:
        """Go back to the best weights, and note that the next stage starts from them."""
        save_model(self.folder / "last.keras", self.model)
        self.model.load_weights(self.folder / "best.keras")
        self.done.update(stage=index + 1, epoch=0, ended=False, memory={})
        save_state(self.state, self.model, self.done)


def _learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one row an epoch, in one atomic step: stage, epoch, figures, learning rate."""
    beside = path.with_suffix(".tmp")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    os.replace(beside, path)

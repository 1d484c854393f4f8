"""One fit loop over stages, which can be killed at any moment and taken up again."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_transfer.training.averages import JudgeAverages
from keras_transfer.training.callbacks import (
    AfterEpoch,
    KeepBest,
    Progress,
    Remember,
    StopOnNaN,
    memory_of,
)
from keras_transfer.training.carrying import load_slots, save_slots
from keras_transfer.training.lr_finder import Sweep
from keras_transfer.training.monitors import MONITORS, better
from keras_transfer.training.penalties import Judged
from keras_transfer.training.reports import report
from keras_transfer.training.soups import KeepSeveral, clear_epochs, stir
from keras_transfer.training.state import (
    holds_variables,
    read_progress,
    restore_variables,
    save_model,
    save_state,
)
from keras_transfer.training.sweeping import sweep

__all__ = ["Course", "Supply", "Trainer"]

logger = logging.getLogger("keras_transfer")

Batches = Callable[[int], tf.data.Dataset]


class Supply(NamedTuple):
    """What a stage fits, and on what.

    Attributes:
        train: From the number of the first epoch (from 0) to the batches of all epochs from it
            on.
        val: Batches that are gone through after each epoch; their labels are (batch,) class
            numbers, or (batch, classes) shares where those of ``train`` are such.
        part: What takes these batches where they hold features of a frozen part instead of
            pixels: it shares with the whole model all layers that train. None: the whole model.
        focusing: Gamma of the focal loss (Lin et al. 2017), which takes labels as shares of
            classes; 0: cross-entropy.
    """

    train: Batches
    val: tf.data.Dataset
    part: keras.Model | None = None
    focusing: float = 0.0


class Course(NamedTuple):
    """How a stage is gone through.

    Attributes:
        name: For tables and logs.
        epochs: How many, at most.
        steps: Batches an epoch.
        patience: Epochs without a better figure after which the stage ends; None: never.
        plateau: Factor on the learning rate after 2 epochs without a better figure.
        soup: How many of the best epochs may join an average; None: the best one counts.
        carry: The optimizer, which is ``aged``, goes on with what the last stage's knew.
        keep_slots: The next stage is to carry.
    """

    name: str
    epochs: int
    steps: int
    patience: int | None = None
    plateau: float | None = None
    soup: int | None = None
    carry: bool = False
    keep_slots: bool = False


class Trainer:
    """Fits a classifier stage by stage in a folder, keeping its best and its last state there.

    The folder holds ``history.csv`` with a row an epoch, ``tensorboard/``, after each stage
    ``best.keras`` and ``last.keras``, and while training goes on ``state.npz`` and ``best.npz``.
    A trainer made on a folder with a ``state.npz`` goes on from there: the epochs done are not
    done again, and what follows equals a training that was never interrupted, bit for bit on a
    CPU.

    Args:
        model: Takes float32 pixels, gives logits. It is never compiled; what is compiled shares
            its layers, so files of ``model`` hold no optimizer.
        folder: Exists.
        monitor: The figure that chooses the best epoch: a row of ``monitors.MONITORS``.
    """

    def __init__(self, model: keras.Model, folder: Path, monitor: str):
        self.model, self.folder, self.monitor = model, folder, monitor
        self.state, self.best = folder / "state.npz", folder / "best.npz"
        self.slots, self.epochs = folder / "slots.npz", folder / "epochs"
        done = read_progress(self.state) or {"stage": 0, "epoch": 0, "ended": False}
        self.done: dict[str, Any] = {"rows": [], "best": None, "memory": {}, **done}

    def stage(
        self,
        index: int,
        supply: Supply,
        optimizer: keras.optimizers.Optimizer,
        course: Course,
    ) -> None:
        """Train one stage, or what is left of it; the model then holds the best weights so far.

        Which layers train is what their ``trainable`` says at the call.

        Args:
            index: Number of the stage, from 0; stages come in order.
            supply: What is fitted, and on what.
            optimizer: New.
            course: How.

        Raises:
            CheckFailed: The loss became NaN or infinite; the best model so far is in the folder.
        """
        if self.passed(index):
            return
        part = supply.part or self.model
        fitted = self._compile(part, optimizer, _loss_of(supply))
        self._take_up(fitted, course.carry)
        try:
            if not self.done["ended"]:
                self._fit(fitted, supply, course, self._watching(part, course))
            # Of an optimizer that averages, what counts is the average; Keras does so after fit.
            fitted.optimizer.finalize_variable_values(fitted.trainable_variables)
            if course.keep_slots:
                save_slots(self.slots, fitted.optimizer, self.model.variables)
            else:
                self.slots.unlink(missing_ok=True)
            if course.soup is not None:
                self._stir(fitted, part, supply.val)
        except BaseException:  # nothing that was learnt is lost, whatever stops the training
            self._keep_best(part)
            raise
        self._close(index, part)

    def passed(self, index: int) -> bool:
        """Whether a stage was trained to its end before the run was taken up."""
        return index < self.done["stage"]

    def sweep(
        self, supply: Supply, optimizer: keras.optimizers.Optimizer, *, accumulate: int = 1
    ) -> Sweep:
        """Try growing learning rates where a first stage would begin; nothing is learnt by it.

        Args:
            supply: As for ``stage``.
            optimizer: New, with a constant rate.
            accumulate: Batches an update of that optimizer.
        """
        fitted = self._compile(supply.part or self.model, optimizer, _loss_of(supply))
        return sweep(fitted, supply.train(0), accumulate=accumulate)

    def _take_up(self, fitted: keras.Model, carry: bool) -> None:
        """Put back what an interrupted run, or with ``carry`` the last stage, had learnt."""
        if self.done["epoch"] > 0:
            if self.done["stage"] > 0:  # what is frozen now may have been trained before
                self.model.load_weights(self.folder / "best.keras")
            restore_variables(self.state, fitted)
            return
        self.best.unlink(missing_ok=True)
        clear_epochs(self.epochs)
        if self.state.exists():
            restore_variables(self.state, self.model)
        if carry:
            count = load_slots(self.slots, fitted.optimizer, self.model.variables)
            logger.info("The optimizer goes on with %s variables of the last stage", count)

    def _compile(
        self, part: keras.Model, optimizer: keras.optimizers.Optimizer, loss: keras.losses.Loss
    ) -> keras.Model:
        fitted = Judged(part.inputs, part.outputs)
        fitted.compile(
            optimizer,
            loss=loss,
            weighted_metrics=["accuracy"],
            # XLA compiles for long, and its convolutions are slower than oneDNN's on a CPU.
            jit_compile="auto" if tf.config.list_logical_devices("GPU") else False,
        )
        fitted.optimizer.build(fitted.trainable_variables)
        return fitted

    def _watching(self, part: keras.Model, course: Course) -> list[keras.callbacks.Callback]:
        """The callbacks that remember: KeepBest first."""
        best = KeepBest(self.best, part, self.monitor, self.done["best"])
        watching: list[keras.callbacks.Callback] = [best]
        if course.soup is not None:
            watching.append(KeepSeveral(self.epochs, part, self.monitor, course.soup))
        mode = MONITORS[self.monitor]
        if course.plateau is not None:
            watching.append(
                keras.callbacks.ReduceLROnPlateau(
                    self.monitor, factor=course.plateau, patience=2, mode=mode
                )
            )
        if course.patience is not None:
            watching.append(
                keras.callbacks.EarlyStopping(self.monitor, patience=course.patience, mode=mode)
            )
        return watching

    def _fit(
        self,
        fitted: keras.Model,
        supply: Supply,
        course: Course,
        watching: list[keras.callbacks.Callback],
    ) -> None:
        name, epochs = course.name, course.epochs

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
            report(self.done["rows"])

        fitted.fit(
            supply.train(self.done["epoch"]),
            validation_data=supply.val,
            initial_epoch=self.done["epoch"],
            epochs=epochs,
            steps_per_epoch=course.steps,
            verbose=0,
            shuffle=False,  # the batches come shuffled
            callbacks=[
                StopOnNaN(name),
                JudgeAverages(),
                *watching,
                keras.callbacks.TensorBoard(self.folder / "tensorboard" / name, write_graph=False),
                Progress(name, epochs, logger.info),
                Remember(watching, self.done["memory"]),
                AfterEpoch(after_epoch),
            ],
        )

    def _stir(self, fitted: keras.Model, part: keras.Model, val: tf.data.Dataset) -> None:
        """Make a soup of the stage's epochs, and note it where it is the best so far."""
        last = [keras.ops.convert_to_numpy(one) for one in part.variables]
        figure = stir(self.epochs, fitted, part, val, self.monitor)
        if figure is not None and better(self.monitor, figure, self.done["best"]):
            self.done["best"] = figure
            save_state(self.best, part, {self.monitor: figure})
        for variable, value in zip(part.variables, last, strict=True):
            variable.assign(value)

    def _keep_best(self, part: keras.Model) -> bool:
        """Put the best weights of the stage, if it has any, into the model and that into a file."""
        if not self.best.exists():
            return False
        restore_variables(self.best, part)
        save_model(self.folder / "best.keras", self.model)
        return True

    def _close(self, index: int, part: keras.Model) -> None:
        """Go back to the best weights, and note that the next stage starts from them."""
        best, last = self.folder / "best.keras", self.folder / "last.keras"
        if self.best.exists() and holds_variables(self.best, part):  # the last epoch was the best
            self._keep_best(part)
            shutil.copyfile(best, last)
        else:
            save_model(last, self.model)
            if not self._keep_best(part):  # an earlier stage was better
                self.model.load_weights(best)
        self.done.update(stage=index + 1, epoch=0, ended=False, memory={})
        save_state(self.state, self.model, self.done)
        self.best.unlink(missing_ok=True)
        clear_epochs(self.epochs)


def _loss_of(supply: Supply) -> keras.losses.Loss:
    """A loss for labels as the batches have them: class numbers, or shares of classes."""
    if supply.focusing:
        return keras.losses.CategoricalFocalCrossentropy(
            alpha=1.0, gamma=supply.focusing, from_logits=True
        )
    if supply.val.element_spec[1].shape.rank == 2:
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


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

"""One fit loop over stages, which can be killed at any moment and taken up again."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_transfer.features.stage_batches import Supply
from keras_transfer.training.callbacks import (
    AfterEpoch,
    BestCheckpoint,
    Progress,
    RestoreCallbackState,
    StopOnNaN,
    callback_state,
)
from keras_transfer.training.ema import SwapEMAWeights
from keras_transfer.training.lr_finder import Sweep
from keras_transfer.training.monitors import MONITORS, better
from keras_transfer.training.optimizer_state import load_optimizer_state, save_optimizer_state
from keras_transfer.training.penalties import PenaltyFreeValidation
from keras_transfer.training.reports import report
from keras_transfer.training.resume import (
    holds_variables,
    read_progress,
    restore_variables,
    save_model,
    save_state,
)
from keras_transfer.training.soups import TopKCheckpoints, clear_epochs, greedy_soup
from keras_transfer.training.sweeping import sweep

__all__ = ["StagePlan", "Supply", "Trainer"]

logger = logging.getLogger("keras_transfer")


class StagePlan(NamedTuple):
    """How a stage is gone through.

    Attributes:
        name: For tables and logs.
        epochs: How many, at most.
        steps: Batches an epoch.
        patience: Epochs without a better metric after which the stage ends; None: never.
        plateau: Factor on the learning rate after 2 epochs without a better metric.
        soup: How many of the best epochs may join an average; None: the best one counts.
        carry: The optimizer starts from the optimizer state of the stage before.
        keep_optimizer_state: The next stage is to carry.
    """

    name: str
    epochs: int
    steps: int
    patience: int | None = None
    plateau: float | None = None
    soup: int | None = None
    carry: bool = False
    keep_optimizer_state: bool = False


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
        monitor: The metric that chooses the best epoch: a row of ``monitors.MONITORS``.
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
        plan: StagePlan,
    ) -> None:
        """Train one stage, or what is left of it; the model then holds the best weights so far.

        Which layers train is what their ``trainable`` says at the call.

        Args:
            index: Number of the stage, from 0; stages come in order.
            supply: What is fitted, and on what.
            optimizer: New.
            plan: How.

        Raises:
            CheckFailed: The loss became NaN or infinite; the best model so far is in the folder.
        """
        if self.passed(index):
            return
        part = supply.part or self.model
        fitted = self._compile(part, optimizer, _loss_of(supply))
        self._take_up(fitted, plan.carry)
        try:
            if not self.done["ended"]:
                self._fit(fitted, supply, plan, self._watching(part, plan))
            # Of an optimizer that averages, what counts is the average; Keras does so after fit.
            fitted.optimizer.finalize_variable_values(fitted.trainable_variables)
            if plan.keep_optimizer_state:
                save_optimizer_state(self.slots, fitted.optimizer, self.model.variables)
            else:
                self.slots.unlink(missing_ok=True)
            if plan.soup is not None:
                self._greedy_soup(fitted, part, supply.val)
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
            count = load_optimizer_state(self.slots, fitted.optimizer, self.model.variables)
            logger.info("The optimizer goes on with %s variables of the last stage", count)

    def _compile(
        self, part: keras.Model, optimizer: keras.optimizers.Optimizer, loss: keras.losses.Loss
    ) -> keras.Model:
        fitted = PenaltyFreeValidation(part.inputs, part.outputs)
        fitted.compile(
            optimizer,
            loss=loss,
            weighted_metrics=["accuracy"],
            # XLA compiles for long, and its convolutions are slower than oneDNN's on a CPU.
            jit_compile="auto" if tf.config.list_logical_devices("GPU") else False,
        )
        fitted.optimizer.build(fitted.trainable_variables)
        return fitted

    def _watching(self, part: keras.Model, plan: StagePlan) -> list[keras.callbacks.Callback]:
        """The callbacks that remember: BestCheckpoint first."""
        best = BestCheckpoint(self.best, part, self.monitor, self.done["best"])
        watching: list[keras.callbacks.Callback] = [best]
        if plan.soup is not None:
            watching.append(TopKCheckpoints(self.epochs, part, self.monitor, plan.soup))
        mode = MONITORS[self.monitor]
        if plan.plateau is not None:
            watching.append(
                keras.callbacks.ReduceLROnPlateau(
                    self.monitor, factor=plan.plateau, patience=2, mode=mode
                )
            )
        if plan.patience is not None:
            watching.append(
                keras.callbacks.EarlyStopping(self.monitor, patience=plan.patience, mode=mode)
            )
        return watching

    def _fit(
        self,
        fitted: keras.Model,
        supply: Supply,
        plan: StagePlan,
        watching: list[keras.callbacks.Callback],
    ) -> None:
        name, epochs = plan.name, plan.epochs

        def after_epoch(epoch: int, metrics: dict[str, float]) -> None:
            metrics["learning_rate"] = _learning_rate(fitted.optimizer)
            self.done["rows"].append({"stage": name, "epoch": epoch + 1, **metrics})
            self.done.update(
                epoch=epoch + 1,
                ended=fitted.stop_training or epoch + 1 == epochs,
                best=watching[0].best,
                memory=callback_state(watching),
            )
            save_state(self.state, fitted, self.done)
            write_history(self.folder / "history.csv", self.done["rows"])
            report(self.done["rows"])

        fitted.fit(
            supply.train(self.done["epoch"]),
            validation_data=supply.val,
            initial_epoch=self.done["epoch"],
            epochs=epochs,
            steps_per_epoch=plan.steps,
            verbose=0,
            shuffle=False,  # the batches come shuffled
            callbacks=[
                StopOnNaN(name),
                SwapEMAWeights(),
                *watching,
                keras.callbacks.TensorBoard(self.folder / "tensorboard" / name, write_graph=False),
                Progress(name, epochs, logger.info),
                RestoreCallbackState(watching, self.done["memory"]),
                AfterEpoch(after_epoch),
            ],
        )

    def _greedy_soup(self, fitted: keras.Model, part: keras.Model, val: tf.data.Dataset) -> None:
        """Make a soup of the stage's epochs, and note it where it is the best so far."""
        last = [keras.ops.convert_to_numpy(one) for one in part.variables]
        metric = greedy_soup(self.epochs, fitted, part, val, self.monitor)
        if metric is not None and better(self.monitor, metric, self.done["best"]):
            self.done["best"] = metric
            save_state(self.best, part, {self.monitor: metric})
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
    if supply.focal_gamma:
        return keras.losses.CategoricalFocalCrossentropy(
            alpha=1.0, gamma=supply.focal_gamma, from_logits=True
        )
    if supply.val.element_spec[1].shape.rank == 2:
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one row an epoch, in one atomic step: stage, epoch, metrics, learning rate."""
    beside = path.with_suffix(".tmp")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    os.replace(beside, path)

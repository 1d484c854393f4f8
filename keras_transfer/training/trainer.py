"""Training over stages, which can be killed at any moment and resumed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_transfer.atomic import copy, write_csv
from keras_transfer.clock import phase
from keras_transfer.features.stage_batches import StageBatches
from keras_transfer.networks.keras_files import load_keras_weights
from keras_transfer.networks.lora import merge_lora, merged_lora, without_lora
from keras_transfer.networks.network import Network
from keras_transfer.training.callbacks import (
    AfterEpoch,
    BestCheckpoint,
    Measure,
    Progress,
    RestoreCallbackState,
    StopOnNaN,
    callback_state,
)
from keras_transfer.training.compiling import compile_stage
from keras_transfer.training.ema import SwapEMAWeights
from keras_transfer.training.lr_finder import Sweep
from keras_transfer.training.monitors import better, mode
from keras_transfer.training.optimizer_state import load_optimizer_state, save_optimizer_state
from keras_transfer.training.precision import computing_in
from keras_transfer.training.replicas import synchronized_batch_norm
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
from keras_transfer.training.terms import Term

__all__ = ["StagePlan", "Trainer", "write_history"]

logger = logging.getLogger("keras_transfer")


class StagePlan(NamedTuple):
    """Plan of a stage.

    Attributes:
        name: For tables and logs.
        epochs: Number of epochs, at most.
        steps: Batches per epoch.
        patience: Epochs without improvement after which the stage ends; None: never.
        plateau: Factor on the learning rate after 2 epochs without improvement.
        soup: Maximum number of best epochs in a soup; None: no soup.
        carry: The optimizer starts from the optimizer state of the previous stage.
        keep_optimizer_state: The next stage has ``carry``.
        precision: Of training steps: "float32", "mixed_bfloat16" or "mixed_float16". What is saved
            computes in float32.
    """

    name: str
    epochs: int
    steps: int
    patience: int | None = None
    plateau: float | None = None
    soup: int | None = None
    carry: bool = False
    keep_optimizer_state: bool = False
    precision: str = "float32"


class Trainer:
    """Fits a network stage by stage in a directory, keeping its best and its last state there.

    The directory holds ``history.csv`` with a row per epoch, ``tensorboard/``, after each stage
    ``best.keras`` and ``last.keras``, and during training ``state.npz`` and ``best.npz``. A trainer
    made on a directory with a ``state.npz`` resumes from there: finished epochs are not repeated,
    and what follows equals a training that was never interrupted, bit for bit on a CPU.

    Args:
        network: Its model is never compiled; compiled models share its layers, so the files
            hold no optimizer.
        folder: Existing folder.
        monitor: Metric that chooses the best epoch.
        terms: Terms of the loss; their metrics are reported per epoch.
    """

    def __init__(self, network: Network, folder: Path, monitor: str, terms: Sequence[Term]):
        self.model, self.folder, self.monitor = network.model, folder, monitor
        self.predictor, self.terms = network.predictor, tuple(terms)
        self.state, self.best = folder / "state.npz", folder / "best.npz"
        self.optimizer_state, self.epochs = folder / "slots.npz", folder / "epochs"
        done = read_progress(self.state) or {"stage": 0, "epoch": 0, "ended": False}
        start: dict[str, Any] = {"rows": [], "best": None, "memory": {}, "parameters": {}}
        start["precision"] = {}
        self.done = start | done

    def stage(
        self,
        index: int,
        batches: StageBatches,
        optimizer: keras.optimizers.Optimizer,
        plan: StagePlan,
        start: Callable[[], None] | None = None,
    ) -> None:
        """Train one stage, or the rest of it; the model then holds the best weights so far.

        Which layers train is what their ``trainable`` says at the call.

        Args:
            index: Number of the stage, from 0; stages come in order.
            batches: Model and batches of the stage.
            optimizer: New.
            plan: Plan of the stage.
            start: Sets weights before the first epoch.

        Raises:
            CheckFailed: The loss became NaN or infinite; the best model so far is in the directory.
        """
        if self.passed(index):
            return
        if self.done["epoch"] > 0:
            # It may have been killed between the state of an epoch and what follows from it.
            write_history(self.folder / "history.csv", self.done["rows"])
            report(self.done["rows"])
        part = batches.model or self.model
        fitted = compile_stage(part, self.terms, optimizer, plan.precision)
        self._restore(fitted, plan.carry)
        try:
            if start is not None and self.done["epoch"] == 0:
                start()
            with computing_in(part, plan.precision):
                self._train(fitted, part, batches, plan)
        except BaseException:  # save the state, whatever stops the training
            self._keep_best(part)
            raise
        with phase("saving"):
            self._close(index, part)

    def _train(
        self, fitted: keras.Model, part: keras.Model, batches: StageBatches, plan: StagePlan
    ) -> None:
        if not self.done["ended"]:
            self._fit(fitted, batches, plan, self._callbacks(part, plan))
        # With moving averages, the averages are the result; Keras assigns them after fit.
        fitted.optimizer.finalize_variable_values(fitted.trainable_variables)
        if plan.keep_optimizer_state:
            save_optimizer_state(self.optimizer_state, fitted.optimizer, self.model.variables)
        else:
            self.optimizer_state.unlink(missing_ok=True)
        if plan.soup is not None:
            self._greedy_soup(fitted, part, batches.val)

    def passed(self, index: int) -> bool:
        """Whether the stage was finished when the run was resumed."""
        return index < self.done["stage"]

    def load_best(self) -> None:
        """Load the best weights of the stages so far."""
        if self.predictor is self.model:
            load_keras_weights(self.model, self.folder / "best.keras")
        else:
            # best.keras holds the predictor, which lacks outputs that a method adds.
            restore_variables(self.folder / "best_all.npz", self.model)

    def sweep(
        self,
        batches: StageBatches,
        optimizer: keras.optimizers.Optimizer,
        *,
        accumulate: int = 1,
        precision: str = "float32",
    ) -> Sweep:
        """Run a learning rate range test at the start of the first stage; weights are restored.

        Args:
            batches: As for ``stage``.
            optimizer: New, with a constant rate.
            accumulate: Batches per update of that optimizer.
            precision: Of training steps.
        """
        part = batches.model or self.model
        fitted = compile_stage(part, self.terms, optimizer, precision)
        with computing_in(fitted, precision):
            return sweep(fitted, batches.train(0), accumulate=accumulate)

    def _restore(self, fitted: keras.Model, carry: bool) -> None:
        """Restore the state of an interrupted run or, with ``carry``, of the previous stage."""
        if self.done["epoch"] > 0:
            if self.done["stage"] > 0:  # layers that are frozen now may have been trained before
                with without_lora(self.model):  # files of earlier stages have merged kernels
                    self.load_best()
            restore_variables(self.state, fitted)
            return
        # A run that was killed in its first epoch may have left these.
        self.best.unlink(missing_ok=True)
        clear_epochs(self.epochs)
        if self.state.exists():
            with without_lora(self.model):
                restore_variables(self.state, self.model)
        if carry:
            count = load_optimizer_state(
                self.optimizer_state, fitted.optimizer, self.model.variables
            )
            logger.info("The optimizer starts with the state of %s variables", count)

    def _callbacks(self, part: keras.Model, plan: StagePlan) -> list[keras.callbacks.Callback]:
        """The callbacks with state over epochs, BestCheckpoint first."""
        direction = mode(self.monitor)
        callbacks: list[keras.callbacks.Callback] = [
            BestCheckpoint(self.best, part, self.monitor, self.done["best"])
        ]
        if plan.soup is not None:
            callbacks.append(TopKCheckpoints(self.epochs, part, self.monitor, plan.soup))
        if plan.plateau is not None:
            callbacks.append(
                keras.callbacks.ReduceLROnPlateau(
                    self.monitor, factor=plan.plateau, patience=2, mode=direction
                )
            )
        if plan.patience is not None:
            callbacks.append(
                # No restore_best_weights: BestCheckpoint has them on disk, also after a kill.
                keras.callbacks.EarlyStopping(self.monitor, patience=plan.patience, mode=direction)
            )
        return callbacks

    def _fit(
        self,
        fitted: keras.Model,
        batches: StageBatches,
        plan: StagePlan,
        stateful: list[keras.callbacks.Callback],
    ) -> None:
        name, epochs = plan.name, plan.epochs

        def after_epoch(epoch: int, metrics: dict[str, float]) -> None:
            metrics["learning_rate"] = _learning_rate(fitted.optimizer)
            self.done["rows"].append({"stage": name, "epoch": epoch + 1, **metrics})
            self.done.update(
                epoch=epoch + 1,
                # A resumed fit would not know that early stopping has ended the stage.
                ended=fitted.stop_training or epoch + 1 == epochs,
                best=stateful[0].best,
                memory=callback_state(stateful),
            )
            # The state first: it holds all rows, so a kill after it loses nothing.
            save_state(self.state, fitted, self.done)
            write_history(self.folder / "history.csv", self.done["rows"])
            report(self.done["rows"])

        with phase("epochs"), synchronized_batch_norm(fitted):
            fitted.fit(
                batches.train(self.done["epoch"]),
                validation_data=batches.val,
                initial_epoch=self.done["epoch"],
                epochs=epochs,
                steps_per_epoch=plan.steps,
                verbose=0,
                shuffle=False,  # the batches come shuffled
                callbacks=[
                    # First: BestCheckpoint would take a NaN for the best of the first epoch.
                    StopOnNaN(name),
                    SwapEMAWeights(),
                    *([] if batches.measure is None else [Measure(batches.measure)]),
                    *stateful,
                    keras.callbacks.TensorBoard(
                        self.folder / "tensorboard" / name, write_graph=False
                    ),
                    Progress(name, epochs, logger.info),
                    RestoreCallbackState(stateful, self.done["memory"]),
                    AfterEpoch(after_epoch),
                ],
            )

    def _greedy_soup(self, fitted: keras.Model, part: keras.Model, val: tf.data.Dataset) -> None:
        """Make a soup of the stage's epochs, and keep it if it is the best so far."""
        # last.keras is written later, and holds the last epoch, not the soup.
        last = [keras.ops.convert_to_numpy(variable) for variable in part.variables]
        metric = greedy_soup(self.epochs, fitted, part, val, self.monitor)
        if metric is not None and better(self.monitor, metric, self.done["best"]):
            self.done["best"] = metric
            save_state(self.best, part, {self.monitor: metric})
        for variable, value in zip(part.variables, last, strict=True):
            variable.assign(value)

    def _keep_best(self, part: keras.Model) -> bool:
        """Write the best weights of the stage, if it has any, into the model and its file."""
        if not self.best.exists():
            return False
        restore_variables(self.best, part)
        with merged_lora(self.model):
            save_model(self.folder / "best.keras", self.predictor)
            if self.predictor is not self.model:
                save_state(self.folder / "best_all.npz", self.model, {})
        return True

    def _close(self, index: int, part: keras.Model) -> None:
        """Restore the best weights, from which the next stage starts; LoRA ends with its stage."""
        best, last = self.folder / "best.keras", self.folder / "last.keras"
        if self.best.exists() and holds_variables(self.best, part):  # the last epoch was the best
            self._keep_best(part)
            copy(best, last)
            merge_lora(self.model)
        else:
            with merged_lora(self.model):
                save_model(last, self.predictor)
            kept = self._keep_best(part)
            merge_lora(self.model)
            if not kept:  # an earlier stage was better
                self.load_best()
        self.done.update(stage=index + 1, epoch=0, ended=False, memory={})
        # The files go after this: a run that is killed before repeats the end of the stage.
        save_state(self.state, self.model, self.done)
        self.best.unlink(missing_ok=True)
        clear_epochs(self.epochs)


def _learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one row per epoch, atomically: stage, epoch, metrics, learning rate."""
    header = list(rows[0])
    table = ([row.get(name, "") for name in header] for row in rows)
    write_csv(path, header, table, lineterminator="\r\n")

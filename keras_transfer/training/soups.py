"""Greedy soup: average of the weights of a stage's best epochs, if it improves on the best."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.training.ema import swap_ema_weights
from keras_transfer.training.monitors import better, mode
from keras_transfer.training.resume import read_arrays, read_progress, save_state

__all__ = ["TopKCheckpoints", "clear_epochs", "greedy_soup"]

logger = logging.getLogger("keras_transfer")


class TopKCheckpoints(keras.callbacks.Callback):
    """Write the variables of a model after each epoch that is among the best of its stage.

    Args:
        folder: Holds the files, ``epoch_<number>.npz``.
        model: Model to write; shares its layers with the model in training, has no optimizer.
        monitor: Name of the metric in the epoch's logs.
        count: Number of epochs to keep.
    """

    def __init__(self, folder: Path, model: keras.Model, monitor: str, count: int):
        super().__init__()
        self.folder, self.kept, self.monitor, self.count = folder, model, monitor, count

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write this epoch, then remove the worst one if there are too many."""
        value = float((logs or {})[self.monitor])
        self.folder.mkdir(exist_ok=True)
        swap_ema_weights(self.model)
        save_state(self.folder / f"epoch_{epoch}.npz", self.kept, {"epoch": epoch, "value": value})
        swap_ema_weights(self.model)
        for path, _ in ranked(self.folder, self.monitor)[self.count :]:
            path.unlink()


def ranked(folder: Path, monitor: str) -> list[tuple[Path, float]]:
    """The epochs that are kept in a folder with their metrics, best first."""
    epochs = [(path, read_progress(path) or {}) for path in folder.glob("epoch_*.npz")]
    sign = -1 if mode(monitor) == "max" else 1
    # Of equal metrics the earlier epoch comes first, as in BestCheckpoint.
    epochs.sort(key=lambda epoch: (sign * epoch[1]["value"], epoch[1]["epoch"]))
    return [(path, metadata["value"]) for path, metadata in epochs]


def clear_epochs(folder: Path) -> None:
    """Remove the folder of epochs, if there is one."""
    for path in folder.glob("epoch_*.npz"):
        path.unlink()
    if folder.exists():
        folder.rmdir()


def greedy_soup(
    folder: Path, fitted: keras.Model, part: keras.Model, val: tf.data.Dataset, monitor: str
) -> float | None:
    """Make a greedy soup of the epochs in a folder (Wortsman et al. 2022, arXiv:2203.05482).

    From the best epoch on, each next one joins the average if the metric does not get worse by
    that. Integers, such as the state of dropout, are those of the best epoch.

    Args:
        folder: Folder of ``TopKCheckpoints``.
        fitted: Compiled.
        part: The model in the checkpoints; its weights become those of the soup.
        val: Validation batches.
        monitor: The metric; one of the val split.

    Returns:
        The metric of the soup; None where no average is better than the best epoch alone.
    """
    epochs = ranked(folder, monitor)
    soup, best = [read_arrays(epochs[0][0])], epochs[0][1]
    for path, _ in epochs[1:]:
        tried = [*soup, read_arrays(path)]
        _assign(part, _mean(tried))
        # evaluate() gives the names without val_.
        value = float(fitted.evaluate(val, return_dict=True, verbose=0)[monitor[len("val_") :]])
        if value == best or better(monitor, value, best):
            soup, best = tried, value
    logger.info(
        "Soup of %s of %s epochs: %s %.4g, that of the best epoch %.4g",
        *(len(soup), len(epochs), monitor, best, epochs[0][1]),
    )
    _assign(part, _mean(soup))
    return best if len(soup) > 1 else None


def _mean(soup: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    return [
        # In float64: a sum of float16 or float32 arrays loses digits.
        np.mean(values, axis=0, dtype="float64").astype(values[0].dtype)
        if values[0].dtype.kind == "f"
        else values[0]
        for values in zip(*soup, strict=True)
    ]


def _assign(model: keras.Model, values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)

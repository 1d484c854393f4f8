"""Carry the optimizer state of variables from one stage to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer.atomic import replacing
from keras_transfer.training.resume import read_archive

__all__ = ["load_optimizer_state", "per_variable_steps", "save_optimizer_state", "unwrapped"]

OTHERS = ("_trainable_variables", "_accumulated_gradients", "_model_variables_moving_average")
"""Optimizer lists with one entry per variable that are not update state."""

AGE = "age"


def per_variable_steps(optimizer: Any) -> Any:
    """Make an optimizer class with a separate update count per variable.

    Adam and its kin divide their moments by 1 - beta^t, which is right for a variable that has had
    t updates. Of a block that opens now, t is 0; of one that was open before, t goes on. The
    schedule of the rate, which is that of a stage, restarts.

    Args:
        optimizer: A class of ``keras.optimizers``; not Nadam, whose product of momentums is one
            for all variables.

    Returns:
        A subclass; its variable ``ages`` holds (variables,) updates before the stage.
    """

    class Aged(optimizer):
        # None outside of an update: the rate's schedule has to see the steps of the stage alone.
        _age: Any = None

        def build(self, variables: list[Any]) -> None:
            super().build(variables)
            self.ages = self.add_variable((len(variables),), "zeros", "int", name="ages")

        @property
        def iterations(self) -> Any:
            return super().iterations + (0 if self._age is None else self._age)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            self._age = self.ages[self._get_variable_index(variable)]
            super().update_step(gradient, variable, learning_rate)
            self._age = None

    Aged.__name__ = optimizer.__name__
    return Aged


def save_optimizer_state(path: Path, optimizer: Any, variables: Sequence[Any]) -> None:
    """Write the optimizer state of each trained variable, atomically.

    Args:
        path: An ``.npz`` file.
        optimizer: Any optimizer, built.
        variables: In the same order as when the file is read.
    """
    indices = {id(variable): index for index, variable in enumerate(variables)}
    inner = unwrapped(optimizer)
    done = int(keras.ops.convert_to_numpy(inner.iterations))
    ages = keras.ops.convert_to_numpy(inner.ages) if hasattr(inner, "ages") else None
    arrays: dict[str, np.ndarray] = {}
    for i, variable in enumerate(inner._trainable_variables):
        index = indices[id(variable)]
        arrays[f"{index}.{AGE}"] = np.array(done + (0 if ages is None else ages[i]))
        for name, slot in _slots(inner, i):
            arrays[f"{index}.{name}"] = keras.ops.convert_to_numpy(slot)
    with replacing(path) as part:
        np.savez(part, allow_pickle=False, **arrays)


def load_optimizer_state(path: Path, optimizer: Any, variables: Sequence[Any]) -> int:
    """Load the previous optimizer's state for the variables that both train.

    Args:
        path: As ``save_optimizer_state`` wrote it.
        optimizer: Built, of the same class, with ``per_variable_steps``.
        variables: In the same order.

    Returns:
        How many of its variables were trained before.
    """
    indices = {id(variable): index for index, variable in enumerate(variables)}
    inner = unwrapped(optimizer)
    ages = np.zeros(len(inner._trainable_variables), "int64")
    arrays = read_archive(path)
    for i, variable in enumerate(inner._trainable_variables):
        index = indices[id(variable)]
        if f"{index}.{AGE}" not in arrays:
            continue
        ages[i] = arrays[f"{index}.{AGE}"]
        for name, slot in _slots(inner, i):
            slot.assign(arrays[f"{index}.{name}"])
    inner.ages.assign(ages)
    return int((ages > 0).sum())


def unwrapped(optimizer: Any) -> Any:
    """The optimizer inside the loss-scaling one of mixed_float16, or itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _slots(optimizer: Any, i: int) -> Iterator[tuple[str, Any]]:
    """State variables of an optimizer for its i-th trained variable, by name."""
    count = len(optimizer._trainable_variables)
    for name, value in sorted(vars(optimizer).items()):
        listed = isinstance(value, list) and len(value) == count and name not in OTHERS
        if listed and isinstance(value[i], keras.Variable):
            yield name, value[i]

"""An optimizer that goes on, in a new stage, with what it knew of the variables of the last one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

__all__ = ["load_optimizer_state", "per_variable_steps", "save_optimizer_state", "unwrapped"]

OTHERS = ("_trainable_variables", "_accumulated_gradients", "_model_variables_moving_average")
"""Lists of an optimizer that have an entry a variable, and are not the state of its updates."""

AGE = "age"


def per_variable_steps(optimizer: Any) -> Any:
    """Make a class of optimizers that count the updates of each variable by itself.

    Adam and its kin divide their moments by 1 - beta^t, which is right for a variable that has had
    t updates. Of a block that opens now, t is 0; of one that was open before, t goes on. The
    schedule of the rate, which is that of a stage, begins anew.

    Args:
        optimizer: A class of ``keras.optimizers``; not Nadam, whose product of momentums is one
            for all variables.

    Returns:
        A subclass; its variable ``ages`` holds (variables,) updates before the stage.
    """

    class Aged(optimizer):
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
    """Write what an optimizer knows of each variable that it trains, in one atomic step.

    Args:
        path: An ``.npz`` file.
        optimizer: Built; of any class.
        variables: In an order that is the same when the file is read.
    """
    places = {id(variable): place for place, variable in enumerate(variables)}
    inner = unwrapped(optimizer)
    done = int(keras.ops.convert_to_numpy(inner.iterations))
    ages = keras.ops.convert_to_numpy(inner.ages) if hasattr(inner, "ages") else None
    arrays: dict[str, np.ndarray] = {}
    for i, variable in enumerate(inner._trainable_variables):
        place = places[id(variable)]
        arrays[f"{place}.{AGE}"] = np.array(done + (0 if ages is None else ages[i]))
        for name, slot in _slots(inner, i):
            arrays[f"{place}.{name}"] = keras.ops.convert_to_numpy(slot)
    beside = path.with_suffix(".tmp.npz")
    np.savez(beside, allow_pickle=False, **arrays)
    os.replace(beside, path)


def load_optimizer_state(path: Path, optimizer: Any, variables: Sequence[Any]) -> int:
    """Give an optimizer what the last one knew of the variables that both train.

    Args:
        path: As ``save_optimizer_state`` wrote it.
        optimizer: Built, of the same kind, and ``per_variable_steps``.
        variables: In the same order.

    Returns:
        How many of its variables were trained before.
    """
    places = {id(variable): place for place, variable in enumerate(variables)}
    inner = unwrapped(optimizer)
    ages = np.zeros(len(inner._trainable_variables), "int64")
    with np.load(path) as arrays:
        for i, variable in enumerate(inner._trainable_variables):
            place = places[id(variable)]
            if f"{place}.{AGE}" not in arrays:
                continue
            ages[i] = arrays[f"{place}.{AGE}"]
            for name, slot in _slots(inner, i):
                slot.assign(arrays[f"{place}.{name}"])
    inner.ages.assign(ages)
    return int((ages > 0).sum())


def unwrapped(optimizer: Any) -> Any:
    """The optimizer itself, where mixed_float16 has put one around it that scales the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _slots(optimizer: Any, i: int) -> Iterator[tuple[str, Any]]:
    """The variables that an optimizer keeps for the i-th one that it trains, by name."""
    count = len(optimizer._trainable_variables)
    for name, value in sorted(vars(optimizer).items()):
        listed = isinstance(value, list) and len(value) == count and name not in OTHERS
        if listed and isinstance(value[i], keras.Variable):
            yield name, value[i]

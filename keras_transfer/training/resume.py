"""Training state on disk; a resumed run equals an uninterrupted one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer.atomic import replacing
from keras_transfer.errors import BadData

__all__ = [
    "holds_variables",
    "read_arrays",
    "read_progress",
    "restore_variables",
    "save_model",
    "save_state",
]

PROGRESS = "progress"


def _variables(model: keras.Model) -> list[Any]:
    """All variables that training changes: weights, dropout seeds, optimizer state."""
    return [*model.variables, *(model.optimizer.variables if model.compiled else [])]


def save_state(path: Path, model: keras.Model, progress: dict[str, Any]) -> None:
    """Write the model's and its optimizer's variables with the progress, in one atomic step.

    Args:
        path: An ``.npz`` file; written atomically.
        model: Compiled, with the optimizer's variables built; or not compiled, between stages.
        progress: JSON-ready: position in training and state of the callbacks.
    """
    arrays = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    # NumPy stores bfloat16 as raw bytes; float32 holds every bfloat16 exactly.
    arrays = {k: v.astype("float32") if v.dtype.kind == "V" else v for k, v in arrays.items()}
    # In the same file, so that variables and position are always of one moment.
    arrays[PROGRESS] = np.array(json.dumps(progress))
    with replacing(path) as part:
        np.savez(part, allow_pickle=False, **arrays)


def save_model(path: Path, model: keras.Model) -> None:
    """Write a ``.keras`` file; written atomically."""
    with replacing(path) as part:
        model.save(part)


def read_progress(path: Path) -> dict[str, Any] | None:
    """The progress in a state file; None where there is no such file.

    Raises:
        BadData: The file cannot be read.
    """
    if not path.exists():
        return None
    try:
        with np.load(path) as arrays:
            return json.loads(str(arrays[PROGRESS]))
    except (ValueError, OSError, KeyError) as error:
        raise BadData(
            f"{path} should hold the state of an interrupted run, but cannot be read: {error}. "
            "Start a new run with another --out."
        ) from None


def read_arrays(path: Path) -> list[np.ndarray]:
    """The variables in a state file, in order.

    Returns:
        Arrays of any shape, (), (n,), (n, m), ...; bfloat16 comes back as float32.
    """
    with np.load(path) as arrays:
        return [arrays[f"v{i}"] for i in range(len(arrays.files) - 1)]


def restore_variables(path: Path, model: keras.Model) -> None:
    """Restore the variables of a state file to a model that is compiled the same way.

    Raises:
        BadData: The file holds other variables than this model and its optimizer have.
    """
    variables = _variables(model)
    saved = read_arrays(path)
    if [tuple(v.shape) for v in variables] != [v.shape for v in saved]:
        raise BadData(
            f"{path} holds the state of another network: {len(saved)} variables, "
            f"{len(variables)} wanted. Start a new run with another --out."
        )
    for variable, value in zip(variables, saved, strict=True):
        variable.assign(value)


def holds_variables(path: Path, model: keras.Model) -> bool:
    """Whether the values in a state file equal those of a model's variables."""
    return all(
        np.array_equal(array, keras.ops.convert_to_numpy(variable))
        for array, variable in zip(read_arrays(path), _variables(model), strict=True)
    )

"""Training state on disk; a resumed run equals an uninterrupted one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np

from keras_transfer.atomic import replacing
from keras_transfer.errors import BadData

__all__ = [
    "holds_variables",
    "read_archive",
    "read_arrays",
    "read_progress",
    "restore_variables",
    "save_model",
    "save_state",
]

PROGRESS = "progress"

UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, OverflowError)
"""What NumPy raises of a damaged file, besides the errors of its archive."""


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
    progress = read_archive(path, [PROGRESS])[PROGRESS]
    try:
        return json.loads(str(progress))
    except ValueError as error:
        raise _damaged(path, error) from None


def read_arrays(path: Path) -> list[np.ndarray]:
    """The variables in a state file, in order.

    Returns:
        Arrays of any shape, (), (n,), (n, m), ...; bfloat16 comes back as float32.

    Raises:
        BadData: The file cannot be read.
    """
    arrays = read_archive(path)
    try:
        return [arrays[f"v{i}"] for i in range(len(arrays) - 1)]
    except KeyError as error:
        raise _damaged(path, error) from None


def read_archive(path: Path, names: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Read arrays of any shape from an ``.npz`` file that this package has written.

    Args:
        path: The file.
        names: Names of the arrays; all if there are none.

    Raises:
        BadData: It cannot be read. The archive has a CRC-32 of each array.
    """
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in [*names] or archive.files}
    # RuntimeError: a flipped bit says that there is a password; MemoryError: a shape is wrong.
    except (*UNREADABLE, BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: BaseException) -> BadData:
    return BadData(
        f"{path} should hold a state of the training, but cannot be read: {error}. Start a new run "
        "with another --out."
    )


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

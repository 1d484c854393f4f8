"""Columns of text cells that objectives read, and what is wrong in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_transfer.errors import BadConfiguration, BadData

__all__ = [
    "Cells",
    "check_same_columns",
    "only_column",
    "refuse",
    "several_columns",
    "stripped",
]

Cells = Mapping[str, Sequence[str] | np.ndarray]
"""Text cells of n examples by column name."""


def only_column(cells: Cells) -> tuple[str, np.ndarray]:
    """Name and (n,) stripped texts of the one column that there should be.

    Raises:
        BadConfiguration: There are several columns, or none.
    """
    if len(cells) != 1:
        # Taking the first of several columns would train on the wrong one without a word.
        raise BadConfiguration(
            f"This objective reads one column; it was given {len(cells)}: {', '.join(cells)}."
        )
    ((name, column),) = cells.items()
    return name, stripped(column)


def several_columns(cells: Cells, columns: Sequence[str]) -> np.ndarray:
    """(n, columns) stripped texts of the columns in this order.

    Raises:
        BadConfiguration: A column is not there.
    """
    if absent := [name for name in columns if name not in cells]:
        raise BadConfiguration(
            f"columns names {', '.join(absent)}, which the data do not have; "
            f"they have {', '.join(cells)}."
        )
    return np.stack([stripped(cells[name]) for name in columns], axis=1)


def check_same_columns(columns: Sequence[str], names: Sequence[str] | None) -> None:
    """Refuse columns that are not what a trained model predicts.

    Args:
        columns: Columns that the settings name.
        names: Names of the model's labels or targets; None: there is no model yet.

    Raises:
        BadConfiguration: They differ.
    """
    if names is not None and tuple(names) != tuple(columns):
        raise BadConfiguration(
            f"The model predicts {', '.join(names)}; columns names {', '.join(columns)}. "
            "Name the same columns in the same order."
        )


def stripped(column: Sequence[str] | np.ndarray) -> np.ndarray:
    """(n,) object array of the texts without blanks around them."""
    # object: NumPy's own strings drop trailing null characters and pad every cell to the longest.
    return np.array([str(cell).strip() for cell in column], object)


def refuse(
    wrong: np.ndarray, texts: Sequence[Any] | np.ndarray, keys: Sequence[str] | None, message: str
) -> None:
    """Raise BadData that names the rows at fault, if there are any.

    Args:
        wrong: (n,) bool, the rows at fault.
        texts: (n,) what to show of each row.
        keys: (n,) names of the rows; None: their numbers, from 1.
        message: What is wrong and what to do; follows "3 of 10 examples".
    """
    if not wrong.any():
        return
    shown = [
        # From 1, as spreadsheets and editors count.
        f"{f'row {row + 1}' if keys is None else keys[row]}: {texts[row]!r}"
        for row in np.flatnonzero(wrong).tolist()
    ]
    raise BadData(f"{wrong.sum():,} of {len(wrong):,} examples {message}:", shown)

"""Data frames of pandas as tables of examples; pandas itself is not imported."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.data.table_files import TableRows

__all__ = ["frame_rows", "is_frame", "read_frame"]

NAME = Path("the data frame")
"""What stands for the name of a file in messages."""


def is_frame(data: Any) -> bool:
    """Whether data are a ``pandas.DataFrame``."""
    kinds = type(data).__mro__
    return any(
        kind.__name__ == "DataFrame" and kind.__module__.startswith("pandas") for kind in kinds
    )


def read_frame(
    frame: Any,
    texts: Sequence[str] = (),
    known: Collection[str] = (),
    cells: Collection[str] = (),
    label: str = LABEL,
) -> Samples:
    """Read examples from a data frame, with the checks of a table in a file.

    Args:
        frame: Columns as in a manifest: ``path`` (relative to the working directory, or absolute)
            or the columns of texts; ``label``; and where wanted ``split``, ``group``, ``weight``.
        texts: Names of the columns of texts; none: the examples are images.
        known: Class names of a trained model, if any; then one class is enough.
        cells: Names of columns to be read as text cells instead of ``label``.
        label: Name of the column of labels.

    Returns:
        Samples as of a file; rows are counted from 0 in messages and in the keys of texts.

    Raises:
        BadData: A column is missing, or a row cannot be used; lists the rows.
    """
    if texts:
        from keras_transfer.data.text_tables import check_text_columns
        from keras_transfer.data.texts import table_samples

        lower = [[name.lower() for name in some] for some in (texts, tuple(cells) or (label,))]
        rows = frame_rows(frame, lambda file, names: check_text_columns(file, names, *lower))
        return table_samples(NAME, rows, texts, known, cells, label)
    from keras_transfer.data.manifests import manifest_samples

    return manifest_samples(NAME, lambda check: frame_rows(frame, check), known, cells, label)


def frame_rows(frame: Any, check: Callable[[Path, Sequence[str]], None]) -> TableRows:
    """The cells of a data frame as text.

    Args:
        frame: A ``pandas.DataFrame``; its index does not count.
        check: Called with the names of the columns; raises where they will not do.
    """
    names = [str(name).strip().lower() for name in frame.columns]
    check(NAME, names)
    # By place: a name that is there twice would give a frame.
    columns = [frame.iloc[:, place] for place in range(len(names))]
    cells = {
        name: [_text(cell) for cell in column]
        for name, column in zip(names, columns, strict=True)
        if not _is_large(column)
    }
    return TableRows(cells, range(len(frame)), "row")


def _is_large(column: Any) -> bool:
    """Whether the cells are encoded or decoded images, which are not read."""
    first = next((cell for cell in column if cell is not None), None)
    return isinstance(first, bytes) or getattr(first, "ndim", 0) > 0


def _text(cell: Any) -> str:
    """A cell as text: nothing where it is missing, a whole number without decimals."""
    if cell is None or str(cell) in ("<NA>", "NaT"):
        return ""
    if isinstance(cell, float):
        if math.isnan(cell):
            return ""
        # pandas stores whole numbers as floats where one of them is missing.
        return str(int(cell)) if cell.is_integer() else str(float(cell))
    return str(cell)

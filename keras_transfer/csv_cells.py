"""Texts in CSV files that spreadsheets would take for formulas.

Excel and LibreOffice run a cell such as ``=HYPERLINK(...)``, which a file name or a class may be.
Such a text gets an apostrophe before it, and so does one that would look as if it had got one, so
that reading gives every text back. Numbers are left as they are, also where they are texts.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import IO, Any

__all__ = ["original", "read_cells", "write_cells"]

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def write_cells(file: Any, rows: Iterable[Iterable[Any]], **form: Any) -> None:
    """Write the rows of a CSV file.

    Args:
        file: Open for text, with ``newline=""``.
        rows: Texts, numbers and others by column.
        form: As in ``csv.writer``.
    """
    csv.writer(file, **form).writerows(map(_escaped, row) for row in rows)


def read_cells(file: IO[str]) -> list[list[str]]:
    """The rows of a CSV file as ``write_cells`` was given them, as texts.

    Raises:
        csv.Error: It is no CSV.
    """
    return [[original(cell) for cell in row] for row in csv.reader(file)]


def _escaped(cell: Any) -> Any:
    risky = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if risky else cell


def original(cell: str) -> str:
    """A text of a cell as ``write_cells`` was given it."""
    return cell[1:] if _ESCAPED.match(cell) else cell

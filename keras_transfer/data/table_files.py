"""Files of tables, .csv, .tsv, .jsonl and .parquet, as columns of text."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_transfer.data.json_lines import ENDING, read_objects
from keras_transfer.data.regular_files import opened
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.tables import Table

__all__ = ["COLUMNS", "TableRows", "column_names", "read_table"]

COLUMNS = ("path", "label", "split", "group", "weight")
"""The columns that are read."""


class TableRows(NamedTuple):
    """The cells of a table.

    Attributes:
        columns: The cells of each column as text, "" where there is none; names in lower case.
            Columns of a .parquet that hold bytes or nested values, such as encoded images, and are
            none of ``COLUMNS``, have no cells.
        numbers: The number of each row in the file, for messages.
        unit: Unit of the numbers: "line" or "row".
    """

    columns: Mapping[str, Sequence[str]]
    numbers: Sequence[int]
    unit: str


def read_table(file: Path, check: Callable[[Path, Sequence[str]], None]) -> TableRows:
    """Read a table.

    Text is UTF-8, separated by comma, semicolon or tab; a first line ``sep=;`` as Excel reads it
    says which. Spaces around cells do not count, but within quotes they do. A .jsonl holds an
    object in each line. A list of strings, but for ``COLUMNS``, is joined by ``|``.

    Args:
        file: The table.
        check: Called with the names of the columns; raises where they will not do.

    Raises:
        BadData: The file cannot be read; lists the lines at fault.
        BadConfiguration: The file is a .parquet, and pyarrow is not installed.
        UnknownName: The file has another suffix.
    """
    read = _READERS[file.suffix.lower()]
    if not file.exists():
        raise BadData(f"There is no file {file.absolute()}.")
    return read(file, check)


def column_names(file: Path) -> list[str]:
    """The names of a table's columns, in lower case; raises as ``read_table`` does."""
    found: list[str] = []
    read_table(file, lambda _, names: found.extend(names))
    return found


def _names(header: Sequence[str]) -> list[str]:
    return [name.strip().lower() for name in header]


# --- text -------------------------------------------------------------------------------------

_SEPARATOR = re.compile(r'"?sep=(.)"?\s*')


def _read_text(file: Path, check: Callable[[Path, Sequence[str]], None]) -> TableRows:
    try:
        # Excel writes a byte order mark, which would become part of the first name.
        # newline="": cells in quotes may hold line ends, which the csv module reads itself.
        with opened(file, "r", encoding="utf-8-sig", newline="") as text:
            first = text.readline()
            declared = _SEPARATOR.fullmatch(first)
            if not declared:
                text.seek(0)
            delimiter = declared[1] if declared else max(",;\t", key=first.count)
            # strict: an open quote raises an error instead of swallowing the rest of the file.
            reader = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=True)
            return _parsed(file, reader, 1 if declared else 0, check)
    except UnicodeDecodeError as error:
        raise BadData(f"{file} is not UTF-8 ({error.reason} at byte {error.start}).") from error
    except csv.Error as error:
        raise BadData(f"{file} cannot be read: {error}.") from error


def _parsed(
    file: Path, reader: Any, before: int, check: Callable[[Path, Sequence[str]], None]
) -> TableRows:
    """Turn the rows of ``csv.reader``, after ``before`` other lines, into columns."""
    names = _names(next(reader, []))
    check(file, names)
    columns: list[list[str]] = [[] for _ in names]
    numbers, ragged = [], []
    for row in reader:
        # Lines, not rows: a cell in quotes may span several.
        number = reader.line_num + before
        if len(row) == len(names):
            numbers.append(number)
            for column, cell in zip(columns, row, strict=True):
                column.append(cell)
        elif row:
            ragged.append(f"line {number}: {len(row)} cells")
    if ragged:
        raise BadData(f"Rows of {file} should have {len(names)} cells, as its header has:", ragged)
    return TableRows(dict(zip(names, columns, strict=True)), numbers, "line")


# --- Parquet ----------------------------------------------------------------------------------


def _read_parquet(file: Path, check: Callable[[Path, Sequence[str]], None]) -> TableRows:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise BadConfiguration(
            f"Reading {file} takes pyarrow: pip install 'keras_transfer[parquet]'"
        ) from error
    try:
        with opened(file) as content:
            table = parquet.read_table(content)
    except ArrowException as error:
        raise BadData(f"{file} cannot be read as Parquet: {error}") from error
    names = _names(table.column_names)
    check(file, names)
    columns = {
        name: [_text(name, cell) for cell in column.to_pylist()]
        if _is_short(name, column.type)
        else []
        for name, column in zip(names, table.columns, strict=True)
    }
    return TableRows(columns, range(1, table.num_rows + 1), "row")


def _is_short(name: str, sort: Any) -> bool:
    """Whether a column is read: others, such as encoded images, may be large."""
    from pyarrow import types

    binary = types.is_binary(sort) or types.is_large_binary(sort)
    binary = binary or types.is_fixed_size_binary(sort)
    several = types.is_list(sort) or types.is_large_list(sort)
    strings = several and str(sort.value_type) in ("string", "large_string")
    return name in COLUMNS or strings or not (binary or types.is_nested(sort))


def _text(name: str, cell: Any) -> str:
    """A cell as text: nothing where it is missing, a whole number without decimals.

    A list of strings is joined by "|"; other cells of several values are written as Python does.
    So are lists and NaN in ``COLUMNS``, where one value is expected and a check names them.
    """
    if cell is None:
        return ""
    # pandas stores whole numbers as floats where one of them is missing.
    if isinstance(cell, float):
        missing = math.isnan(cell) and name not in COLUMNS
        return "" if missing else str(int(cell)) if cell.is_integer() else str(cell)
    if isinstance(cell, list) and name not in COLUMNS and all(isinstance(one, str) for one in cell):
        return "|".join(cell)
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)


# --- JSON lines -------------------------------------------------------------------------------


def _read_json_lines(file: Path, check: Callable[[Path, Sequence[str]], None]) -> TableRows:
    columns, numbers = read_objects(file)
    check(file, [*columns])
    cells = {name: [_text(name, value) for value in values] for name, values in columns.items()}
    return TableRows(cells, numbers, "line")


_READERS = Table(
    "suffix of a table",
    {
        ".csv": _read_text,
        ".tsv": _read_text,
        ".parquet": _read_parquet,
        ENDING: _read_json_lines,
    },
)

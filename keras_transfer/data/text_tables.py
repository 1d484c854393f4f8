"""Tables of texts, .csv, .tsv, .jsonl and .parquet, as columns of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from keras_transfer.data.json_lines import ENDING, first_names
from keras_transfer.data.regular_files import opened
from keras_transfer.data.samples import LABEL
from keras_transfer.data.table_files import TableRows, column_names, read_table
from keras_transfer.errors import BadData, UnknownName

__all__ = ["TABLES", "check_text_columns", "decoded", "first_row", "has_header", "read_rows"]

TABLES = (".csv", ".tsv", ENDING, ".parquet")
_COLUMNS = ("label", "split", "group", "weight")
_LONGEST_CELL = 1 << 30  # characters; Python's own limit, 131,072, is that of a short book


def first_row(path: Path) -> list[str]:
    """Cells of the first line of a table, in lower case: names of columns, if it has a header."""
    if path.suffix.lower() == ENDING:
        return [*first_names(path)]
    if path.suffix.lower() == ".parquet":
        return column_names(path)
    with opened(path) as file:
        first = file.readline().decode("utf-8-sig", "replace").rstrip("\r\n")
    return [name.strip().strip('"').lower() for name in first.split(_delimiter(path, first))]


def has_header(names: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether a first row, in lower case, names all columns of the texts."""
    return all(column.lower() in names for column in columns)


def read_rows(file: Path, columns: Sequence[str], targets: Sequence[str]) -> TableRows:
    """Read a table.

    Args:
        file: In UTF-8, or a .parquet. A .jsonl has an object in each line. A .tsv with a single
            column of texts may have no header and two columns, text and label. In a .tsv, quotes
            are characters like others, unless all of them are written as a spreadsheet writes them.
        columns: Names of the columns of texts.
        targets: Names of other columns that it must have.

    Raises:
        BadData: The file or a row cannot be used; lists the rows.
        UnknownName: The file has another ending.
    """
    if file.suffix.lower() not in TABLES:
        raise UnknownName("ending of a table of texts", file.suffix, TABLES)
    lower = [[name.lower() for name in some] for some in (columns, targets)]
    if file.suffix.lower() in (ENDING, ".parquet"):
        return _read_typed(file, *lower)
    text = decoded(file)
    first = text[: text.find("\n")] if "\n" in text else text
    delimiter = _delimiter(file, first)
    rows = _tab_rows(file, text) if delimiter == "\t" else _quoted_rows(file, text, delimiter)
    if not rows:
        raise BadData(f"{file} is empty.")
    names, rows = _header(file, rows, *lower)
    if not rows:
        raise BadData(f"{file} has no rows below its header.")
    if ragged := [f"line {line}: {len(row)} cells" for line, row in rows if len(row) != len(names)]:
        raise BadData(
            f"{len(ragged):,} of {len(rows):,} rows of {file} should have {len(names)} cells, "
            f"{', '.join(names)}:",
            ragged,
        )
    numbers, cells = zip(*rows, strict=True)
    return TableRows(dict(zip(names, zip(*cells, strict=True), strict=True)), numbers, "line")


def _read_typed(file: Path, columns: Sequence[str], targets: Sequence[str]) -> TableRows:
    """Read a table whose columns have names in every row, or types."""
    rows = read_table(file, lambda path, names: check_text_columns(path, names, columns, targets))
    if not rows.numbers:
        raise BadData(f"{file} has no rows.")
    return rows


def decoded(file: Path) -> str:
    """Content without a byte order mark; names the line that is not UTF-8."""
    with opened(file) as read:
        content = read.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadData(
            f"{file} is not UTF-8: {error.reason} at byte {error.start:,}, line {line:,}. Save it "
            "as UTF-8, for example by: iconv -f WINDOWS-1252 -t UTF-8"
        ) from error


def _delimiter(file: Path, first: str) -> str:
    if file.suffix.lower() == ".tsv":
        return "\t"
    return max(",;\t", key=first.count)


_NumberedRows = list[tuple[int, list[str]]]


def _header(
    file: Path, rows: _NumberedRows, columns: Sequence[str], targets: Sequence[str]
) -> tuple[list[str], _NumberedRows]:
    """Names of the columns, and the rows below; a .tsv of two columns may have no header."""
    first = rows[0][1]
    names = [name.strip().lower() for name in first]
    if [name for name in columns if name not in names]:
        alone = len(columns) == 1 and [*targets] == [LABEL] and LABEL not in names
        if file.suffix.lower() == ".tsv" and len(names) == 2 and alone:
            return [*columns, LABEL], rows
    check_text_columns(file, names, columns, targets)
    return names, rows[1:]


def check_text_columns(
    file: Path, names: Sequence[str], columns: Sequence[str], targets: Sequence[str]
) -> None:
    """Refuse a table without texts or labels, or with two columns of one name.

    Args:
        file: The table, for messages.
        names: The names of its columns; all names are in lower case.
        columns: Columns of texts that it needs.
        targets: Other columns that it needs.

    Raises:
        BadData: Says which column is missing or there twice; suggests near misses.
    """
    if missing := [name for name in columns if name not in names]:
        *texts, last = (*columns, *(targets or [LABEL]))
        raise BadData(
            f"{file} should have the columns {', '.join(texts)} and {last}, and may have split, "
            f"group and weight. {UnknownName('column', missing[0], names)}"
        )
    if missing := [name for name in targets if name not in names]:
        raise BadData(f"{file} lacks a column. {UnknownName('column', missing[0], names)}")
    if twice := [name for name in (*columns, *targets, *_COLUMNS) if names.count(name) > 1]:
        raise BadData(f"{file} has several columns called {twice[0]}.")


def _tab_rows(file: Path, text: str) -> _NumberedRows:
    """Rows separated by tabs, with or without quoting."""
    # Not splitlines(), which would also split at characters such as U+2028 in a text.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    plain = [(i, line.split("\t")) for i, line in enumerate(lines, start=1) if line]
    even = len({len(row) for _, row in plain}) == 1
    marked = [cell for _, row in plain for cell in row if '"' in cell]
    if not marked or (even and not all(map(_is_quoted, marked))):
        return plain
    try:
        quoted = _quoted_rows(file, text, "\t")
    except BadData:
        return plain
    return quoted if even or len({len(row) for _, row in quoted}) == 1 else plain


def _is_quoted(cell: str) -> bool:
    """Whether the csv module would write this for a cell with quotes in it."""
    inner = cell[1:-1]
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")


def _quoted_rows(file: Path, text: str, delimiter: str) -> _NumberedRows:
    before = csv.field_size_limit(_LONGEST_CELL)
    # newline="" keeps the line ends inside of texts.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise BadData(f"{file} cannot be read: {error} (line {reader.line_num:,}).") from error
    finally:
        # The limit belongs to the process, not to this reader.
        csv.field_size_limit(before)

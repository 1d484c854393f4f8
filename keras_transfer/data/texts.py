"""Texts in tables: a row for each, or a folder with a table for each split."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_transfer.data.manifests import _classes, _converted, _label, _split, _weight
from keras_transfer.data.regular_files import opened
from keras_transfer.data.samples import LABEL, SPLITS, CheckResult, Judge, Samples
from keras_transfer.data.split_names import SPLIT_WORDS
from keras_transfer.data.table_files import TableRows
from keras_transfer.errors import BadData, UnknownName

__all__ = ["Texts", "has_labels", "holds_texts", "read_column", "read_texts"]

logger = logging.getLogger("keras_transfer")

TABLES = (".csv", ".tsv")
_COLUMNS = ("label", "split", "group", "weight")
_LONGEST_CELL = 1 << 30  # characters; Python's own limit, 131,072, is that of a short book


class Texts:
    """A store of texts that lie in memory.

    Args:
        texts: The texts, by row number.
    """

    def __init__(self, texts: Sequence[str]):
        self.texts = texts

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Give texts inside a graph: () or (batch,) int64 row numbers to as many UTF-8 strings."""
        return tf.gather(self._tensor, row)

    def raw(self, rows: np.ndarray) -> list[str]:
        """Texts by their row numbers, (n,) int."""
        return [self.texts[row] for row in rows]

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Have text number ``row`` judged."""
        return judge(self.texts[row].encode(), "")

    def stamp(self, row: int) -> None:
        """Say that looking again costs nothing."""

    @cached_property
    def _tensor(self) -> tf.Tensor:
        # Made outside of any graph, so that graphs capture it instead of holding a copy.
        with tf.init_scope(), tf.device("CPU"):
            return tf.constant([text.encode() for text in self.texts], tf.string)


class _Table(NamedTuple):
    """The cells of a file by column, and the split that its name stands for, or ""."""

    file: Path
    rows: TableRows
    split: str


def read_texts(
    path: Path, column: str = "text", known: Collection[str] = (), cells: Collection[str] = ()
) -> Samples:
    """Read texts and their labels.

    Args:
        path: A ``.csv`` or ``.tsv`` file in UTF-8 with a header: a column of texts, ``label``,
            and where wanted ``split`` (train, val, dev, test, ... or empty), ``group`` and
            ``weight``, as in a manifest of images. A ``.tsv`` may instead have no header and two
            columns, text and label. Or a folder with such files, called train, val (or dev,
            valid, validation) and test. In a ``.tsv``, quotes are characters like others, unless
            all of them are written as a spreadsheet writes them.
        column: Name of the column of texts.
        known: Class names of a trained model, if any; then one class is enough.
        cells: Names of columns to be read as text cells instead of ``label``.

    Returns:
        Samples with a ``Texts`` store, keys such as "train.tsv:12" (file and line), in the order
        of the files within each split. The splits are "" where a folder has train alone.

    Raises:
        BadData: A file or a row cannot be used; lists the rows.
        UnknownName: The file has another ending.
    """
    files = _split_files(path) if path.is_dir() else {"": path}
    targets = tuple(cells) or (LABEL,)
    tables = [_Table(file, _read(file, column, targets), split) for split, file in files.items()]
    splits = _splits(tables)
    if cells:
        labels, classes = [""] * len(splits), [""]
    else:
        labels = _cells(tables, LABEL, _label, "have no label")
        classes = _classes(path, labels, splits, 1 if known else 2)
    number = {name: i for i, name in enumerate(classes)}
    store: Any = Texts(_cells(tables, column.lower(), str))
    samples = Samples.of(
        store,
        classes,
        [f"{t.file.name}:{line}" for t in tables for line in t.rows.numbers],
        [number[label] for label in labels],
        splits=splits,
        groups=_cells(tables, "group", str.strip),
        weights=_cells(tables, "weight", _weight, "have a weight that is no number from 0 up"),
        cells={name: _cells(tables, name.lower(), str) for name in cells},
    )
    ranks = {split: rank for rank, split in enumerate((*SPLITS, ""))}
    return samples.take(np.argsort([ranks[split] for split in splits], kind="stable"))


def read_column(file: Path, column: str = "text") -> tuple[list[str], list[str]]:
    """Read texts that need no labels.

    Args:
        file: A ``.csv`` or ``.tsv`` file as for ``read_texts``, with a header.
        column: Name of the column of texts.

    Returns:
        A name for each text, such as "reviews.csv:12" (file and line), and the texts.

    Raises:
        BadData: The file or a row cannot be used.
    """
    rows = _read(file, column, ())
    names = [f"{file.name}:{line}" for line in rows.numbers]
    return names, list(rows.columns[column.lower()])


def holds_texts(path: Path, column: str = "text") -> bool:
    """Whether ``read_texts`` rather than a reader of images is meant.

    True for a folder with a table called train, and for a table with a column of texts or
    without header.
    """
    if path.is_dir():
        return any(_stem(file) == "train" for file in _tables(path))
    if path.suffix.lower() not in TABLES:
        return False
    names = _first_row(path)
    headless = path.suffix.lower() == ".tsv" and len(names) == 2 and LABEL not in names
    return column.lower() in names or headless


def has_labels(path: Path, column: str = "text") -> bool:
    """Whether a table of texts has labels; one without header has them."""
    names = _first_row(path)
    return LABEL in names or (column.lower() not in names and holds_texts(path, column))


def _first_row(path: Path) -> list[str]:
    """Cells of the first line of a table, in lower case: names of columns, if it has a header."""
    with opened(path) as file:
        first = file.readline().decode("utf-8-sig", "replace").rstrip("\r\n")
    return [name.strip().strip('"').lower() for name in first.split(_delimiter(path, first))]


def _cells(tables: Iterable[_Table], name: str, convert: Callable, wrong: str = "") -> list:
    """The cells of a column of all tables, converted; lists those that cannot be."""
    return [
        value
        for table in tables
        for value in _converted(table.rows, name, convert, f"rows of {table.file} {wrong}")
    ]


def _splits(tables: Sequence[_Table]) -> list[str]:
    """The split of each row: by the column, or by the name of its file."""
    declared = _cells(
        tables, "split", _split, f"have a split that is none of {', '.join(SPLIT_WORDS)}"
    )
    named = [table.split for table in tables for _ in table.rows.numbers]
    if any(declared) and any(named):
        raise BadData(
            f"The files in {tables[0].file.parent} are called by their split, and have a column "
            "split too. Remove the column, or put all rows into one file."
        )
    alone = len(tables) == 1 and tables[0].split == "train"
    return declared if any(declared) or alone else named


# --- which files ------------------------------------------------------------------------------


def _stem(file: Path) -> str:
    return SPLIT_WORDS.get(file.stem.lower(), "")


def _tables(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise BadData(f"{folder} cannot be listed ({error.strerror}).") from error
    return [folder / n for n in names if n[0] != "." and n.lower().endswith(TABLES)]


def _split_files(folder: Path) -> dict[str, Path]:
    """The file of each split, train first."""
    by_split: dict[str, list[Path]] = {split: [] for split in SPLITS}
    tables = _tables(folder)
    for file in tables:
        by_split.get(_stem(file), []).append(file)
    if not by_split["train"]:
        listed = ", ".join(file.name for file in tables) or "no tables"
        raise BadData(
            f"{folder} should hold train.tsv (or .csv), and may hold val.tsv or dev.tsv and "
            f"test.tsv; found {listed}."
        )
    for split, files in by_split.items():
        if len(files) > 1:
            names = " and ".join(file.name for file in files)
            raise BadData(f"{folder} has several files for {split}: {names}. Keep one of them.")
    if ignored := [file.name for file in tables if not _stem(file)]:
        logger.warning("Ignored tables in %s named for no split: %s", folder, ", ".join(ignored))
    return {split: files[0] for split, files in by_split.items() if files}


# --- reading a file ---------------------------------------------------------------------------


def _read(file: Path, column: str, targets: Sequence[str]) -> TableRows:
    if file.suffix.lower() not in TABLES:
        raise UnknownName("ending of a table of texts", file.suffix, TABLES)
    text = _decoded(file)
    first = text[: text.find("\n")] if "\n" in text else text
    delimiter = _delimiter(file, first)
    rows = _tab_rows(file, text) if delimiter == "\t" else _quoted_rows(file, text, delimiter)
    if not rows:
        raise BadData(f"{file} is empty.")
    names, rows = _header(file, rows, column.lower(), [name.lower() for name in targets])
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


def _decoded(file: Path) -> str:
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
    file: Path, rows: _NumberedRows, column: str, targets: Sequence[str]
) -> tuple[list[str], _NumberedRows]:
    """Names of the columns, and the rows below; a .tsv of two columns may have no header."""
    first = rows[0][1]
    names = [name.strip().lower() for name in first]
    if column not in names:
        alone = [*targets] == [LABEL] and LABEL not in names
        if file.suffix.lower() == ".tsv" and len(names) == 2 and alone:
            return [column, LABEL], rows
        raise BadData(
            f"{file} should have the columns {column} and label, and may have split, group and "
            f"weight. {UnknownName('column', column, names)}"
        )
    if missing := [name for name in targets if name not in names]:
        raise BadData(f"{file} lacks a column. {UnknownName('column', missing[0], names)}")
    if twice := [name for name in (column, *_COLUMNS) if names.count(name) > 1]:
        raise BadData(f"{file} has several columns called {twice[0]}.")
    return names, rows[1:]


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

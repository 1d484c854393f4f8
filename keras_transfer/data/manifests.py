"""Images listed in a table: a .csv, .tsv or .parquet file with a row for each."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from keras_transfer.data.files import Files
from keras_transfer.data.samples import SPLITS, Samples
from keras_transfer.data.split_names import SPLIT_WORDS, check_known
from keras_transfer.errors import BadConfiguration, BadData, UnknownName
from keras_transfer.tables import Table

__all__ = ["read_manifest"]

_REQUIRED = ("path", "label")
_KNOWN = (*_REQUIRED, "split", "group", "weight")

Value = TypeVar("Value")


class _Rows(NamedTuple):
    """The cells of a table by column, and the number of each row in the file, in this unit."""

    columns: Mapping[str, Sequence[str]]
    numbers: Sequence[int]
    unit: str


def read_manifest(file: Path) -> Samples:
    """Read a table of images.

    Columns: ``path`` (relative to the table's folder, or absolute) and ``label``; where wanted
    ``split`` (train, val, valid, validation, test, or empty where it is to be decided),
    ``group`` (images of one group stay on one side of a split) and ``weight`` (in the loss,
    1 where empty). Others are ignored. Text is UTF-8, separated by comma, semicolon or tab.

    Returns:
        Samples with paths as keys and classes sorted by name.

    Raises:
        BadData: The table or one of its rows cannot be used; lists the rows.
        BadConfiguration: The file is a .parquet, and pyarrow is not installed.
        UnknownName: The file has another ending.
    """
    read = _READERS[file.suffix.lower()]
    if not file.is_file():
        raise BadData(f"There is no file {file.absolute()}.")
    rows = read(file)
    if not rows.numbers:
        raise BadData(f"{file} has no rows below its header.")
    root = os.fspath(file.parent)

    def column(name: str, convert: Callable[[str], Value], wrong: str = "") -> list[Value]:
        return _converted(rows, name, convert, f"rows of {file} {wrong}")

    labels = column("label", _label, "have no label")
    keys = column("path", lambda cell: _path(root, cell), f"name no file (seen from {root})")
    splits = column("split", _split, f"have a split that is none of {', '.join(SPLIT_WORDS)}")
    weights = column("weight", _weight, "have a weight that is no number from 0 up")
    groups = column("group", str.strip)
    classes = _classes(file, labels, splits)
    numbers = {name: number for number, name in enumerate(classes)}
    columns = {"splits": splits, "groups": groups, "weights": weights}
    samples = Samples.of(Files(keys), classes, keys, [numbers[name] for name in labels], **columns)
    return samples.take(_order(splits, keys))


def _converted(rows: _Rows, name: str, convert: Callable[[str], Value], wrong: str) -> list[Value]:
    """Convert the cells of a column, empty where it is missing, or list those that cannot be."""
    values, offenders = [], []
    cells = rows.columns.get(name, repeat("", len(rows.numbers)))
    for cell, number in zip(cells, rows.numbers, strict=True):
        try:
            values.append(convert(cell))
        except ValueError:
            offenders.append(f"{rows.unit} {number}: {cell!r}")
    if offenders:
        raise BadData(f"{len(offenders):,} of {len(rows.numbers):,} {wrong}:", offenders)
    return values


def _label(cell: str) -> str:
    if not cell.strip():
        raise ValueError
    return cell.strip()


def _path(root: str, cell: str) -> str:
    path = os.path.join(root, cell)
    if not cell or not os.path.exists(path):
        raise ValueError
    return path


def _split(cell: str) -> str:
    word = cell.strip().lower()
    if word and word not in SPLIT_WORDS:
        raise ValueError
    return SPLIT_WORDS.get(word, "")


def _weight(cell: str) -> float:
    weight = float(cell.strip() or 1)
    if not (weight >= 0 and math.isfinite(weight)):
        raise ValueError
    return weight


def _classes(file: Path, labels: list[str], splits: list[str]) -> list[str]:
    """Names of the classes: those that may be trained on, or all where no row says train."""
    found: dict[str, set[str]] = {split: set() for split in (*SPLITS, "")}
    for label, split in set(zip(labels, splits, strict=True)):
        found[split].add(label)
    train = found["train"] | found.pop("")
    classes = sorted(train or set(labels))
    if len(classes) < 2:
        raise BadData(f"{file} has only one class, {classes[0]!r}; it takes two or more.")
    check_known(file, {**found, "train": classes})
    return classes


def _order(splits: list[str], keys: list[str]) -> np.ndarray:
    """(n,) int64: rows by part, and by path in each split."""
    ranks = {split: rank for rank, split in enumerate((*SPLITS, ""))}
    return np.array(sorted(range(len(keys)), key=lambda i: (ranks[splits[i]], keys[i])))


# --- reading the file -------------------------------------------------------------------------


def _read_text(file: Path) -> _Rows:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            delimiter = max(",;\t", key=text.readline().count)
            text.seek(0)
            return _parsed(file, csv.reader(text, delimiter=delimiter, strict=True))
    except UnicodeDecodeError as error:
        raise BadData(f"{file} is not UTF-8 ({error.reason} at byte {error.start}).") from error
    except csv.Error as error:
        raise BadData(f"{file} cannot be read: {error}.") from error


def _parsed(file: Path, reader: Any) -> _Rows:
    """Turn what ``csv.reader`` gives into columns."""
    names = _names(file, next(reader, []))
    columns: list[list[str]] = [[] for _ in names]
    numbers, ragged = [], []
    for row in reader:
        if len(row) == len(names):
            numbers.append(reader.line_num)
            for column, cell in zip(columns, row, strict=True):
                column.append(cell)
        elif row:
            ragged.append(f"line {reader.line_num}: {len(row)} cells")
    if ragged:
        raise BadData(f"Rows of {file} should have {len(names)} cells, as its header has:", ragged)
    return _Rows(dict(zip(names, columns, strict=True)), numbers, "line")


def _read_parquet(file: Path) -> _Rows:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise BadConfiguration(
            f"Reading {file} takes pyarrow: pip install 'keras_transfer[parquet]'"
        ) from error
    try:
        table = parquet.read_table(file)
    except ArrowException as error:
        raise BadData(f"{file} cannot be read as Parquet: {error}") from error
    names = _names(file, table.column_names)
    columns = {
        name: ["" if cell is None else str(cell) for cell in column.to_pylist()]
        for name, column in zip(names, table.columns, strict=True)
        if name in _KNOWN
    }
    return _Rows(columns, range(1, table.num_rows + 1), "row")


def _names(file: Path, header: Sequence[str]) -> list[str]:
    """Check the names of the columns, and write them our way."""
    names = [name.strip().lower() for name in header]
    for name in _REQUIRED:
        if name not in names:
            raise BadData(
                f"{file} should have the columns path and label, and may have split, group and "
                f"weight. {UnknownName('column', name, names)}"
            )
    if twice := [name for name in _KNOWN if names.count(name) > 1]:
        raise BadData(f"{file} has several columns called {twice[0]}.")
    return names


_READERS = Table(
    "ending of a table", {".csv": _read_text, ".tsv": _read_text, ".parquet": _read_parquet}
)

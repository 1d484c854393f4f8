"""Texts in tables: a row for each, or a folder with a table for each split."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_transfer.data.manifests import (
    _check_single,
    _classes,
    _converted,
    _label,
    _split,
    _weight,
)
from keras_transfer.data.samples import BOUNDARY, LABEL, SPLITS, CheckResult, Judge, Samples
from keras_transfer.data.split_names import SPLIT_WORDS
from keras_transfer.data.table_files import TableRows
from keras_transfer.data.text_tables import TABLES, first_row, has_header, read_rows
from keras_transfer.errors import BadData

__all__ = [
    "Text",
    "Texts",
    "has_labels",
    "holds_texts",
    "read_columns",
    "read_texts",
    "table_samples",
]

logger = logging.getLogger("keras_transfer")

Text = str | tuple[str, ...]
"""A text, or several that belong together."""


class Texts:
    """A store of texts, or of pairs of texts, that lie in memory.

    Args:
        texts: The texts, by row number; strings, or tuples of equal length.
    """

    def __init__(self, texts: Sequence[Text]):
        self.texts = texts

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Give texts inside a graph: () or (batch,) int64 row numbers to as many UTF-8 strings.

        Of pairs (2,) or (batch, 2) strings.
        """
        return tf.gather(self._tensor, row)

    def raw(self, rows: np.ndarray) -> list[Any]:
        """Texts, or tuples of them, by their row numbers, (n,) int."""
        return [self.texts[row] for row in rows]

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Have text number ``row`` judged; the texts of a pair are joined by ``BOUNDARY``."""
        return judge(BOUNDARY.join(_encoded(self.texts[row])), "")

    def stamp(self, row: int) -> None:
        """Say that looking again costs nothing."""

    @cached_property
    def _tensor(self) -> tf.Tensor:
        # Made outside of any graph, so that graphs capture it instead of holding a copy.
        with tf.init_scope(), tf.device("CPU"):
            encoded = tf.constant([one for text in self.texts for one in _encoded(text)], tf.string)
            pairs = bool(self.texts) and isinstance(self.texts[0], tuple)
            return tf.reshape(encoded, (-1, 2)) if pairs else encoded


def _encoded(text: Text) -> list[bytes]:
    return [one.encode() for one in (text if isinstance(text, tuple) else (text,))]


class _Table(NamedTuple):
    """The cells of a file by column, and the split that its name stands for, or ""."""

    file: Path
    rows: TableRows
    split: str


def read_texts(
    path: Path,
    columns: Sequence[str] = ("text",),
    known: Collection[str] = (),
    cells: Collection[str] = (),
    label: str = LABEL,
) -> Samples:
    """Read texts and their labels.

    Args:
        path: A ``.csv``, ``.tsv`` or ``.jsonl`` file in UTF-8, or a ``.parquet``, with names: the
            columns of texts, ``label``, and where wanted ``split`` (train, val, dev, test, ... or
            empty), ``group`` and ``weight``, as in a manifest of images. A ``.tsv`` may instead
            have no header and two columns, text and label. Or a folder with such files, called
            train, val (or dev, valid, validation) and test. In a ``.tsv``, quotes are characters
            like others, unless all of them are written as a spreadsheet writes them.
        columns: Names of the columns of texts: one, or two whose texts are pairs.
        known: Class names of a trained model, if any; then one class is enough.
        cells: Names of columns to be read as text cells instead of ``label``.
        label: Name of the column of labels.

    Returns:
        Samples with a ``Texts`` store, keys such as "train.tsv:12" (file and line), in the order
        of the files within each split. The splits are "" where a folder has train alone.

    Raises:
        BadData: A file or a row cannot be used; lists the rows.
        UnknownName: The file has another ending.
    """
    files = _split_files(path) if path.is_dir() else {"": path}
    targets = tuple(cells) or (label,)
    tables = [_Table(f, read_rows(f, columns, targets), split) for split, f in files.items()]
    return _samples(path, tables, columns, known, cells, label)


def table_samples(
    file: Path,
    rows: TableRows,
    columns: Sequence[str] = ("text",),
    known: Collection[str] = (),
    cells: Collection[str] = (),
    label: str = LABEL,
) -> Samples:
    """The samples of a single table of texts, wherever its rows come from; see ``read_texts``."""
    return _samples(file, [_Table(file, rows, "")], columns, known, cells, label)


def _samples(
    path: Path,
    tables: Sequence[_Table],
    columns: Sequence[str],
    known: Collection[str],
    cells: Collection[str],
    label: str,
) -> Samples:
    for table in tables:
        _check_single(table.file, table.rows)
    splits = _splits(tables)
    if cells:
        labels, classes = [""] * len(splits), [""]
    else:
        labels = _cells(tables, label.lower(), _label, "have no label")
        classes = _classes(path, labels, splits, 1 if known else 2)
    number = {name: i for i, name in enumerate(classes)}
    store: Any = Texts([text for table in tables for text in _texts(table.rows, columns)])
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


def read_columns(
    file: Path, columns: Sequence[str] = ("text",)
) -> tuple[list[str], Sequence[Text]]:
    """Read texts that need no labels.

    Args:
        file: A table as for ``read_texts``, with names of columns.
        columns: Names of the columns of texts.

    Returns:
        A name for each text, such as "reviews.csv:12" (file and line), and the texts.

    Raises:
        BadData: The file or a row cannot be used.
    """
    rows = read_rows(file, columns, ())
    return [f"{file.name}:{line}" for line in rows.numbers], _texts(rows, columns)


def _texts(rows: TableRows, columns: Sequence[str]) -> list[Any]:
    """The cells of one column, or tuples of those of several."""
    cells = [rows.columns[column.lower()] for column in columns]
    return [*cells[0]] if len(cells) == 1 else [*zip(*cells, strict=True)]


def holds_texts(path: Path, columns: Sequence[str] = ("text",)) -> bool:
    """Whether ``read_texts`` rather than a reader of images is meant.

    True for a folder with a table called train, and for a table with the columns of texts, or
    with one column of texts and without header.
    """
    if path.is_dir():
        return any(_stem(file) == "train" for file in _tables(path))
    if path.suffix.lower() not in TABLES:
        return False
    names = first_row(path)
    two = path.suffix.lower() == ".tsv" and len(names) == 2 and LABEL not in names
    return has_header(names, columns) or (two and len(columns) == 1)


def has_labels(path: Path, columns: Sequence[str] = ("text",), label: str = LABEL) -> bool:
    """Whether a table of texts has labels; one without header has them."""
    names = first_row(path)
    return label.lower() in names or (not has_header(names, columns) and holds_texts(path, columns))


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
            f"{folder} should hold train.tsv (or .csv, .jsonl, .parquet), and may hold val.tsv or "
            f"dev.tsv and test.tsv; found {listed}."
        )
    for split, files in by_split.items():
        if len(files) > 1:
            names = " and ".join(file.name for file in files)
            raise BadData(f"{folder} has several files for {split}: {names}. Keep one of them.")
    if ignored := [file.name for file in tables if not _stem(file)]:
        logger.warning("Ignored tables in %s named for no split: %s", folder, ", ".join(ignored))
    return {split: files[0] for split, files in by_split.items() if files}

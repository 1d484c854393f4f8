"""Images listed in a table: a .csv, .tsv, .jsonl or .parquet file with a row for each."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from keras_transfer.data.class_names import is_missing
from keras_transfer.data.columns import check_columns, check_unused
from keras_transfer.data.files import Files
from keras_transfer.data.samples import LABEL, SPLITS, Samples
from keras_transfer.data.split_names import SPLIT_WORDS, check_known, split_of
from keras_transfer.data.table_files import TableRows, read_table
from keras_transfer.errors import BadData

__all__ = ["manifest_samples", "read_manifest"]

logger = logging.getLogger("keras_transfer")

Value = TypeVar("Value")


def read_manifest(
    file: Path, known: Collection[str] = (), cells: Collection[str] = (), label: str = LABEL
) -> Samples:
    """Read a table of images.

    Columns: ``path`` (relative to the table's folder, or absolute) and ``label``; where wanted
    ``split`` (train, val, valid, validation, dev, test, or empty where it is to be decided),
    ``group`` (images of one group stay on one side of a split; none where empty or NaN) and
    ``weight`` (in the loss, 1 where empty). Others are ignored and named in the log, but for those
    that seem to be meant for one of these. Text is UTF-8, separated by comma, semicolon or tab.

    Args:
        file: The table.
        known: Class names of a trained model, if any; then one class is enough.
        cells: Names of columns to be read as text instead of ``label``.
        label: Name of the column of labels.

    Returns:
        Samples with paths as keys and classes sorted by name, or with ``cells`` and one class.

    Raises:
        BadData: The table or one of its rows cannot be used; lists the rows.
        BadConfiguration: The file is a .parquet, and pyarrow is not installed.
        UnknownName: The file has another suffix.
    """
    return manifest_samples(file, partial(read_table, file), known, cells, label)


def manifest_samples(
    file: Path,
    read: Callable[[Callable[[Path, Sequence[str]], None]], TableRows],
    known: Collection[str] = (),
    cells: Collection[str] = (),
    label: str = LABEL,
) -> Samples:
    """The samples of a table, wherever its rows come from; see ``read_manifest``.

    Args:
        file: Name of the table, for messages; paths are relative to its folder.
        read: Reads the rows, once the check that it is given has passed the names of the columns.
        known: As for ``read_manifest``.
        cells: As for ``read_manifest``.
        label: As for ``read_manifest``.
    """
    wanted = {name: name.strip().lower() for name in cells}
    required = ("path", *(wanted.values() or (label.strip().lower(),)))
    rows = _labelled(read(partial(check_columns, required=required)), label)
    if not rows.numbers:
        raise BadData(f"{file} has no rows below its header.")
    check_unused(file, rows.columns, tuple(wanted.values()))
    root = os.fspath(file.parent)

    def column(name: str, convert: Callable[[str], Value], wrong: str = "") -> list[Value]:
        return _converted(rows, name, convert, f"rows of {file} {wrong}")

    _check_single(file, rows)
    labels = [""] * len(rows.numbers) if cells else column(LABEL, _label, "have no label")
    keys = column(
        "path",
        lambda cell: _path(root, cell),
        f"name no file (seen from {root}){_hint(root, rows)}",
    )
    splits = column("split", _split, f"have a split that is none of {', '.join(SPLIT_WORDS)}")
    weights = column("weight", _weight, "have a weight that is no number from 0 up")
    groups = column("group", _group)
    classes = [""] if cells else _classes(file, labels, splits, 1 if known else 2)
    numbers = {name: number for number, name in enumerate(classes)}
    columns: dict[str, Any] = {"splits": splits, "groups": groups, "weights": weights}
    columns["cells"] = {name: rows.columns[column] for name, column in wanted.items()}
    samples = Samples.of(Files(keys), classes, keys, [numbers[name] for name in labels], **columns)
    if "weight" in rows.columns:
        _report_weights(file, samples.weights)
    return samples.take(_order(splits, keys))


def _labelled(rows: TableRows, label: str) -> TableRows:
    """The table with its column of labels called so; another one of that name is not read."""
    own = label.strip().lower()
    if own == LABEL or own not in rows.columns:
        return rows
    others = {name: cells for name, cells in rows.columns.items() if name not in (own, LABEL)}
    return rows._replace(columns={**others, LABEL: rows.columns[own]})


def _converted(
    rows: TableRows, name: str, convert: Callable[[str], Value], wrong: str
) -> list[Value]:
    """Convert the cells of a column, empty where it is missing, or list those that cannot be."""
    values, offenders = [], []
    cells = rows.columns.get(name, repeat("", len(rows.numbers)))
    for cell, number in zip(cells, rows.numbers, strict=True):
        try:
            values.append(convert(cell))
        except ValueError:
            offenders.append(f"{rows.unit} {number}: {_shown(cell)}")
    if offenders:
        raise BadData(f"{len(offenders):,} of {len(rows.numbers):,} {wrong}:", offenders)
    return values


def _shown(cell: str) -> str:
    return repr(cell) if len(cell) <= 200 else f"{cell[:200]!r}... ({len(cell):,} characters)"


_LIST = r"""(['"].*['"]|[\d.,\s]*)\s*,?\s*"""
_SEVERAL = re.compile(rf"\[\s*{_LIST}\]|\((?=.*,)\s*{_LIST}\)|\{{.*:.*\}}", re.DOTALL)
"""A list, tuple or mapping, as Python, numpy and JSON write them."""


def _check_single(file: Path, rows: TableRows) -> None:
    """Refuse labels that are lists: the text of each list would become a class."""

    def single(cell: str) -> None:
        if _SEVERAL.fullmatch(cell.strip()):
            raise ValueError

    _converted(
        rows,
        "label",
        single,
        f"rows of {file} hold a list as label, where one name is expected; keep one label for "
        "each example",
    )


def _label(cell: str) -> str:
    if is_missing(cell):
        raise ValueError
    return cell.strip()


def _group(cell: str) -> str:
    return "" if is_missing(cell) else cell.strip()


def _path(root: str, cell: str) -> str:
    """The file of a cell, with the spaces around its name where it has any."""
    for name in (cell, cell.strip()):
        path = os.path.join(root, name)  # root is ignored where name is absolute
        if name and "\0" not in name and os.path.exists(path):
            return path
    raise ValueError


def _hint(root: str, rows: TableRows) -> str:
    """Likely cause of invalid paths: written on Windows, or on another machine."""
    cells = rows.columns["path"]
    windows = next((cell for cell in cells if "\\" in cell), None)
    if windows is None or os.sep == "\\" or os.path.exists(os.path.join(root, windows)):
        return ""
    if re.match(r"[A-Za-z]:|\\\\", windows.strip()):
        return ". They are paths of a Windows disk; write them from the folder of the table, with /"
    return ". They are separated by \\ as on Windows; write / instead"


def _split(cell: str) -> str:
    word = cell.strip()
    if word and not split_of(word):
        raise ValueError
    return split_of(word)


def _weight(cell: str) -> float:
    weight = float(cell.strip() or 1)
    if not (weight >= 0 and math.isfinite(weight)):  # float() reads nan too
        raise ValueError
    return weight


def _report_weights(file: Path, weights: np.ndarray) -> None:
    logger.info(
        "Weights of %s: %g to %g, mean %.3g; %s of %s images have weight 0",
        file,
        weights.min(),
        weights.max(),
        weights.mean(),
        f"{(weights == 0).sum():,}",
        f"{len(weights):,}",
    )


def _classes(file: Path, labels: list[str], splits: list[str], min_classes: int) -> list[str]:
    """Names of the classes: those that may be trained on, or all where no row says train."""
    by_split: dict[str, set[str]] = {split: set() for split in (*SPLITS, "")}
    # A set first: millions of rows have few different pairs.
    for label, split in set(zip(labels, splits, strict=True)):
        by_split[split].add(label)
    train = by_split["train"] | by_split.pop("")
    classes = sorted(train or set(labels))
    if len(classes) < min_classes:
        raise BadData(f"{file} has only one class, {classes[0]!r}; it takes two or more.")
    check_known(file, {**by_split, "train": classes})
    return classes


def _order(splits: list[str], keys: list[str]) -> np.ndarray:
    """(n,) int64: rows by split, and by path in each split."""
    ranks = {split: rank for rank, split in enumerate((*SPLITS, ""))}
    # The order of the rows in the table must not change what is drawn.
    return np.array(sorted(range(len(keys)), key=lambda i: (ranks[splits[i]], keys[i])))

"""``split.csv``: label, split, group and digest of each example."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.atomic import write_bytes, write_csv
from keras_transfer.csv_cells import read_cells, write_cells
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.runs.records import damaged

__all__ = [
    "RELABEL",
    "digests_by_path",
    "fingerprint",
    "keep_table",
    "read_digests",
    "read_rows",
    "read_train_counts",
    "write_bad_files",
    "write_split",
]

COLUMNS = ("path", "label", "split", "group", "digest")

RELABEL = "relabel.csv"
"""Copy of the table of corrected labels, in a run that was given one."""

OLD_HEADER = "path,label,part,group,digest"
"""That of version 1."""


def write_split(path: Path, samples: Samples) -> None:
    """Write the table of samples: path, label, split, group, digest of the content.

    Raises:
        BadData: The directory holds another table: the data have changed since the run began.
    """
    table, rows = io.StringIO(newline=""), [COLUMNS, *_rows_of(samples)]
    write_cells(table, rows)
    # A resumed run on other data would mix two data sets without any sign of it.
    if path.exists() and not _is_table(path, table.getvalue(), rows):
        raise BadData(
            f"The data are not those that the run in {path.parent} began with (see {path}); "
            "put them back, or start a new run without --resume."
        )
    write_bytes(path, table.getvalue().encode(errors="surrogateescape"))


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table by the names of their columns, in its order.

    Raises:
        BadData: It cannot be read, or is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            header, *rows = read_cells(file)
            table = [dict(zip(header, row, strict=True)) for row in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise damaged(path, error) from None
    columns = {"split" if name == "part" else name for name in header}  # of version 1
    if not columns >= set(COLUMNS):
        raise damaged(path, f"it lacks the column {min(set(COLUMNS) - columns)}")
    return [{"split" if key == "part" else key: row[key] for key in row} for row in table]


def read_train_counts(path: Path, classes: Sequence[str]) -> list[int]:
    """Examples of each class in the train split of a table."""
    labels = Counter(row["label"] for row in read_rows(path) if row["split"] == "train")
    return [labels[name] for name in classes]


def read_digests(path: Path, splits: Iterable[str]) -> set[str]:
    """Content digests of the examples in some splits of a table."""
    requested = set(splits)
    return {row["digest"] for row in read_rows(path) if row["split"] in requested}


def digests_by_path(path: Path) -> dict[str, str]:
    """Content digests of the examples of a table by path; none where there is no table."""
    return {row["path"]: row["digest"] for row in read_rows(path)} if path.is_file() else {}


def fingerprint(path: Path) -> dict[str, str]:
    """A hash that changes when the table does: examples, labels, splits or contents.

    Args:
        path: ``split.csv`` of a run; the table of its corrected labels has a hash of its own.
    """
    files = (path, path.with_name(RELABEL))
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file == path or file.exists()
    }


def keep_table(path: Path, source: Path) -> None:
    """Copy a table that a run was given into its folder.

    Raises:
        BadData: The folder has another one: it has changed since the run began.
    """
    content = source.read_bytes()
    if path.exists() and path.read_bytes() != content:
        raise BadData(
            f"{source} is not the table that the run in {path.parent} began with (see {path}); put "
            "it back, or start a new run without --resume."
        )
    write_bytes(path, content)


def write_bad_files(path: Path, samples: Samples, reasons: np.ndarray) -> None:
    """Write path and reason of each example that cannot be used; no file where there is none.

    Args:
        path: The file.
        samples: n examples.
        reasons: (n,) object array of str; "" where an example can be used.
    """
    bad = reasons != ""
    if bad.any():
        rows = zip(samples.keys[bad], reasons[bad], strict=True)
        write_csv(path, ("path", "reason"), rows, lineterminator="\r\n")


def _rows_of(samples: Samples) -> Iterator[tuple[Any, ...]]:
    names = np.asarray(samples.classes, object)[samples.labels]
    columns = (samples.keys, names, samples.splits, samples.groups, samples.digests)
    return zip(*columns, strict=True)


def _is_table(path: Path, text: str, rows: Iterable[Iterable[Any]]) -> bool:
    """Whether a file holds a table, as this version writes it or as earlier ones did."""
    found = _content(path)
    if found == text:
        return True
    plain = io.StringIO(newline="")
    csv.writer(plain).writerows(rows)
    return found == plain.getvalue()


def _content(path: Path) -> str:
    # Bytes: text mode would translate line ends inside quoted paths.
    text = path.read_bytes().decode(errors="surrogateescape")
    return text.replace(OLD_HEADER, ",".join(COLUMNS), 1)

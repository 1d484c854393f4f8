"""The file of predictions, from which all metrics can be recomputed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_transfer.atomic import write_csv
from keras_transfer.csv_cells import read_cells
from keras_transfer.errors import BadData

__all__ = [
    "PREFIX",
    "UNKNOWN",
    "Predictions",
    "read_predictions",
    "read_rows",
    "write_curves",
    "write_predictions",
    "write_rows",
]

UNKNOWN = -1
FIRST = ["path", "true", "predicted"]
# A class may be called "path", but none of its columns is.
PREFIX = "p:"


class Predictions(NamedTuple):
    """Predictions of a model for n examples.

    Attributes:
        keys: (n,) object array of str: path or record name of each image.
        true: (n,) int32, index into ``classes``; -1 (``UNKNOWN``) where it is not known.
        probabilities: (n, classes) float64.
        classes: Class names in label order.
        decided: (n,) int32, the classes that were answered.
    """

    keys: np.ndarray
    true: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]
    decided: np.ndarray


def write_predictions(
    path: str | Path,
    keys: Iterable[str],
    true: np.ndarray | None,
    probabilities: np.ndarray,
    classes: Sequence[str],
    decided: np.ndarray | None = None,
) -> None:
    """Write a row for each example: path, true class, predicted class, all probabilities.

    The columns are ``path,true,predicted`` and ``p:NAME`` for each class. Probabilities keep
    all their digits, so metrics computed from the file equal those from the arrays. The file is
    written atomically.

    Args:
        path: File to write, CSV in UTF-8; an old one is replaced.
        keys: Path or record name of each of n examples.
        true: (n,) int, index into ``classes``; None, or -1 for one example, where it is not known.
        probabilities: (n, classes) float.
        classes: Class names in label order.
        decided: (n,) int, the predicted classes; None: the most probable ones.
    """
    path = Path(path)
    names = np.array([*classes, ""], object)  # [-1]: not known
    labels = np.full(len(probabilities), UNKNOWN) if true is None else np.asarray(true)
    said = np.argmax(probabilities, axis=1) if decided is None else decided
    rows = zip(keys, names[labels], names[said], probabilities, strict=True)
    header = [*FIRST, *(PREFIX + name for name in classes)]
    write_rows(path, header, ([*texts, *np.asarray(row, float).tolist()] for *texts, row in rows))


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str | float]]) -> None:
    """Write a CSV file in UTF-8, atomically.

    Args:
        path: File to write; an old one is replaced.
        header: Names of the columns.
        rows: Texts, which are quoted, and numbers, which keep all their digits.
    """
    # Texts are quoted: a name may hold a line break.
    write_csv(path, header, rows, quoting=csv.QUOTE_NONNUMERIC)


def read_predictions(path: str | Path) -> Predictions:
    """Read what :func:`write_predictions` wrote.

    Raises:
        BadData: The file is not there, is no file of predictions, or has rows that are not.
    """
    header, rows = read_rows(path)
    return _parse(Path(path), rows, _classes(Path(path), header))


def read_rows(path: str | Path) -> tuple[list[str], list[list[str]]]:
    """Read the header and the rows of a CSV file as :func:`write_rows` writes it.

    Raises:
        BadData: There is no such file, or it is no CSV in UTF-8.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            # An empty file has no header either.
            header, *rows = read_cells(file) or [[]]
            return header, rows
    except (OSError, UnicodeError, csv.Error) as error:
        raise BadData(f"{path} cannot be read as a file of predictions: {error}.") from None


def _classes(path: Path, header: list[str]) -> tuple[str, ...]:
    columns = header[len(FIRST) :]
    if header[: len(FIRST)] != FIRST or not all(name.startswith(PREFIX) for name in columns):
        raise BadData(
            f"{path} is no file of predictions: its columns should be "
            f"{', '.join(FIRST)} and {PREFIX}NAME for each class; found {', '.join(header[:6])}."
        )
    return tuple(name.removeprefix(PREFIX) for name in columns)


def _parse(path: Path, rows: Iterable[list[str]], classes: tuple[str, ...]) -> Predictions:
    places = {name: index for index, name in enumerate(classes)}
    label = {"": UNKNOWN} | places
    keys, true, probabilities, decided, wrong = [], [], [], [], []
    for number, row in enumerate(rows, start=1):
        try:
            key, name, said, *numbers = row
            # Shape and label first, so that an invalid row adds nothing.
            chances, known = np.array(numbers, float).reshape(len(classes)), label[name]
            answer = places[said]
        except (KeyError, ValueError):
            wrong.append(f"row {number}: {','.join(row)[:80]}")
            continue
        keys.append(key)
        true.append(known)
        probabilities.append(chances)
        decided.append(answer)
    if wrong:
        raise BadData(f"{path} has rows that are no predictions over its classes:", wrong)
    return Predictions(
        np.array(keys, object),
        np.array(true, "int32"),
        np.array(probabilities).reshape(-1, len(classes)),
        classes,
        np.array(decided, "int32"),
    )


def write_curves(path: Path, points: Iterable[tuple[str, float, float, float]]) -> None:
    """Write precision-recall curves atomically, one row per point.

    Args:
        path: File to write, CSV in UTF-8; an old one is replaced.
        points: As ``metrics.precision_recall_curves`` gives them.
    """
    header = ["class", "threshold", "precision", "recall"]
    write_csv(path, header, points, lineterminator="\r\n")

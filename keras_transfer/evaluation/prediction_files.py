r"""Files of predictions for several labels and for regressions.

Several labels: ``path,true,predicted`` and ``p:NAME`` for each label. Sets of labels are joined by
``|``, in label order; in a name ``|`` and the backslash have a backslash before them. An empty
cell is the empty set, ``?`` is a set that is not known; a label called ``?`` is written ``\?``.

Regression: ``path`` and for each target ``true:NAME`` (empty where not known), ``predicted:NAME``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadData
from keras_transfer.evaluation.checks import known_rows
from keras_transfer.evaluation.predictions import (
    PREFIX,
    read_predictions,
    read_rows,
    write_rows,
)

__all__ = [
    "FILES",
    "PREDICTED",
    "TRUE",
    "Predicted",
    "prediction_file",
    "read_class_predictions",
    "read_label_predictions",
    "read_value_predictions",
    "write_label_predictions",
    "write_value_predictions",
]

FILES = {"val": "predictions_val", "test": "predictions"}
"""Stems of the files of predictions in a run folder, by split."""

LABEL_COLUMNS = ["path", "true", "predicted"]
NOT_KNOWN = "?"
# DOTALL: a name may hold a line break.
NAME = re.compile(r"(?:[^|\\]|\\.)+", re.DOTALL)
JOINED = re.compile(rf"{NAME.pattern}(?:\|{NAME.pattern})*", re.DOTALL)
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
TRUE, PREDICTED = "true:", "predicted:"


class Predicted(NamedTuple):
    """Predictions of a network for n examples, for any objective.

    Attributes:
        keys: (n,) object array of str: path or record name of each example.
        true: True values: (n,) int32 class, -1 where not known; or (n, units) float64, NaN where
            not known.
        scores: (n, units) float64 probabilities, or predicted values of a regression.
        decided: Decisions from the scores: (n,) int class; (n, labels) bool; or the scores.
        names: Names of the units: classes, labels or targets.
    """

    keys: np.ndarray
    true: np.ndarray
    scores: np.ndarray
    decided: np.ndarray
    names: tuple[str, ...]


def prediction_file(split: str, output: str) -> str:
    """Name of the file in a run folder with the predictions of an output."""
    return f"{FILES[split]}.csv" if output == LABEL else f"{FILES[split]}_{output}.csv"


def write_label_predictions(
    path: str | Path,
    keys: Iterable[str],
    true: np.ndarray | None,
    scores: np.ndarray,
    decided: np.ndarray,
    labels: Sequence[str],
) -> None:
    """Write a row for each example: path, true and predicted labels, all probabilities.

    Args:
        path: File to write, CSV in UTF-8; an old one is replaced, by a complete file only.
        keys: Path or record name of each of n examples.
        true: (n, labels) 0 or 1, NaN where not known; None where no example is known.
        scores: (n, labels) float.
        decided: (n, labels) bool.
        labels: Names of the labels.

    Raises:
        BadData: A label has an empty name or occurs twice.
    """
    _check_names("label", labels)
    truth = np.full(np.shape(scores), np.nan) if true is None else np.asarray(true, float)
    known = known_rows(truth)
    sets = ((_joined(row, labels) if k else NOT_KNOWN) for row, k in zip(truth, known, strict=True))
    rows = zip(keys, sets, decided, np.asarray(scores, float).tolist(), strict=True)
    write_rows(
        Path(path),
        [*LABEL_COLUMNS, *(PREFIX + name for name in labels)],
        ([key, text, _joined(chosen, labels), *row] for key, text, chosen, row in rows),
    )


def _check_names(unit: str, names: Sequence[str]) -> None:
    if "" in names or len(set(names)) < len(names):
        raise BadData(f"Each {unit} should have a unique, non-empty name; found {list(names)}.")


def _joined(row: np.ndarray, labels: Sequence[str]) -> str:
    chosen = [re.sub(r"([|\\])", r"\\\1", labels[i]) for i in np.flatnonzero(row).tolist()]
    text = "|".join(chosen)
    return rf"\{text}" if text == NOT_KNOWN else text


def _parsed_set(text: str, index: dict[str, int]) -> np.ndarray:
    row = np.zeros(len(index))
    if text == NOT_KNOWN:
        return np.full(len(index), np.nan)
    # findall would skip over what it cannot read.
    if text and not JOINED.fullmatch(text):
        raise ValueError
    for name in NAME.findall(text):
        row[index[ESCAPED.sub(r"\1", name)]] = 1
    return row


def read_label_predictions(path: str | Path) -> Predicted:
    """Read what :func:`write_label_predictions` wrote.

    Raises:
        BadData: The file is not there, is no file of label predictions, or has rows that are not.
    """
    header, rows = read_rows(path)
    columns = header[len(LABEL_COLUMNS) :]
    if header[: len(LABEL_COLUMNS)] != LABEL_COLUMNS or not _all_start(columns, PREFIX):
        expected = f"{', '.join(LABEL_COLUMNS)} and {PREFIX}NAME for each label"
        raise BadData(_other(path, expected, header))
    labels = tuple(name.removeprefix(PREFIX) for name in columns)
    index = {name: index for index, name in enumerate(labels)}

    def parse(row: list[str]) -> tuple[str, np.ndarray]:
        key, true, decided, *scores = row
        chances = np.array(scores, float).reshape(len(labels))
        return key, np.array([_parsed_set(true, index), chances, _parsed_set(decided, index)])

    keys, values = _parsed(path, rows, parse)
    true, scores, decided = np.moveaxis(values.reshape(-1, 3, len(labels)), 1, 0)
    return Predicted(keys, true, scores, decided > 0, labels)


def write_value_predictions(
    path: str | Path,
    keys: Iterable[str],
    true: np.ndarray | None,
    predicted: np.ndarray,
    targets: Sequence[str],
) -> None:
    """Write a row for each example: path, and the true and predicted value of each target.

    Args:
        path: File to write, CSV in UTF-8; an old one is replaced, by a complete file only.
        keys: Path or record name of each of n examples.
        true: (n, targets) float, NaN where not known; None where no example is known.
        predicted: (n, targets) float.
        targets: Names of the targets.

    Raises:
        BadData: A target has an empty name or occurs twice.
    """
    _check_names("target", targets)
    truth = np.full(np.shape(predicted), np.nan) if true is None else np.asarray(true, float)
    rows = zip(keys, truth.tolist(), np.asarray(predicted, float).tolist(), strict=True)
    write_rows(
        Path(path),
        ["path", *(prefix + name for name in targets for prefix in (TRUE, PREDICTED))],
        ([key, *_interleaved(*values)] for key, *values in rows),
    )


def _interleaved(true: list[float], predicted: list[float]) -> list[str | float]:
    pairs = zip(true, predicted, strict=True)
    return [value for t, p in pairs for value in ("" if np.isnan(t) else t, p)]


def read_value_predictions(path: str | Path) -> Predicted:
    """Read what :func:`write_value_predictions` wrote.

    Raises:
        BadData: The file is not there, is no file of predicted values, or has rows that are not.
    """
    header, rows = read_rows(path)
    columns = header[1::2], header[2::2]
    targets = tuple(name.removeprefix(TRUE) for name in columns[0])
    fits = _all_start(columns[0], TRUE) and columns[1] == [PREDICTED + name for name in targets]
    if header[:1] != ["path"] or not targets or not fits:
        expected = f"path, and {TRUE}NAME and {PREDICTED}NAME for each target"
        raise BadData(_other(path, expected, header))

    def parse(row: list[str]) -> tuple[str, np.ndarray]:
        key, *cells = row
        # Only a true value may be empty; float("") makes the row a wrong one.
        values = [float(cell) if cell or i % 2 else np.nan for i, cell in enumerate(cells)]
        return key, np.array(values).reshape(len(targets), 2)

    keys, numbers = _parsed(path, rows, parse)
    true, predicted = np.moveaxis(numbers.reshape(-1, len(targets), 2), 2, 0)
    return Predicted(keys, true, predicted, predicted, targets)


def read_class_predictions(path: str | Path) -> Predicted:
    """Read what :func:`predictions.write_predictions` wrote.

    Raises:
        BadData: As ``read_predictions`` does.
    """
    keys, true, probabilities, classes, decided = read_predictions(path)
    return Predicted(keys, true, probabilities, decided, classes)


def _all_start(names: Sequence[str], prefix: str) -> bool:
    return all(name.startswith(prefix) for name in names)


def _other(path: str | Path, expected: str, header: Sequence[str]) -> str:
    return (
        f"{path} is no file of predictions of this objective: its columns should be {expected}; "
        f"found {', '.join(header[:6])}."
    )


def _parsed(
    path: str | Path,
    rows: Iterable[list[str]],
    parse: Callable[[list[str]], tuple[str, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Keys and numbers of all rows; BadData lists the rows that cannot be parsed."""
    # All wrong rows are collected, so that a file is mended in one go.
    keys, values, wrong = [], [], []
    for number, row in enumerate(rows, start=1):
        try:
            key, value = parse(row)
        except (KeyError, ValueError):
            wrong.append(f"row {number}: {','.join(row)[:80]}")
        else:
            keys.append(key)
            values.append(value)
    if wrong:
        raise BadData(f"{path} has rows that are no predictions over its columns:", wrong)
    return np.array(keys, object), np.array(values, float)

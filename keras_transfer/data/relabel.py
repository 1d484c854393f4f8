"""Corrected labels from a table that a user has edited: ``relabel.csv``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_transfer.csv_cells import original
from keras_transfer.data.class_names import is_missing
from keras_transfer.data.samples import SPLITS, Samples
from keras_transfer.data.similar_keys import refuse_missing
from keras_transfer.data.sources import TABLES
from keras_transfer.data.split_names import split_of
from keras_transfer.data.table_files import read_table
from keras_transfer.errors import BadConfiguration, BadData, UnknownName

__all__ = ["COLUMNS", "Corrections", "corrected", "read_corrections"]

COLUMNS = ("path", "split", "label", "new_label")
"""What is read; other columns, such as ranks, are for people."""

logger = logging.getLogger("keras_transfer")


class Corrections(NamedTuple):
    """New labels of some examples.

    Attributes:
        file: The table.
        labels: New label by key, an index into the classes.
        test: Keys of examples for which the table says that they are in the test split.
    """

    file: Path
    labels: Mapping[str, int]
    test: frozenset[str]


def read_corrections(file: Path, samples: Samples) -> Corrections:
    """Read a table of corrected labels, and compare it with the data.

    Columns: ``path``, ``label`` (as it is in the data) and ``new_label`` (nothing is changed where
    it is empty); ``split`` says "test" where the label of a test example may be changed.

    Args:
        file: The table, as ``read_table`` takes it.
        samples: All examples, before any of them is left out.

    Raises:
        BadConfiguration: It is no .csv or .tsv.
        BadData: The table cannot be read, names an example or a class that the data do not have,
            gives one two labels, or was made for other labels; lists the lines.
    """
    if file.suffix.lower() not in TABLES:
        raise BadConfiguration(f"relabel = {file}: corrections are a table that ends in .csv.")
    table = read_table(file, _check_columns)
    splits = table.columns.get("split", [""] * len(table.numbers))
    columns = (splits, *(table.columns[name] for name in ("path", "label", "new_label")))
    reading = _Reading(samples, table.unit)
    for number, split, path, label, new in zip(table.numbers, *columns, strict=True):
        if not is_missing(new):
            reading.add(number, path, label, new, split_of(split.strip()) == "test")
    reading.refuse(file)
    return Corrections(file, reading.labels, frozenset(reading.test))


def corrected(samples: Samples, corrections: Corrections) -> Samples:
    """Change labels; the splits stay as they are.

    A test example keeps its label unless the table says "test" of it: metrics would be measured by
    the suggestions of a model.

    Args:
        samples: With splits. Examples of the table that are not among them, such as those that
            ``limit`` left out, do not count.
        corrections: As ``read_corrections`` returns them.

    Raises:
        BadData: A class has no training examples left.
    """
    labels, changed, kept = samples.labels.copy(), Counter[str](), 0
    for place, (key, split) in enumerate(zip(samples.keys, samples.splits, strict=True)):
        new = corrections.labels.get(key)
        if new is None or new == labels[place]:
            continue
        if split == "test" and key not in corrections.test:
            kept += 1
            continue
        labels[place] = new
        changed[split] += 1
    result = replace(samples, labels=labels)
    _check_classes(samples, result, corrections.file)
    counts = ", ".join(f"{changed[name]:,} {name}" for name in SPLITS if changed[name])
    logger.info("Labels changed by %s: %s", corrections.file, counts or "none")
    if kept:
        logger.warning(
            "Warning: %s test examples keep their labels: %s does not say test in the column split "
            "of them.",
            f"{kept:,}",
            corrections.file,
        )
    return result


class _Reading:
    """The corrections of a table so far, and the lines that cannot be used.

    Args:
        samples: All examples.
        unit: Of the table's numbers.
    """

    def __init__(self, samples: Samples, unit: str):
        self.samples, self.unit = samples, unit
        self.places: dict[str, list[int]] = {}  # a manifest may list a path twice
        for place, key in enumerate(samples.keys):
            self.places.setdefault(key, []).append(place)
        self.numbers = {name: number for number, name in enumerate(samples.classes)}
        self.labels: dict[str, int] = {}
        self.test: set[str] = set()
        self.missing: list[tuple[int, str]] = []
        self.wrong: list[str] = []

    def add(self, number: int, path: str, label: str, new: str, test: bool) -> None:
        """Take a row, or note why it cannot be taken."""
        key, name = _known(path, self.places), _known(new, self.numbers)
        if key is None:
            self.missing.append((number, original(path)))
        elif problem := self._problem(key, label, new, name):
            self.wrong.append(f"{self.unit} {number}: {problem}")
        elif name is not None:
            self.labels[key] = self.numbers[name]
            if test:
                self.test.add(key)

    def _problem(self, key: str, label: str, new: str, name: str | None) -> str:
        if name is None:
            return str(UnknownName("class", original(new).strip(), self.samples.classes))
        if self.labels.get(key, self.numbers[name]) != self.numbers[name]:
            return f"{key} has two new labels"
        labels = self.samples.labels[self.places[key]]
        now = {self.samples.classes[label] for label in labels}
        # A table of other data, or of an earlier state of these; a label that has been mended in
        # the data too is none of them.
        if now & {_known(label, self.numbers), name}:
            return ""
        shown = " and ".join(map(repr, sorted(now)))
        return f"{key} has the label {shown} in the data, and {original(label)!r} in the table"

    def refuse(self, file: Path) -> None:
        """Raise if a row cannot be used."""
        refuse_missing(file, self.unit, self.missing, self.samples.keys)
        if self.wrong:
            raise BadData(f"{file} cannot be used; mend or remove these rows:", self.wrong)


def _check_columns(file: Path, names: Sequence[str]) -> None:
    for name in COLUMNS:
        if names.count(name) > 1:
            raise BadData(f"{file} has several columns called {name}.")
        if name != "split" and name not in names:
            raise BadData(
                f"{file} should have the columns path, label and new_label. "
                f"{UnknownName('column', name, names)}"
            )


def _known(cell: str, names: Collection[str]) -> str | None:
    """The name that a cell holds, as it was written or as an editor may have changed it."""
    return next((name for name in (original(cell), cell, cell.strip()) if name in names), None)


def _check_classes(before: Samples, after: Samples, file: Path) -> None:
    for split in ("train", "val"):
        counts = (table.split(split).counts() for table in (before, after))
        emptied = np.flatnonzero(np.greater(*((count > 0) for count in counts)))
        if len(emptied):
            names = ", ".join(repr(before.classes[label]) for label in emptied)
            raise BadData(
                f"{file} leaves no example of {names} in the {split} split. Remove some of its "
                "rows, or leave the class out by --set data.classes."
            )

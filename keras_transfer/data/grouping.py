"""Groups of examples from a table beside the data: ``groups.csv``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_transfer.csv_cells import original
from keras_transfer.data.class_names import is_missing
from keras_transfer.data.copies import related
from keras_transfer.data.samples import Samples
from keras_transfer.data.similar_keys import refuse_missing
from keras_transfer.data.sources import TABLES
from keras_transfer.data.table_files import read_table
from keras_transfer.errors import BadConfiguration, BadData, UnknownName

__all__ = ["grouped", "joined"]

logger = logging.getLogger("keras_transfer")


def grouped(samples: Samples, file: Path) -> Samples:
    """Join groups of a table with those that the data have.

    Two groups that share an example become one: examples that are linked, directly or over others,
    stay on one side of a split.

    Args:
        samples: All examples, before any of them is left out.
        file: A .csv or .tsv with the columns ``path`` and ``group``; an empty group is none.

    Returns:
        The examples with other groups.

    Raises:
        BadConfiguration: It is no .csv or .tsv.
        BadData: The table cannot be read, names an example that the data do not have, or gives
            one two groups.
    """
    if file.suffix.lower() not in TABLES:
        raise BadConfiguration(f"groups = {file}: groups are a table that ends in .csv.")
    table = read_table(file, _check_columns)
    places: dict[str, list[int]] = {}  # a manifest may list a path twice
    for place, key in enumerate(samples.keys):
        places.setdefault(key, []).append(place)
    groups, missing = np.full(len(samples), "", object), []
    for number, *cells in zip(
        table.numbers, table.columns["path"], table.columns["group"], strict=True
    ):
        path, group = map(original, cells)
        found, group = places.get(path, places.get(path.strip())), group.strip()
        if is_missing(group):
            continue
        if found is None:
            missing.append((number, path))
        elif groups[found[0]] not in ("", group):
            raise BadData(f"{file} has two groups of {path}, see {table.unit} {number}.")
        else:
            groups[found] = group
    refuse_missing(file, table.unit, missing, samples.keys)
    return replace(samples, groups=joined(samples.groups, groups))


def joined(own: np.ndarray, more: np.ndarray) -> np.ndarray:
    """One name for each connected family of two sorts of groups.

    Args:
        own: (n,) object array of names, empty for no group; a family has one of these if it can.
        more: The same.

    Returns:
        (n,) object array.
    """
    families = related(own, more)
    names: dict[int, str] = {}
    for column in (own, more):
        for family, name in zip(families, column, strict=True):
            if name:
                names.setdefault(family, name)
    return np.array([names.get(family, "") for family in families], object)


def _check_columns(file: Path, names: Sequence[str]) -> None:
    for name in ("path", "group"):
        if names.count(name) != 1:
            raise BadData(
                f"{file} should have the columns path and group, each once. "
                f"{UnknownName('column', name, names) if name not in names else ''}"
            )

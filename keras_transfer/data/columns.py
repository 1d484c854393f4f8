"""The columns of a table of images: which are read, and which seem to be meant for these."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from keras_transfer.data.samples import LABEL
from keras_transfer.data.split_names import split_of
from keras_transfer.data.table_files import COLUMNS
from keras_transfer.errors import BadData, UnknownName

__all__ = ["check_columns", "check_unused"]

logger = logging.getLogger("keras_transfer")

REQUIRED = ("path", "label")

_MEANT = {
    "path": {"file", "filename", "file_name", "filepath", "image", "image_path", "img"},
    "label": {"class", "class_name", "category", "target", "y"},
    "split": {"set", "subset", "partition"},
    "group": {"groupid", "group_name"},
    "weight": {"sample_weight", "sample_weights"},
}
"""Other words for a column."""

_OTHERS = {"height"}
"""Names like that of a column, that mean something else."""

_NEAR = 0.75  # of difflib's ratio: "group_id" is near "group", "age_group" is not


def check_columns(file: Path, names: Sequence[str], required: Sequence[str] = REQUIRED) -> None:
    """Refuse a table without path or label, or with two columns of one name.

    Args:
        file: The table, for messages.
        names: The names of its columns in lower case.
        required: Columns that it needs.

    Raises:
        BadData: Says which column is missing or there twice; suggests near misses.
    """
    for name in required:
        if name not in names:
            meant = next((other for other in names if other in _MEANT.get(name, ())), None)
            cure = UnknownName("column", name, names)
            raise BadData(
                f"{file} should have the columns {' and '.join(required)}, and may have split, "
                "group and weight. "
                + (f"Rename the column {meant!r} to {name!r}." if meant else str(cure))
            )
    # A dict of columns would silently keep the last one.
    if twice := [name for name in COLUMNS if names.count(name) > 1]:
        raise BadData(f"{file} has several columns called {twice[0]}.")


def check_unused(
    file: Path, columns: Mapping[str, Sequence[str]], read: Collection[str] = ()
) -> None:
    """Refuse columns that seem to be misspellings of a missing one; log the other unread ones.

    A column is meant for ``split`` if its cells are names of splits, whatever it is called.

    Args:
        file: The table, for messages.
        columns: The cells of each column by its name in lower case.
        read: Columns that hold targets.

    Raises:
        BadData: Such a column would be ignored.
    """
    known = [name for name in COLUMNS if name != LABEL] if read else COLUMNS
    unread = [name for name in columns if name not in (*known, *read)]
    missing = [name for name in known if name not in columns]
    for name in unread:
        meant = _near(name, missing)
        if not meant and "split" in missing and _holds_splits(columns[name]):
            meant = "split"
        if meant:
            raise BadData(
                f"{file} has a column {name!r}, which is not read, and none called {meant!r}. "
                f"Rename it to {meant!r} if that is what it holds; if not, rename or remove it."
            )
    if unread:
        shown = ", ".join(name or "(without a name)" for name in unread)
        logger.info(
            "Ignored columns of %s: %s; read are %s", file, shown, ", ".join((*known, *read))
        )


def _near(name: str, missing: Sequence[str]) -> str:
    if name in _OTHERS:
        return ""
    for column in missing:
        if name in _MEANT[column] or SequenceMatcher(None, name, column).ratio() >= _NEAR:
            return column
    return ""


def _holds_splits(cells: Sequence[str]) -> bool:
    # A set first: a table of a million rows has few different splits.
    values = {cell.strip() for cell in set(cells)} - {""}
    return len(values) > 1 and all(map(split_of, values))

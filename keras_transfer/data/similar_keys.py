"""Paths of a table that the data do not have, and the ones that were meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from keras_transfer.errors import BadData

__all__ = ["refuse_missing"]

SHOWN = 10
"""Missing paths to which a similar one is named."""
COMPARED = 20_000
"""Most paths of the data that are searched for a similar one."""


def refuse_missing(
    file: Path, unit: str, missing: Sequence[tuple[int, str]], keys: np.ndarray
) -> None:
    """Refuse a table with paths that are no examples.

    Args:
        file: The table.
        unit: Of its numbers: "line" or "row".
        missing: Number and path of each row at fault.
        keys: (n,) object array of str: the paths of the data.

    Raises:
        BadData: There are any; lists them.
    """
    if missing:
        near = {number: _near(path, keys) for number, path in missing[:SHOWN]}
        raise BadData(
            f"{len(missing):,} examples of {file} are not in the data. Paths are compared as they "
            "stand: give --data as it was given to check, or remove these rows:",
            [f"{unit} {number}: {path}{near.get(number, '')}" for number, path in missing],
        )


def _near(path: str, keys: np.ndarray) -> str:
    """A similar path, as the end of a sentence."""
    same = [key for key in keys if _name(key) == _name(path)]
    found = same[:1] or get_close_matches(path, [*map(str, keys[:COMPARED])], 1)
    return f" (did you mean {found[0]}?)" if found else ""


def _name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]

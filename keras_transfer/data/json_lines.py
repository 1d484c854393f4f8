"""Tables in JSON lines: a file with an object in each line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_transfer.data.regular_files import opened
from keras_transfer.errors import BadData

__all__ = ["ENDING", "first_names", "read_objects"]

ENDING = ".jsonl"

CURE = "Save each example as an object in a line of its own, in UTF-8."


def read_objects(file: Path) -> tuple[dict[str, list[Any]], list[int]]:
    """Read a file.

    Args:
        file: In UTF-8; lines without characters are left out.

    Returns:
        The values of each column, whose name is that of a member in lower case, None where an
        object lacks it; columns in the order in which they occur. The number of each line.

    Raises:
        BadData: Lists the lines that are no object.
    """
    objects, numbers, offenders = [], [], []
    with opened(file) as content:
        for number, line in enumerate(content, start=1):
            if not line.strip():
                continue
            try:
                objects.append(_object(line))
                numbers.append(number)
            except ValueError as error:
                offenders.append(f"line {number}: {error}")
    if offenders:
        raise BadData(f"Lines of {file} are no JSON objects. {CURE}", offenders)
    names = dict.fromkeys(name for found in objects for name in found)
    return {name: [found.get(name) for found in objects] for name in names}, numbers


def first_names(file: Path) -> Sequence[str]:
    """Names of the first object's members, in lower case; none where the line is no object."""
    with opened(file) as content:
        line = next((line for line in content if line.strip()), b"")
    try:
        return [*_object(line)]
    except ValueError:
        return []


def _object(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8-sig")  # UnicodeDecodeError is a ValueError
    found = json.loads(text, object_pairs_hook=_members, parse_constant=_no_number)
    if not isinstance(found, dict):
        raise ValueError(f"{text.strip()[:40]} is no object")
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name.strip().lower() for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]!r} is there twice")
    return dict(zip(names, (value for _, value in pairs), strict=True))


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON; write null where a value is missing")

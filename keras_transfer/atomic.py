"""Files that are there whole or not at all, also after a kill or a power cut.

Whatever a run keeps is written through this module. tests/test_architecture.py lists what else
writes files, and why that is safe.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from keras_transfer.csv_cells import write_cells

__all__ = [
    "copy",
    "copy_folder",
    "is_unfinished",
    "remove_unfinished",
    "replacing",
    "synchronize",
    "write_bytes",
    "write_csv",
    "write_json",
    "write_text",
]

UNFINISHED = re.compile(r"\..+\.\d+\.part(\.[^.]+)?")
"""Names of files that are being written: .NAME.PROCESS.part.SUFFIX."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a file to write; it replaces ``path`` when the block ends without an error.

    Args:
        path: Its folder exists. An old file stays until the new one is on the disk.

    Yields:
        A path in the same folder with the same suffix, which decides the format for some libraries.
    """
    # In the same folder, since a rename is atomic only within one file system. With the process id,
    # since two processes may write the same file.
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        # Else a power cut after the rename may leave an empty file under the final name.
        synchronize(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    synchronize(path.parent)


def synchronize(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Some network file systems do not have it for folders.
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8 atomically; line ends stay as they are."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically.

    Raises:
        ValueError: A number in it is NaN or infinite, which is no JSON.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    # A file name that is not UTF-8 has lone surrogates; their backslash form is JSON's own.
    write_bytes(path, (text + "\n").encode(errors="backslashreplace"))


def write_csv(
    path: Path,
    header: Sequence[str],
    rows: Iterable[Iterable[Any]],
    *,
    lineterminator: str = "\n",
    quoting: Any = csv.QUOTE_MINIMAL,
) -> None:
    """Write a CSV file in UTF-8 atomically; texts that would be formulas are escaped.

    Args:
        path: The file.
        header: Names of the columns.
        rows: Values by column.
        lineterminator: As in ``csv.writer``.
        quoting: As in ``csv.writer``.
    """
    # newline="": csv writes its own line ends, and a path may contain one. File names that are not
    # UTF-8 are read as surrogates and written back unchanged.
    with (
        replacing(path) as part,
        part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        form = {"lineterminator": lineterminator, "quoting": quoting}
        write_cells(file, chain([header], rows), **form)


def copy(source: Path, path: Path) -> None:
    """Copy a file atomically."""
    with replacing(path) as part:
        shutil.copyfile(source, part)


def copy_folder(source: Path, path: Path) -> None:
    """Copy a folder atomically, to a path where there is nothing."""
    begun = path.with_name(f".{path.name}.copy")
    shutil.rmtree(begun, ignore_errors=True)  # of a copy that was cut off
    shutil.copytree(source, begun)
    for file in begun.rglob("*"):
        synchronize(file)
    os.replace(begun, path)
    synchronize(path.parent)


def is_unfinished(path: Path) -> bool:
    """Whether a process is writing this file, or has been killed while it did."""
    return UNFINISHED.fullmatch(path.name) is not None


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes have left; nobody else may be writing in the folder."""
    for path in folder.glob(".*.part*"):
        if is_unfinished(path):
            path.unlink(missing_ok=True)

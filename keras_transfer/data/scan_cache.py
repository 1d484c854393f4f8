"""Digests of valid images, in one SQLite file that several runs may share.

It only saves time, so it never fails: a broken file is renamed and replaced, and without one
(a read-only folder, a full disk) nothing is known and nothing kept.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

__all__ = ["Stamp", "recall", "remember"]

logger = logging.getLogger("keras_transfer")

Stamp = tuple[str, int, int]
"""Name and size in bytes of an image, and a number that changes with its file."""

Result = TypeVar("Result")

_TABLE = """CREATE TABLE IF NOT EXISTS sound
(name BLOB PRIMARY KEY, size INTEGER, changed INTEGER, digest TEXT) WITHOUT ROWID"""
_KEEP = "INSERT OR REPLACE INTO sound VALUES (?, ?, ?, ?)"

_WANTED = """CREATE TEMP TABLE wanted
(number INTEGER PRIMARY KEY, name BLOB, size INTEGER, changed INTEGER)"""
_ASK = "INSERT INTO wanted VALUES (?, ?, ?, ?)"
_FIND = "SELECT number, digest FROM wanted JOIN sound USING (name, size, changed)"

_UNUSABLE = (OSError, sqlite3.OperationalError)
_PATIENCE = 60  # seconds to wait for another run to finish writing


def recall(file: Path, stamps: Sequence[Stamp | None]) -> list[str]:
    """Look many images up at once.

    Args:
        file: The scan cache; it and its folder need not exist.
        stamps: One per image; None where it cannot be cached.

    Returns:
        The digest of each image, "" where it is not known to be valid.
    """

    # One join with a temporary table instead of a query for each image.
    def find(scan_cache: sqlite3.Connection) -> list[tuple[int, str]]:
        scan_cache.execute(_WANTED)
        scan_cache.executemany(_ASK, [(i, *_row(stamp)) for i, stamp in enumerate(stamps) if stamp])
        return scan_cache.execute(_FIND).fetchall()

    digests = [""] * len(stamps)
    if not any(stamps):
        return digests
    try:
        for number, digest in _on(file, find):
            digests[number] = digest
    except _UNUSABLE as error:
        logger.warning("Checks of images are not kept for next time: %s: %s", file, error)
    return digests


def remember(file: Path, stamps: Sequence[Stamp], digests: Sequence[str]) -> None:
    """Store the digests of valid images; they are on disk when this returns."""
    if not stamps:
        return
    rows = [(*_row(stamp), digest) for stamp, digest in zip(stamps, digests, strict=True)]
    with suppress(*_UNUSABLE):  # recall has logged it
        _on(file, lambda scan_cache: scan_cache.executemany(_KEEP, rows))


def _row(stamp: Stamp) -> tuple[bytes, int, int]:
    name, size, changed = stamp
    # Names of files may be no UTF-8, which SQLite requires of texts.
    return os.fsencode(name), size, changed


def _on(file: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    """Do ``work`` in one transaction."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        # The connection's own context commits, but does not close.
        with closing(sqlite3.connect(file, timeout=_PATIENCE)) as scan_cache, scan_cache:
            scan_cache.execute(_TABLE)
            return work(scan_cache)
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # subclasses do not mean a broken file
            raise
    _set_aside(file)
    return _on(file, work)


def _set_aside(file: Path) -> None:
    logger.warning("%s is broken; it is renamed, and all images are checked again", file)
    os.replace(file, file.with_suffix(".broken"))
    file.with_name(file.name + "-journal").unlink(missing_ok=True)  # would spoil the new one

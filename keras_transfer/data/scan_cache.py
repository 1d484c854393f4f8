"""Digests of valid images, in one SQLite file that several runs may share.

It only saves time, so it never fails: a damaged file is renamed and replaced, and without one
(a read-only folder, a full disk) nothing is known and nothing kept. Rows have a checksum of name,
stamp and digest, since a wrong digest would give an image the features of another.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar
from zlib import crc32

from keras_transfer.cache import set_aside

__all__ = ["Stamp", "recall", "remember"]

logger = logging.getLogger("keras_transfer")

Stamp = tuple[str, int, int]
"""Name and size in bytes of an image, and a number that changes with its file."""

Result = TypeVar("Result")

# Before they had checksums, rows were in a table named `sound`.
_TABLE = """CREATE TABLE IF NOT EXISTS checked
(name BLOB PRIMARY KEY, size INTEGER, changed INTEGER, digest TEXT, crc32 INTEGER) WITHOUT ROWID"""
_KEEP = "INSERT OR REPLACE INTO checked VALUES (?, ?, ?, ?, ?)"

_WANTED = """CREATE TEMP TABLE wanted
(number INTEGER PRIMARY KEY, name BLOB, size INTEGER, changed INTEGER)"""
_ASK = "INSERT INTO wanted VALUES (?, ?, ?, ?)"
_FIND = "SELECT number, digest, crc32 FROM wanted JOIN checked USING (name, size, changed)"

_UNUSABLE = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
"""Errors of SQLite that say nothing about the content of the file."""
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
        found = scan_cache.execute(_FIND).fetchall()
        # SQLite itself notices only what breaks the structure of its file.
        if any(_checksum(stamps[number], digest) != crc for number, digest, crc in found):
            raise sqlite3.DatabaseError("a row does not match its checksum")
        return [(number, digest) for number, digest, _ in found]

    digests = [""] * len(stamps)
    if not any(stamps):
        return digests
    try:
        for number, digest in _on(file, find):
            digests[number] = digest
    except (OSError, sqlite3.Error) as error:
        logger.warning("Checks of images are not kept for next time: %s: %s", file, error)
    return digests


def remember(file: Path, stamps: Sequence[Stamp], digests: Sequence[str]) -> None:
    """Store the digests of valid images; they are on disk when this returns."""
    if not stamps:
        return
    rows = [
        (*_row(stamp), digest, _checksum(stamp, digest))
        for stamp, digest in zip(stamps, digests, strict=True)
    ]
    with suppress(OSError, sqlite3.Error):  # recall has logged it
        _on(file, lambda scan_cache: scan_cache.executemany(_KEEP, rows))


def _checksum(stamp: Stamp | None, digest: str) -> int:
    return crc32(repr((stamp, digest)).encode())


def _row(stamp: Stamp) -> tuple[bytes, int, int]:
    name, size, changed = stamp
    # Names of files may be no UTF-8, which SQLite requires of texts.
    return os.fsencode(name), size, changed


def _on(file: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    """Do ``work`` in one transaction, on a new file if this one is damaged."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _in_transaction(file, work)
    except sqlite3.Error as error:
        # The lowest byte is the error, the others say more about it. Python's own have no code.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNUSABLE:
            raise
        set_aside(file, str(error), "all examples are checked again")
    # It would spoil the new file.
    file.with_name(file.name + "-journal").unlink(missing_ok=True)
    return _in_transaction(file, work)


def _in_transaction(file: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    # The connection's own context commits, but does not close.
    with closing(sqlite3.connect(file, timeout=_PATIENCE)) as scan_cache, scan_cache:
        scan_cache.execute(_TABLE)
        return work(scan_cache)

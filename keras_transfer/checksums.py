"""SHA-256 of files and of JSON documents: what has changed since it was written is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from keras_transfer.errors import BadData

__all__ = ["files_of", "sha256_of", "sha256_of_document", "verify"]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex, read in pieces.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_document(document: Any) -> str:
    """SHA-256 of a JSON-ready value in hex; neither spaces nor the order of keys count."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def files_of(folder: Path, leave_out: Container[str] = ()) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path in it, with ``/``.

    Args:
        folder: Its subfolders count too.
        leave_out: Paths that are not read.
    """
    paths = {name: folder / name for name in sorted(_names(folder)) if name not in leave_out}
    return {name: sha256_of(path) for name, path in paths.items()}


def verify(
    folder: Path, expected: Mapping[str, str], *, extra: bool = True, leave_out: Container[str] = ()
) -> None:
    """Compare the files of a folder with the checksums that were written for them.

    Args:
        folder: As for ``files_of``.
        expected: SHA-256 by path.
        extra: Whether files without a checksum are refused too; hidden ones never are.
        leave_out: Paths that are not compared.

    Raises:
        BadData: A file has changed, is missing, or was added; each is named.
    """
    found = {name for name in _names(folder) if name not in leave_out}
    wrong = []
    for name in sorted(expected):
        if name in leave_out:
            continue
        # Only names that the folder itself lists are opened, so "../x" and devices never are.
        if name not in found:
            wrong.append(f"{folder / name}: is missing")
        elif (now := _readable_sha256(folder / name)) != expected[name]:
            wrong.append(f"{folder / name}: has changed (its SHA-256 is {now})")
    if extra:
        wrong += [
            f"{folder / name}: does not belong here (no checksum was written for it)"
            for name in sorted(found - set(expected))
            if not any(part.startswith(".") for part in name.split("/"))
        ]
    if wrong:
        raise BadData(
            f"{folder} is not what was written: {len(wrong)} files differ from their checksums. "
            "Restore them from a copy, or write them again.",
            wrong,
        )


def _readable_sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        return f"unknown: {error.strerror}"


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

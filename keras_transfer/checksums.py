"""SHA-256 of files and of JSON documents: what has changed since it was written is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from keras_transfer.errors import BadData

__all__ = [
    "CHECKSUMS",
    "check_document",
    "files_of",
    "sealed",
    "sha256_of",
    "sha256_of_document",
    "verify",
]

CHECKSUMS = "checksums"
"""The entry of a document that holds checksums, its own too."""


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


def sealed(document: Mapping[str, Any], name: str, files: Mapping[str, str]) -> dict[str, Any]:
    """Add checksums to a JSON document: those of files, and its own.

    Args:
        document: JSON-ready, without an entry ``checksums``.
        name: Of the document's file, under which its own checksum is found.
        files: SHA-256 by path.
    """
    whole = {**document, CHECKSUMS: dict(files)}
    # As it will be read back: JSON turns tuples into lists, and other keys into text.
    whole = json.loads(json.dumps(whole))
    whole[CHECKSUMS][name] = sha256_of_document(whole)
    return whole


def check_document(path: Path, document: Mapping[str, Any]) -> dict[str, str] | None:
    """Compare a document that ``sealed`` has made with its own checksum.

    Args:
        path: Of the file that it was read from.
        document: Its content.

    Returns:
        The checksums of other files; None if it has no checksums at all.

    Raises:
        BadData: It has changed.
    """
    if CHECKSUMS not in document:
        return None
    files = document[CHECKSUMS]
    files = dict(files) if isinstance(files, Mapping) else {}
    own = files.pop(path.name, None)
    if own != sha256_of_document({**document, CHECKSUMS: files}):
        raise BadData(
            f"{path} has changed since it was written: it does not have its own checksum. Restore "
            "it from a copy, or write it again."
        )
    return files


def files_of(folder: Path, leave_out: Container[str] = ()) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path in it, with ``/``.

    Args:
        folder: Its subfolders count too.
        leave_out: Paths that are not read, and names of folders in it.
    """
    return {name: sha256_of(folder / name) for name in sorted(_names(folder, leave_out))}


def verify(
    folder: Path, expected: Mapping[str, str], *, extra: bool = True, leave_out: Container[str] = ()
) -> None:
    """Compare the files of a folder with the checksums that were written for them.

    Args:
        folder: As for ``files_of``.
        expected: SHA-256 by path.
        extra: Whether files without a checksum are refused too; hidden ones never are.
        leave_out: Paths that are not compared, and names of folders in it.

    Raises:
        BadData: A file has changed, is missing, or was added; each is named.
    """
    found = _names(folder, leave_out)
    wrong = []
    for name in sorted(name for name in expected if not _is_in(leave_out, name)):
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


def _names(folder: Path, leave_out: Container[str]) -> set[str]:
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not _is_in(leave_out, name)}


def _is_in(names: Container[str], path: str) -> bool:
    """Whether a path, or the first folder on it, is named."""
    return path in names or path.split("/")[0] in names

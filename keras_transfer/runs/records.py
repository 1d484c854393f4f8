"""JSON records of what a folder holds, such as ``run.json``: validated when they are read.

A record has the checksum of its own content. One of a run also has the checksums of the files whose
content is final; records and files of earlier versions have none and are read as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from keras_transfer.atomic import is_unfinished, write_json, write_text
from keras_transfer.checksums import CHECKSUMS, check_document, sealed, sha256_of
from keras_transfer.config.upgrade import stored, versioned
from keras_transfer.config.yaml_values import load_yaml
from keras_transfer.errors import BadConfiguration, BadData

__all__ = [
    "RUN",
    "SERIES",
    "damaged",
    "final_files",
    "read_json",
    "read_record",
    "replace_settings",
    "stored_settings",
    "verify_files",
    "write_record",
    "write_settings",
]

RUN = "run.json"
SERIES = "series.json"
"""The record of a folder whose runs belong together."""

SETTINGS = "recipe.yaml"
TEXTS = (".json", ".yaml", ".csv", ".txt")
MODELS = (".keras",)
GROWING = (RUN, "log.txt")
"""Files that are written after the checksums are."""


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record with its checksum, atomically."""
    document = {name: value for name, value in content.items() if name != CHECKSUMS}
    files = {name: value for name, value in content.get(CHECKSUMS, {}).items() if name != path.name}
    write_json(path, sealed(document, path.name, files))


def read_record(path: Path, required: Mapping[str, type]) -> dict[str, Any]:
    """Read a record; its ``checksums`` are then those of other files.

    Args:
        path: As ``write_record`` wrote it.
        required: Names it must have, with their types.

    Raises:
        BadData: It cannot be read, lacks a name, or has changed since it was written.
    """
    content = read_json(path, dict)
    wrong = [name for name, kind in required.items() if not isinstance(content.get(name), kind)]
    if wrong:
        raise damaged(path, f"{wrong[0]!r} is missing or of another type")
    try:
        files = check_document(path, content)
    except BadData:
        raise damaged(path, "it does not have its own checksum") from None
    return content if files is None else {**content, CHECKSUMS: files}


def read_json(path: Path, kind: type) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        kind: Type of its content, such as ``dict``.

    Raises:
        BadData: It cannot be read, is no JSON, or has content of another type.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    # A file nested thousands deep is a RecursionError.
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error) from None
    if not isinstance(content, kind):
        raise damaged(path, f"it holds a {type(content).__name__}, not a {kind.__name__}")
    return content


def write_settings(folder: Path, settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Write ``recipe.yaml``, which stays as it is from now on.

    Returns:
        The entry of a record for it.
    """
    path = folder / SETTINGS
    write_text(path, yaml.safe_dump(versioned(settings), sort_keys=False))
    return {CHECKSUMS: {SETTINGS: sha256_of(path)}}


def replace_settings(folder: Path, metadata: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Write ``recipe.yaml`` again, with settings that were found when the run started.

    Args:
        folder: The run directory.
        metadata: Of ``run.json``; gets the new checksum.
        settings: All settings.
    """
    metadata.pop(CHECKSUMS, None)
    # Without a checksum in between: a run that is killed there has the one file or the other.
    write_record(folder / RUN, metadata)
    metadata.update(write_settings(folder, settings))
    write_record(folder / RUN, metadata)


def final_files(folder: Path) -> dict[str, dict[str, str]]:
    """The entry of a finished run's record: SHA-256 of its files by path."""
    # Folders below it are runs, with records of their own, or TensorBoard's.
    paths = sorted((*folder.iterdir(), *folder.glob("members/*/*")))
    return {
        CHECKSUMS: {
            path.relative_to(folder).as_posix(): sha256_of(path)
            for path in paths
            if path.suffix in TEXTS + MODELS
            and path.name not in GROWING
            and not is_unfinished(path)
        }
    }


def verify_files(folder: Path, record: Mapping[str, Any], names: Iterable[str] = ()) -> None:
    """Compare files with the checksums in a record; files without one are not compared.

    Args:
        folder: Where the files are.
        record: As ``read_record`` gives it.
        names: The files; if there are none, all that are texts and there: models may be large,
            and are compared when they are loaded.

    Raises:
        BadData: A file has changed since it was written, or cannot be read.
    """
    checksums = record.get(CHECKSUMS, {})
    # A file that was deleted is missed where it is needed.
    texts = (name for name in checksums if Path(name).suffix in TEXTS and (folder / name).exists())
    for name in [*names] or texts:
        path = folder / name
        if name not in checksums:
            continue
        try:
            now = sha256_of(path)
        except OSError as error:
            raise damaged(path, error) from None
        if now != checksums[name]:
            raise damaged(path, "it differs from its checksum in the record")


def stored_settings(folder: Path) -> dict[str, Any] | None:
    """The settings that a run or a series was started with, in the current format.

    Returns:
        None if it was killed before it wrote them.

    Raises:
        BadData: Their file cannot be read, or has changed since it was written.
    """
    path = folder / SETTINGS
    records = [read_record(folder / name, {}) for name in (RUN, SERIES) if (folder / name).exists()]
    if not path.exists() and not any(SETTINGS in record.get(CHECKSUMS, {}) for record in records):
        return None
    for record in records:
        verify_files(folder, record, [SETTINGS])
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise damaged(path, error) from None
    if not isinstance(content, dict):
        raise damaged(path, f"it holds a {type(content).__name__}, not settings")
    return stored(content)


def damaged(path: Path, reason: str | BaseException) -> BadData:
    """The error for a file of a run that cannot be used."""
    if isinstance(reason, LookupError) and not isinstance(reason, BadConfiguration):
        reason = f"{reason} is not in it"
    reason = " ".join(str(getattr(reason, "strerror", None) or reason).split())[:300]
    return BadData(
        f"{path} is damaged or was changed: {reason}. Restore the file from a copy, or start "
        "again in a new folder."
    )

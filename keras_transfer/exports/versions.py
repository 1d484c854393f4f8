"""Numbered versions of a model in a folder, for TensorFlow Serving: there whole, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_transfer.atomic import synchronize
from keras_transfer.errors import BadConfiguration
from keras_transfer.features.locks import lock

__all__ = ["checked_name", "numbered", "publish", "unfinished"]

_VERSION = re.compile("[1-9][0-9]{0,18}")

MAX_NAME = 200
"""Characters; file systems allow 255 bytes, and names of unfinished folders are longer."""


def checked_name(name: str) -> str:
    """Give the name of a model back if it can stand in a path and in a URL.

    Raises:
        BadConfiguration: It cannot.
    """
    if len(name) > MAX_NAME:
        raise BadConfiguration(
            f"--name {name[:20]}...: has {len(name)} characters; at most {MAX_NAME} are allowed."
        )
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) or name.isdecimal():
        raise BadConfiguration(
            f"--name {name!r}: should be letters, digits, '_', '-' and '.', and no bare number."
        )
    return name


def numbered(base: Path) -> list[int]:
    """Versions of a model, in their order: names of folders that are whole numbers above 0."""
    if not base.is_dir():
        return []
    names = (one.name for one in base.iterdir() if one.is_dir())
    # TensorFlow Serving takes neither 007 for 7 nor other alphabets' digits, and int64 alone.
    return sorted(int(name) for name in names if _VERSION.fullmatch(name) and int(name) < 1 << 63)


@contextmanager
def unfinished(base: Path) -> Iterator[Path]:
    """Give an empty folder for what ``publish`` will make the next version of a model.

    It lies beside ``base``, so that a server that watches ``base`` never sees half of it. What
    has not been published when the block ends is removed; what a killed process has left, by the
    next one.

    Args:
        base: The folder of the versions; it need not exist.

    Raises:
        BadConfiguration: ``base`` is a file, or cannot be written to.
    """
    _check(base)
    # The same file system as `base`, so that the rename is atomic; the dot hides it. Not the number
    # of the process: in containers it is the same for each.
    part = base.parent / f".{base.name}.{uuid.uuid4().hex[:12]}.part"
    made = [one for one in (base.parent, *base.parent.parents) if not one.exists()]
    try:
        part.mkdir(parents=True)
        with _locked(part):
            _sweep(base, part)
            yield part
    except PermissionError as error:
        raise BadConfiguration(f"{base} cannot be written to: {error.strerror}.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in made:  # innermost first
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def publish(folder: Path, base: Path) -> Path:
    """Make a folder the next free version of a model, in one step.

    Returns:
        Where it lies now: ``base/<version>``.
    """
    base.mkdir(exist_ok=True)
    # Else a power cut after the rename may leave a version of empty files.
    for path in (*folder.rglob("*"), folder):
        synchronize(path)
    while True:
        version = base / str(1 + max(numbered(base), default=0))
        try:
            os.rename(folder, version)  # onto an empty folder only, so never over a version
        except OSError:
            if not version.exists():
                raise
        else:
            return version


def _check(base: Path) -> None:
    for one in (base, *base.parents):
        if one.exists() and not one.is_dir():
            raise BadConfiguration(f"{one} is a file; name another folder by --to.")


def _sweep(base: Path, own: Path) -> None:
    """Remove what killed exports of the same model have left."""
    for part in base.parent.glob(f".{base.name}.*.part"):
        # Whoever writes it has it locked; where there are no locks nobody can say.
        with _locked(part) as free:
            if part != own and free:
                shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[bool | None]:
    """Lock a folder while this lasts; gives what ``locks.lock`` says."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield lock(descriptor, exclusive=True, wait=False)
    finally:
        os.close(descriptor)

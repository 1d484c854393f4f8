"""Numbered versions of a model in a folder, for TensorFlow Serving: there whole, or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_transfer.atomic import synchronize
from keras_transfer.errors import BadConfiguration

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
    # The same file system as `base`, so that the rename is atomic; the dot hides it.
    part = base.parent / f".{base.name}.{os.getpid()}.part"
    made = [one for one in (base.parent, *base.parent.parents) if not one.exists()]
    try:
        part.mkdir(parents=True)
        _sweep(base)
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


def _sweep(base: Path) -> None:
    """Remove what killed exports of the same model have left."""
    for one in base.parent.glob(f".{base.name}.*.part"):
        process = one.name.split(".")[-2]
        if process.isdecimal() and not _alive(int(process)):
            shutil.rmtree(one, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        # Signal 0 only asks whether the process exists.
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # PermissionError: it exists and belongs to another user.
    except (PermissionError, OverflowError):
        return True
    return True

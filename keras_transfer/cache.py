"""The cache folder, for scans, features and downloads."""

import contextlib
import logging
import os
from pathlib import Path

__all__ = ["BROKEN", "cache_dir", "set_aside"]

logger = logging.getLogger("keras_transfer")

BROKEN = ".broken"
"""Suffix of damaged files, which are not read again."""


def cache_dir() -> Path:
    """Where to cache: $KT_CACHE_DIR, else keras_transfer in $XDG_CACHE_HOME, else in ~/.cache.

    The folder need not exist yet.
    """
    # Read at each call, not at import, so that a test or a notebook can still set it.
    own = os.environ.get("KT_CACHE_DIR")
    # The XDG specification treats an empty variable like an unset one, hence `or`.
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or os.path.join(shared, "keras_transfer")).expanduser()


def set_aside(file: Path, found: str, consequence: str) -> None:
    """Rename a damaged file of the cache and say so.

    Args:
        file: The file; another process may have renamed it already.
        found: What is wrong with it.
        consequence: What happens next.

    Raises:
        OSError: The file cannot be renamed.
    """
    broken = file.with_name(file.name + BROKEN)
    with contextlib.suppress(FileNotFoundError):
        os.replace(file, broken)
    logger.warning(
        "Warning: %s is damaged (%s). It is renamed to %s, and %s.",
        *(file, found, broken.name, consequence),
    )

"""Which features go when the cache is full: those of the least recently used spaces."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from keras_transfer.errors import BadConfiguration
from keras_transfer.features.locks import lock
from keras_transfer.features.store import FOLDER, METADATA, Space, is_current

__all__ = ["clear", "limit", "make_room", "spaces"]

logger = logging.getLogger("keras_transfer")

SPARE = 1 << 30
"""Bytes of the disk that are always left free."""


def limit() -> int:
    """Limit of the cache in bytes: $KT_CACHE_GB times 1e9; 20 GB by default.

    Raises:
        BadConfiguration: $KT_CACHE_GB is no number of at least 0.
    """
    text = os.environ.get("KT_CACHE_GB", "20")
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < float("inf"):
        raise BadConfiguration(
            f"KT_CACHE_GB = {text!r} should be a number of gigabytes, such as 20."
        )
    return int(gigabytes * 1e9)


def spaces(cache: Path) -> list[Space]:
    """All spaces, the least recently used first; one whose metadata are damaged has none."""
    folders = [path for path in (cache / FOLDER).glob("*") if path.is_dir()]
    return sorted((Space(path, _metadata(path)) for path in folders), key=lambda space: space.used)


def _metadata(folder: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def make_room(cache: Path, needed: int) -> str:
    """Evict the least recently used spaces until there is room for more features.

    Args:
        cache: The cache folder.
        needed: Bytes.

    Returns:
        Why there is no room, with nothing evicted for it; empty if there is.
    """
    old = _sizes(cache)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free - SPARE
    if needed > limit():
        return f"the cache is limited to {limit() / 1e9:g} GB (KT_CACHE_GB)"
    if needed > free + sum(old.values()):
        return f"{cache} has {max(free, 0) / 1e9:.1f} GB to spare"
    excess = max(sum(old.values()) + needed - limit(), needed - free)
    for space, size in old.items():
        if excess <= 0:
            break
        excess -= size if _evicted(space) else 0
    return "" if excess <= 0 else "other runs are using all of the cache"


def _evicted(space: Space) -> bool:
    try:
        with (space.folder / METADATA).open("a+", encoding="utf-8") as file:
            # Without locks a space in use may be evicted.
            if lock(file, exclusive=True, wait=False) is False:
                return False
            if not is_current(file, space.folder):
                return False
            shutil.rmtree(space.folder)
    except OSError:
        return False
    logger.debug("Evicted %s", space.metadata)
    return True


def clear(cache: Path) -> tuple[int, int]:
    """Remove all features that no run is writing.

    Returns:
        How many spaces were removed, and how many bytes they had.
    """
    sizes = [size for space, size in _sizes(cache).items() if _evicted(space)]
    return len(sizes), sum(sizes)


def _sizes(cache: Path) -> dict[Space, int]:
    return {space: space.size for space in spaces(cache)}

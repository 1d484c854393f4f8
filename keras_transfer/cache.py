"""The cache folder, for scans, features and downloads."""

import os
from pathlib import Path

__all__ = ["cache_dir"]


def cache_dir() -> Path:
    """Where to cache: $KT_CACHE_DIR, else keras_transfer in $XDG_CACHE_HOME, else in ~/.cache.

    The folder need not exist yet.
    """
    own = os.environ.get("KT_CACHE_DIR")
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or os.path.join(shared, "keras_transfer")).expanduser()

"""The cache folder, for scans, features and downloads."""

import os
from pathlib import Path

__all__ = ["cache_dir"]


def cache_dir() -> Path:
    """Where to cache: $KT_CACHE_DIR, else keras_transfer in $XDG_CACHE_HOME, else in ~/.cache.

    The folder need not exist yet.
    """
    # Read at each call, not at import, so that a test or a notebook can still set it.
    own = os.environ.get("KT_CACHE_DIR")
    # The XDG specification treats an empty variable like an unset one, hence `or`.
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or os.path.join(shared, "keras_transfer")).expanduser()

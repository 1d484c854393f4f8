"""Files that are needed only while an export is written."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

__all__ = ["scratch"]


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give a folder inside of an export that is removed when the block ends.

    Not in $TMPDIR, which may be small, full or read-only: the export's own disk needs room anyway.

    Raises:
        OSError: The disk is full; TensorFlow has an error of its own for it.
    """
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as inside:
        try:
            yield Path(inside)
        except tf.errors.ResourceExhaustedError as error:
            raise OSError(errno.ENOSPC, str(error)) from None

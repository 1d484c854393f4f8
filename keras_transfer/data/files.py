"""Examples in files, one each."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import cached_property

import tensorflow as tf

from keras_transfer.data.samples import CheckResult, Judge

__all__ = ["Files"]

_MOST_BYTES = 1 << 29  # uncompressed, the largest sound image has fewer


class Files:
    """A store of images that lie in files, one each.

    Args:
        paths: The files, by row number.
    """

    def __init__(self, paths: Sequence[str]):
        self.paths = paths

    @cached_property
    def _paths(self) -> tf.Tensor:
        with tf.init_scope():  # a tensor that graphs capture: a million paths bloat no graph
            return tf.constant([os.fsencode(path) for path in self.paths], tf.string)

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Read file number ``row``: a scalar string of its bytes."""
        return tf.io.read_file(tf.gather(self._paths, row))

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Read file number ``row`` and have it judged.

        A file that cannot be read has no digest.
        """
        path = self.paths[row]
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for forever
                return CheckResult("", "is not a regular file")
            if status.st_size > _MOST_BYTES:
                return CheckResult("", f"has {status.st_size / 1e9:.1f} GB, too many for an image")
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            return CheckResult("", f"cannot be read ({error.strerror})")
        return judge(content, path)

    def stamp(self, row: int) -> tuple[str, int, int] | None:
        """Absolute path, size in bytes and change time in ns; None where there is no file."""
        try:
            status = os.stat(self.paths[row])
        except OSError:
            return None
        return os.path.abspath(self.paths[row]), status.st_size, status.st_mtime_ns

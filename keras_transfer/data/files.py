"""Examples in files, one each."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_transfer.data.regular_files import regular
from keras_transfer.data.samples import CheckResult, Judge
from keras_transfer.errors import BadData

__all__ = ["Files", "version"]

_MOST_BYTES = 1 << 29  # uncompressed, the largest sound image has fewer


class Files:
    """A store of images that lie in files, one each.

    Args:
        paths: The files, by row number.
        digests: (len(paths),) object array of str from ``check``; "" or None where unchecked.
    """

    def __init__(self, paths: Sequence[str], digests: np.ndarray | None = None):
        self.paths = paths
        self.digests = np.full(len(paths), "", object) if digests is None else digests
        self._verified = np.full(len(paths), -1, "int64")  # versions that have these digests

    def expecting(self, rows: np.ndarray, digests: np.ndarray) -> Files:
        """The same files, none of which may change from now on.

        Args:
            rows: (n,) int, numbers of some rows.
            digests: (n,) object array of str, their digests from the check.
        """
        expected = self.digests.copy()
        expected[rows] = digests
        return Files(self.paths, expected)

    def content(self, row: int) -> bytes:
        """Read the file of image number ``row``.

        Raises:
            BadData: It has changed since the check, or can no longer be read.
        """
        path, expected = self.paths[row], self.digests[row]
        try:
            with open(path, "rb", opener=regular) as file:
                # Of the open file, because the path may name another one a moment later.
                content, current = file.read(), version(os.fstat(file.fileno()))
        except OSError as error:
            raise BadData(f"{path} cannot be read ({error.strerror}).") from None
        if expected and self._verified[row] != current:
            if hashlib.sha256(content).hexdigest() != expected:
                raise BadData(f"{path} has changed since it was checked. Give the command again.")
            self._verified[row] = current
        return content

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Read file number ``row``: a scalar string of its bytes."""
        # Not tf.io.read_file, which could not notice that a file has changed.
        content = tf.numpy_function(lambda row: self.content(int(row)), [row], tf.string)
        return tf.ensure_shape(content, ())

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Read file number ``row`` and have it judged.

        A file that cannot be read has no digest.
        """
        path = self.paths[row]
        try:
            with open(path, "rb", opener=regular) as file:
                size = os.fstat(file.fileno()).st_size
                if size > _MOST_BYTES:
                    return CheckResult("", f"has {size / 1e9:.1f} GB, too many for an image")
                content = file.read()
        except OSError as error:
            return CheckResult("", f"cannot be read ({error.strerror})")
        return judge(content, path)

    def stamp(self, row: int) -> tuple[str, int, int] | None:
        """Absolute path, size in bytes and version; None where there is no file.

        The version changes with the file: times of its content and of its status, device and
        inode. Programs can set the first (``cp -p``, ``unzip``, ``rsync -t``), but not the second.
        """
        try:
            status = os.stat(self.paths[row])
        except OSError:
            return None
        return os.path.abspath(self.paths[row]), status.st_size, version(status)


def version(status: os.stat_result) -> int:
    """A 63-bit number that changes when the file's content does, and differs between files."""
    facts = (status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)
    packed = b"".join(struct.pack("<Q", fact % 2**64) for fact in facts)  # times may be negative
    # 63 bits, because integers of SQLite and int64 are signed.
    return int.from_bytes(hashlib.sha256(packed).digest()[:8], "little") >> 1

"""Open regular files only: whatever else a path names may block for ever, or act when opened."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from keras_transfer.errors import BadData

__all__ = ["opened", "regular"]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular(path: str | Path, flags: int) -> int:
    """Open a regular file, or a link to one; the ``opener`` of ``open``.

    A file of the kernel, such as ``/proc/kmsg``, counts as regular, but has no size: it is taken
    as empty, because it may never end.

    Raises:
        OSError: It is something else, or cannot be opened.
    """
    _refuse(os.stat(path))  # before it is opened: that alone acts on some devices
    file = os.open(path, flags | os.O_NONBLOCK)  # another thing may stand there by now
    try:
        status = os.fstat(file)
        _refuse(status)
    except OSError:
        os.close(file)
        raise
    if status.st_size:
        return file
    os.close(file)
    return os.open(os.devnull, flags)


def _refuse(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file")


@contextmanager
def opened(path: Path, mode: str = "rb", **options: Any) -> Iterator[IO[Any]]:
    """Open a regular file for reading, as ``open`` does.

    Raises:
        BadData: It cannot be opened.
    """
    try:
        number = regular(path, os.O_RDONLY)
    except OSError as error:
        raise BadData(f"{path} cannot be read ({error.strerror}).") from error
    with open(number, mode, **options) as file:
        yield file

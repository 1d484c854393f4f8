"""Advisory locks on open files; the kernel releases them however their owner ends."""

from __future__ import annotations

from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["lock"]


def lock(file: IO[Any] | int, *, exclusive: bool, wait: bool) -> bool | None:
    """Lock an open file until it is closed; a lock that it has is replaced.

    Args:
        file: The file, or its descriptor; that of a folder too.
        exclusive: Whether nobody else may have a lock on it, not even a shared one.
        wait: Whether to wait for those who have.

    Returns:
        Whether it is locked now; None where the system or the file system has no locks.
    """
    if fcntl is None:
        return None
    mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(file, mode if wait else mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True

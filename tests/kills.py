"""What a process that is killed before one of its operations on files would leave on the disk."""

import hashlib
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["Moment", "moments", "tree"]

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Moment(NamedTuple):
    """A state of a folder.

    Attributes:
        operation: The operation that would have come next, such as "os.rename r/.run.part.json".
        folder: A copy of the folder as it was then.
    """

    operation: str
    folder: Path


class _Recorder:
    """Copies a folder before each operation on files in it that changes something."""

    def __init__(self):
        self.home = None
        # The hook is called for every operation of the interpreter, and cannot be removed.
        sys.addaudithook(self)

    def start(self, home, copies):
        self.home, self.copies, self.found, self.last = str(home) + os.sep, copies, [], None

    def __call__(self, event, given):
        if self.home is None:
            return
        path = _changed(event, given)
        if path is not None and path.startswith(self.home):
            self._copy(f"{event} {path[len(self.home) :]}")

    def _copy(self, operation):
        home, self.home = self.home, None  # not the copying itself
        folder = Path(self.copies, str(len(self.found)))
        while True:
            try:
                state = tree(Path(home))
                # Two operations in a row that start from the same state are one moment.
                if state != self.last:
                    shutil.copytree(home, folder)
                    process = f".{os.getpid()}."
                    self.found.append(Moment(operation.replace(process, "."), folder))
                break
            except (FileNotFoundError, shutil.Error):  # another thread moves a file meanwhile
                shutil.rmtree(folder, ignore_errors=True)
        self.last, self.home = state, home


_recorder = None


@contextmanager
def moments(home, copies):
    """Give a list that gets a moment for each different state of ``home`` while this lasts."""
    global _recorder
    _recorder = _recorder or _Recorder()
    _recorder.start(home, copies)
    try:
        yield _recorder.found
    finally:
        _recorder.home = None


def _changed(event, given):
    """Path of what an operation is about to change; None if it changes nothing."""
    if event in CHANGES or (event == "open" and given[2] and given[2] & WRITES):
        path = given[0]
    else:
        return None
    return None if isinstance(path, int) else os.path.abspath(os.fsdecode(path))


def tree(folder):
    """Names and contents of all files and folders, as one value."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return found

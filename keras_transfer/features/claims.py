"""Which images' features a run is computing now, so that no other run computes them too.

A claim is a file in the folder of a space, with the digests of the images. Its owner holds a lock
on it, which the kernel releases however the owner ends. A run never waits while it holds a claim
of its own, so no two runs can wait for each other. Where the file system has no locks nothing is
claimed, and each run computes what it misses.
"""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_transfer.features.locks import lock

__all__ = ["claim", "claimed", "one_at_a_time", "wait"]

logger = logging.getLogger("keras_transfer")

CLAIM, TURN = ".claim", "claims.lock"


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one run at a time look for what is missing and claim it."""
    with (folder / TURN).open("ab") as file:
        lock(file, exclusive=True, wait=True)
        yield


def claimed(folder: Path) -> np.ndarray:
    """(n,) bytes: digests of the images that live runs have claimed, in any order."""
    found = [np.empty(0, "S64")]
    for path in folder.glob(f"*{CLAIM}"):
        with contextlib.suppress(FileNotFoundError):  # its owner is done
            digests = _read(path)
            if _is_held(path):
                found.append(digests)
            else:  # its owner was killed
                path.unlink()
    return np.concatenate(found)


@contextlib.contextmanager
def claim(folder: Path, digests: np.ndarray) -> Iterator[None]:
    """Claim images until the block ends.

    Args:
        folder: The folder of the space.
        digests: (n,) bytes, of the images.

    Raises:
        OSError: The claim cannot be written.
    """
    path = folder / f"{os.getpid()}-{uuid.uuid4().hex}{CLAIM}"
    with path.open("wb") as file:
        try:
            lock(file, exclusive=True, wait=True)
            file.write(digests.tobytes())
            file.flush()
            yield
        finally:
            path.unlink(missing_ok=True)


def wait(folder: Path, digests: np.ndarray) -> None:
    """Wait until no other run computes features of these images; the caller holds no claim.

    Args:
        folder: The folder of the space.
        digests: (n,) bytes, of the images.
    """
    for path in folder.glob(f"*{CLAIM}"):
        with contextlib.suppress(FileNotFoundError):
            common = np.isin(digests, _read(path)).sum()
            if common and _is_held(path):
                process = path.name.partition("-")[0]
                text = "Process %s is computing features of %s of these examples: waiting for it"
                logger.info(text, process, f"{common:,}")
                with path.open("rb") as file:
                    lock(file, exclusive=False, wait=True)


def _read(path: Path) -> np.ndarray:
    content = path.read_bytes()
    return np.frombuffer(content[: len(content) // 64 * 64], "S64")


def _is_held(path: Path) -> bool:
    """Whether the owner of a claim lives."""
    with path.open("rb") as file:
        return lock(file, exclusive=False, wait=False) is False

"""Features on disk: written once, memory-mapped, shared by runs, limited in size.

A *space* is a folder below ``features/`` in the cache: features of one network, up to one boundary,
of images of one size, in one view. It holds segments, ``<name>.npy`` with the features and
``<name>.keys.npy`` with the digests of their images. A segment counts once its keys are there;
both files come by renaming, the keys last, so that a killed run leaves nothing half done.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_transfer.errors import BadConfiguration

try:
    import fcntl
except ImportError:  # Windows: a space in use may be evicted
    fcntl = None  # type: ignore[assignment]

__all__ = ["Space", "Table", "clear", "limit", "make_room", "open_space", "spaces"]

logger = logging.getLogger("keras_transfer")

FOLDER, METADATA = "features", "about.json"
SEGMENT = 1 << 29
"""Bytes of features after which a segment is closed: what a killed run has to compute again."""
SPARE = 1 << 30
"""Bytes of the disk that are always left free."""


@dataclass(frozen=True, eq=False)
class Table:
    """Features of n images in one or several arrays.

    Attributes:
        segments: Arrays (m, ...) of features, memory-mapped or not.
        segment: (n,) number of the segment of each image.
        row: (n,) its row there.
    """

    segments: Sequence[np.ndarray]
    segment: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image's features."""
        return self.segments[0].shape[1:]

    def rows(self, places: np.ndarray) -> Table:
        """The table of the rows ``places``, (n,) int, in this order; rows may repeat."""
        return Table(self.segments, self.segment[places], self.row[places])

    def take(self, places: np.ndarray) -> np.ndarray:
        """Features of the rows ``places``, (n,) int: (n, ...) float32, whatever lies on disk."""
        features = np.empty((len(places), *self.shape), "float32")
        segment, row = self.segment[places], self.row[places]
        for number in np.unique(segment):
            mask = segment == number
            features[mask] = self.segments[number][row[mask]]
        return features


# Compared and hashed by identity: spaces are keys of dicts, and metadata has no hash.
@dataclass(frozen=True, eq=False)
class Space:
    """One folder of features.

    Attributes:
        folder: Path of the folder.
        metadata: Description of the features; its hash is the folder's name.
    """

    folder: Path
    metadata: dict[str, Any]

    def find(self, digests: Sequence[str] | np.ndarray) -> tuple[Table | None, np.ndarray]:
        """Look images up.

        Args:
            digests: Of the images' content.

        Returns:
            The table of all of them, if all are there, and (n,) bool: which are missing.
        """
        # SHA-256 in hex has 64 digits; arrays of fixed width are searched without Python objects.
        requested = np.array(digests, "S64")
        names = sorted(path.name[: -len(".keys.npy")] for path in self.folder.glob("*.keys.npy"))
        segment, row = np.full(len(requested), -1), np.zeros(len(requested), int)
        for number, name in enumerate(names):
            keys = np.load(self.folder / f"{name}.keys.npy")
            order = np.argsort(keys)
            at = np.searchsorted(keys, requested, sorter=order)
            # searchsorted gives len(keys) for what sorts after all keys.
            at = order[np.minimum(at, len(keys) - 1)]
            stored = keys[at] == requested
            segment[stored], row[stored] = number, at[stored]
        missing = segment < 0
        if missing.any() or not len(requested):
            return None, missing
        # Memory-mapped: features may exceed the memory, and runs share the pages.
        segments = [np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in names]
        return Table(segments, segment, row), missing

    def add(
        self, digests: Sequence[str] | np.ndarray, batches: Iterable[np.ndarray], row: np.ndarray
    ) -> None:
        """Write features, segment by segment; those written stay if what follows fails.

        Args:
            digests: Of the images, in the order of their features.
            batches: Features, (batch, ...) each.
            row: An empty array with the shape and type of one image's features on disk.

        Raises:
            OSError: The disk is full, or the folder is gone.
        """
        size = max(1, SEGMENT // max(1, row.nbytes))
        # One by one, because a segment may end within a batch.
        rows = (features for batch in batches for features in batch.astype(row.dtype))
        for start in range(0, len(digests), size):
            keys = np.array(digests[start : start + size], "S64")
            self._add_segment(keys, rows, row)

    def _add_segment(self, keys: np.ndarray, rows: Iterator[np.ndarray], row: np.ndarray) -> None:
        # A unique name: several runs may add to one space at the same time.
        name = uuid.uuid4().hex
        unfinished = self.folder / f"{name}.tmp"
        header = {"descr": row.dtype.str, "fortran_order": False, "shape": (len(keys), *row.shape)}
        try:
            with unfinished.open("wb") as file:
                # The header alone: np.save would need the entire segment in memory.
                np.lib.format.write_array_header_1_0(file, header)
                if hasattr(os, "posix_fallocate"):  # a full disk shows now, not in the middle
                    os.posix_fallocate(file.fileno(), 0, file.tell() + len(keys) * row.nbytes)
                for _ in range(len(keys)):
                    file.write(next(rows).tobytes())
            os.replace(unfinished, self.folder / f"{name}.npy")
            with unfinished.open("wb") as file:
                np.save(file, keys)
            os.replace(unfinished, self.folder / f"{name}.keys.npy")
        finally:
            unfinished.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with contextlib.suppress(OSError):
            return sum(path.stat().st_size for path in self.folder.iterdir())
        return 0

    @property
    def images(self) -> int:
        """Number of images with features."""
        files = self.folder.glob("*.keys.npy")
        return sum(len(np.load(path, mmap_mode="r")) for path in files)

    @property
    def used(self) -> float:
        """When a run last used it, in seconds since the epoch."""
        try:
            return (self.folder / METADATA).stat().st_mtime
        except OSError:
            return 0.0


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


@contextlib.contextmanager
def open_space(cache: Path, metadata: dict[str, Any]) -> Iterator[Space]:
    """Make or open the space of these features; while it is open it is not evicted.

    What has been memory-mapped from it stays readable afterwards, whatever becomes of the files.

    Args:
        cache: The cache folder.
        metadata: All that the features depend on, JSON-ready.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    text = json.dumps(metadata, sort_keys=True)
    space = Space(cache / FOLDER / hashlib.sha256(text.encode()).hexdigest()[:32], metadata)
    space.folder.mkdir(parents=True, exist_ok=True)
    # "a+" neither fails where there is no file nor truncates that of another run.
    with (space.folder / METADATA).open("a+", encoding="utf-8") as file:
        # Unfinished files may be removed only while nobody else writes here.
        if _locked(file, alone=True):
            _sweep(space.folder)
        _locked(file, alone=False)
        if file.tell() == 0:
            file.write(text)
            file.flush()
        # The time of the last use decides which space is evicted first.
        os.utime(space.folder / METADATA)
        yield space


def _locked(file: IO[str], *, alone: bool) -> bool:
    """Lock a space: exclusively if nobody else uses it, otherwise shared."""
    if fcntl is None:
        return not alone
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except OSError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove the rest of a killed run: unfinished files, features without keys."""
    for path in [*folder.glob("*.tmp"), *folder.glob("*.npy")]:
        keys = path.with_name(path.name.replace(".npy", ".keys.npy"))
        if path.suffix == ".tmp" or not (path.name.endswith(".keys.npy") or keys.exists()):
            path.unlink(missing_ok=True)


def spaces(cache: Path) -> list[Space]:
    """All spaces, the least recently used first."""
    folders = []
    for path in (cache / FOLDER).glob(f"*/{METADATA}"):
        with contextlib.suppress(OSError, ValueError):
            folders.append(Space(path.parent, json.loads(path.read_text(encoding="utf-8"))))
    return sorted(folders, key=lambda space: space.used)


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
            if fcntl is not None and not _locked(file, alone=True):
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

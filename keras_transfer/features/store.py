"""Features on disk: written once, memory-mapped, shared by runs, limited in size.

A *space* is a folder below ``features/`` in the cache: features of one network, up to one boundary,
of images of one size, in one view. It holds segments, whose checksums are verified before their
features are used; a damaged segment is set aside, and what it held counts as missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_transfer.atomic import remove_unfinished
from keras_transfer.cache import BROKEN, set_aside
from keras_transfer.features import claims
from keras_transfer.features.locks import lock
from keras_transfer.features.segments import (
    Damaged,
    Segment,
    read_segment,
    segment_names,
    write_segment,
)

__all__ = ["FOLDER", "METADATA", "Space", "Table", "is_current", "open_space", "stored"]

logger = logging.getLogger("keras_transfer")

FOLDER, METADATA = "features", "about.json"
SEGMENT = 1 << 29
"""Bytes of features after which a segment is closed: what a killed run has to compute again."""


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
        verified: Files of features that have been found undamaged.
    """

    folder: Path
    metadata: dict[str, Any]
    verified: set[Path] = field(default_factory=set)

    def find(self, digests: Sequence[str] | np.ndarray) -> tuple[Table | None, np.ndarray]:
        """Look images up.

        Args:
            digests: Of the images' content.

        Returns:
            The table of all of them, if all are there, and (n,) bool: which are missing.

        Raises:
            OSError: A file cannot be read, or a damaged one cannot be renamed.
        """
        requested = _keys(digests)
        while True:
            segments = self._segments()
            segment, row = _places(requested, segments)
            used = [segments[number] for number in np.unique(segment[segment >= 0])]
            # A list: each damaged segment is set aside now. Then others may have the same images.
            if all([self._is_whole(one) for one in used]):
                break
        missing = segment < 0
        if missing.any() or not len(requested):
            return None, missing
        # Memory-mapped: features may exceed the memory, and runs share the pages.
        arrays = [np.load(one.file, mmap_mode="r") for one in used]
        # `used` is in the order of the numbers, so their rank is the place there.
        return Table(arrays, np.unique(segment, return_inverse=True)[1], row), missing

    def _segments(self) -> list[Segment]:
        found = []
        for name in segment_names(self.folder):
            try:
                found.append(read_segment(self.folder, name))
            except FileNotFoundError:  # another run has set it aside
                continue
            except Damaged as error:
                self._set_aside(error)
        return found

    def _is_whole(self, segment: Segment) -> bool:
        if segment.file not in self.verified:
            try:
                segment.verify()
            except Damaged as error:
                self._set_aside(error)
                return False
            self.verified.add(segment.file)
        return True

    def _set_aside(self, error: Damaged) -> None:
        set_aside(error.path, str(error), "its features are computed again")
        # The other file of the segment is of no use without it.
        for path in self.folder.glob(f"{error.path.stem}.*"):
            if path.suffix != BROKEN:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(path, path.with_name(path.name + BROKEN))

    @contextlib.contextmanager
    def claim(self, digests: Sequence[str] | np.ndarray) -> Iterator[np.ndarray]:
        """Claim images whose features this run computes while the block lasts.

        Args:
            digests: Of images that were missing.

        Yields:
            (n,) bool: which are claimed; the others are there by now, or another run has them.

        Raises:
            OSError: The claim cannot be written.
        """
        keys = _keys(digests)
        with contextlib.ExitStack() as held:
            with claims.one_at_a_time(self.folder):
                # Before what is there: a run gives up its claim once its features are there.
                others = claims.claimed(self.folder)
                own = self.find(digests)[1] & ~np.isin(keys, others)
                held.enter_context(claims.claim(self.folder, keys[own]))
            yield own

    def wait(self, digests: Sequence[str] | np.ndarray) -> None:
        """Wait until no other run computes features of these images, outside of any claim."""
        claims.wait(self.folder, _keys(digests))

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
            write_segment(self.folder, _keys(digests[start : start + size]), rows, row)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with contextlib.suppress(OSError):
            return sum(path.stat().st_size for path in self.folder.iterdir())
        return 0

    @property
    def images(self) -> int:
        """Number of images with features; damaged segments do not count."""
        count = 0
        for name in segment_names(self.folder):
            with contextlib.suppress(OSError, Damaged):
                count += len(read_segment(self.folder, name).digests)
        return count

    @property
    def used(self) -> float:
        """When a run last used it, in seconds since the epoch."""
        try:
            return (self.folder / METADATA).stat().st_mtime
        except OSError:
            return 0.0


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
    text, space = _described(cache, metadata)
    with _entered(space.folder) as file:
        file.seek(0)
        if file.read() != text:  # new, or damaged
            file.truncate(0)
            file.write(text)
            file.flush()
        # The time of the last use decides which space is evicted first.
        os.utime(space.folder / METADATA)
        yield space


def stored(cache: Path, metadata: dict[str, Any], digests: Sequence[str] | np.ndarray) -> int:
    """Number of images whose features are in the cache; nothing is made or verified.

    Args:
        cache: The cache folder.
        metadata: As for ``open_space``.
        digests: Of the images' content.
    """
    _, space = _described(cache, metadata)
    found = np.zeros(len(digests), bool)
    for name in segment_names(space.folder):
        with contextlib.suppress(OSError, Damaged):
            found |= np.isin(_keys(digests), read_segment(space.folder, name).digests)
    return int(found.sum())


def _described(cache: Path, metadata: dict[str, Any]) -> tuple[str, Space]:
    """The metadata as text, and the space that is named by their hash."""
    text = json.dumps(metadata, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    return text, Space(cache / FOLDER / name, metadata)


def _entered(folder: Path) -> IO[str]:
    """The open metadata file of a space, with a lock by which nobody evicts the space."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as opened:
            # "a+" neither fails where there is no file nor truncates that of another run.
            file = (folder / METADATA).open("a+", encoding="utf-8", errors="replace")
            opened.enter_context(file)
            # Unfinished files may be removed only while nobody else writes here.
            if lock(file, exclusive=True, wait=False) and is_current(file, folder):
                _sweep(folder)
            lock(file, exclusive=False, wait=True)
            if is_current(file, folder):
                opened.pop_all()
                return file
        # Another run has evicted the space between two of these lines.


def is_current(file: IO[str], folder: Path) -> bool:
    """Whether an open metadata file is still the one of the folder."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), (folder / METADATA).stat())
    except FileNotFoundError:
        return False


def _sweep(folder: Path) -> None:
    """Remove the rest of a killed run: unfinished files, claims, features without an index."""
    remove_unfinished(folder)
    for path in [*folder.glob("*.npy"), *folder.glob("*.claim"), *folder.glob("*.tmp")]:
        if path.stem not in segment_names(folder):
            path.unlink(missing_ok=True)
            if path.name.endswith(".keys.npy"):
                logger.info("Features in %s have no checksums; they are computed again", path)


def _keys(digests: Sequence[str] | np.ndarray) -> np.ndarray:
    # SHA-256 in hex has 64 digits; arrays of fixed width are searched without Python objects.
    return np.array(digests, "S64")


def _places(requested: np.ndarray, segments: Sequence[Segment]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) number of the segment of each image, -1 where none has it, and (n,) its row there."""
    segment, row = np.full(len(requested), -1), np.zeros(len(requested), int)
    for number, one in enumerate(segments):
        order = np.argsort(one.digests)
        at = np.searchsorted(one.digests, requested, sorter=order)
        # searchsorted gives len(digests) for what sorts after all of them.
        at = order[np.minimum(at, len(order) - 1)]
        stored = one.digests[at] == requested
        segment[stored], row[stored] = number, at[stored]
    return segment, row

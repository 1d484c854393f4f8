"""One segment of stored features: two files with checksums that belong together.

``<name>.npy`` has the features, ``<name>.index`` the digests of their images in the order of the
rows. The index also states the checksum of the features and the space that both belong to, and
ends with a checksum of its own. So other rows, another order of them, the digests of another
segment and the segment of another network are all found, as a flipped bit is.
"""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from keras_transfer.atomic import is_unfinished, replacing, write_bytes

__all__ = ["Damaged", "Segment", "read_segment", "segment_names", "write_segment"]

INDEX = ".index"
_CHECKSUM = 4
"""Bytes of a checksum at the end of an index."""
_CHUNK = 1 << 20


class Damaged(Exception):
    """A file is not as it was written; the message says what was found.

    Args:
        path: The file.
        found: What was found.
    """

    def __init__(self, path: Path, found: str):
        super().__init__(found)
        self.path = path


@dataclass(frozen=True, eq=False)
class Segment:
    """What the index of a segment says.

    Attributes:
        file: Path of the features.
        digests: (n,) bytes: the image of each row.
        size: Bytes of the file of features.
        checksum: CRC-32 of this file.
    """

    file: Path
    digests: np.ndarray
    size: int
    checksum: int

    def verify(self) -> None:
        """Read the features once and compare them with their checksum.

        Raises:
            Damaged: They are not those that were written.
            OSError: They cannot be read, which says nothing about their content.
        """
        checksum, size = 0, 0
        buffer = memoryview(bytearray(_CHUNK))
        try:
            # Not through a memory map: a bad sector is an error here, and ends the process there.
            with self.file.open("rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    checksum, size = crc32(buffer[:count], checksum), size + count
        except FileNotFoundError:
            raise Damaged(self.file, "the file is missing") from None
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            raise Damaged(self.file, str(error)) from None
        if size != self.size:
            raise Damaged(self.file, f"it has {size:,} bytes, not {self.size:,}")
        if checksum != self.checksum:
            raise Damaged(self.file, "its content does not match its checksum")


def segment_names(folder: Path) -> list[str]:
    """Names of the segments of a space; those in the making do not count."""
    indexes = (path for path in folder.glob(f"*{INDEX}") if not is_unfinished(path))
    return sorted(path.name.removesuffix(INDEX) for path in indexes)


def read_segment(folder: Path, name: str) -> Segment:
    """Read the index of a segment.

    Args:
        folder: The folder of the space.
        name: Name of the segment.

    Raises:
        Damaged: The index is not as it was written, or belongs to another space.
        OSError: It cannot be read.
    """
    path = folder / f"{name}{INDEX}"
    content = path.read_bytes()
    body, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
    if not body or _stored(body) != checksum:
        raise Damaged(path, "its content does not match its checksum")
    # Only what we wrote comes here: nothing is parsed before its checksum is right.
    header, _, digests = body.partition(b"\n")
    about = json.loads(header)
    if about["space"] != folder.name:
        raise Damaged(path, f"it belongs to the features in {about['space']}")
    table = np.frombuffer(digests, "S64")
    return Segment(folder / f"{name}.npy", table, about["size"], about["crc32"])


def write_segment(
    folder: Path, digests: np.ndarray, rows: Iterator[np.ndarray], row: np.ndarray
) -> None:
    """Write a segment, the index last: features without one do not count.

    Args:
        folder: The folder of the space.
        digests: (n,) bytes, of the images.
        rows: Gives their features; n are taken.
        row: An empty array with the shape and type of one image's features on disk.

    Raises:
        OSError: The disk is full, or the folder is gone.
    """
    # A unique name: several runs may add to one space at the same time.
    name = uuid.uuid4().hex
    file = folder / f"{name}.npy"
    with replacing(file) as part:
        checksum = _write_features(part, len(digests), rows, row)
        size = part.stat().st_size
    about = {"space": folder.name, "size": size, "crc32": checksum}
    body = json.dumps(about).encode() + b"\n" + digests.tobytes()
    write_bytes(folder / f"{name}{INDEX}", body + _stored(body))


def _write_features(part: Path, count: int, rows: Iterator[np.ndarray], row: np.ndarray) -> int:
    """Write the file of features; return its checksum."""
    header = {"descr": row.dtype.str, "fortran_order": False, "shape": (count, *row.shape)}
    with part.open("w+b") as file:
        # The header alone: np.save would need the entire segment in memory.
        np.lib.format.write_array_header_1_0(file, header)
        length = file.tell()
        if hasattr(os, "posix_fallocate"):  # a full disk shows now, not in the middle
            os.posix_fallocate(file.fileno(), 0, length + count * row.nbytes)
        file.seek(0)
        checksum = crc32(file.read(length))
        for _ in range(count):
            content = next(rows).tobytes()
            checksum = crc32(content, checksum)
            file.write(content)
    return checksum


def _stored(body: bytes) -> bytes:
    return crc32(body).to_bytes(_CHECKSUM, "little")

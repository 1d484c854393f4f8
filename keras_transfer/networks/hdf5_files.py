"""The one way into HDF5 files of others: only numbers that lie in the file itself are read.

HDF5 can follow links to other files, keep arrays in any local file, and declare shapes far larger
than what is stored. Keras writes none of that, so a file with it is refused before an array is
read.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.errors import BadWeights, TransferError
from keras_transfer.hdf5_checks import problem_of

if TYPE_CHECKING:
    import h5py

__all__ = ["CONFIG", "WEIGHTS", "member", "opened_hdf5", "reading"]

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"
"""Members of a ``.keras`` file, which is a ZIP archive."""

EXPANSION = 100
"""Largest ratio of the bytes that a file declares to those that it has: gzip's is 1000."""


@contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file, or the weights of a ``.keras`` file, and check everything in it.

    Raises:
        BadWeights: It is not there, is of another format, is damaged, or refers to anything that
            is not in it. Errors of the block that reads from the file count as damage.
    """
    import h5py

    with reading(path):
        source = io.BytesIO(member(path, WEIGHTS)) if path.suffix == ".keras" else path
        with h5py.File(source, "r") as file:
            _check_objects(file, path, path.stat().st_size)
            # Inside of `reading`: HDF5 data that break off show only when the arrays are read.
            yield file


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every error of reading a file of weights into ``BadWeights``.

    Raises:
        BadWeights: The file is not there, or reading it failed.
    """
    if not (path.is_file() and os.access(path, os.R_OK)):
        raise BadWeights(f"The weights file {path} does not exist or cannot be read.")
    try:
        yield
    except TransferError:
        raise
    # Damage shows as any error: the libraries below take the content for granted.
    except Exception as error:
        raise BadWeights(_unreadable(path, error)) from None


def _unreadable(path: Path, error: Exception) -> str:
    with open(path, "rb") as file:
        start = file.read(24)
    said = str(error) or type(error).__name__
    return (
        f"{path} cannot be read as weights: {said:.500}. It is {path.stat().st_size} bytes long "
        f"and begins with {start!r}; weights are HDF5 files (.weights.h5, .h5) or .keras files, "
        "and an incomplete download must be repeated."
    )


def member(path: Path, name: str, only: Collection[str] = ()) -> bytes:
    """The content of a member of a ``.keras`` file, which has its checksum.

    Args:
        path: The file.
        name: Of the member.
        only: Names of all members that the file may have; any if empty.

    Raises:
        BadWeights: A member has another name, or is larger than the file can hold.
        KeyError: There is no such member.
        zipfile.BadZipFile: The file is no archive, or the member has changed.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        other = sorted(set(names) - set(only)) if only else []
        if other or len(set(names)) < len(names):
            found = f"{other[0]!r}" if other else "two members of one name"
            raise BadWeights(
                f"{path} holds {found:.100}, which no model of keras_transfer has. Such a file "
                "is not loaded."
            )
        if archive.getinfo(name).file_size > EXPANSION * path.stat().st_size:
            raise BadWeights(
                f"{path} declares {archive.getinfo(name).file_size} bytes of {name}, but has only "
                f"{path.stat().st_size}. Such a file is not read."
            )
        return archive.read(name)


def _check_objects(file: h5py.File, path: Path, size: int) -> None:
    """Walk through all groups and datasets, without following a link out of the file."""
    import h5py

    groups, seen, declared = [file], set(), 0
    arrays: dict[int, h5py.Dataset] = {}
    while groups:
        group = groups.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            raise _refused(path, group, "is a group inside of itself")
        seen.add(address)
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                where = getattr(link, "filename", "") or getattr(link, "path", "")
                raise _refused(path, group, f"has a link {name!r} to {where!r}")
            node = group[name]
            if isinstance(node, h5py.Group):
                groups.append(node)
                continue
            if problem := problem_of(node):
                raise _refused(path, node, problem)
            declared += node.nbytes
            arrays[h5py.h5o.get_info(node.id).addr] = node
    if declared > EXPANSION * size:
        raise BadWeights(
            f"{path} declares arrays of {declared} bytes, but has only {size}. Such a file is not "
            "read."
        )
    _check_places(path, arrays.values())


def _refused(path: Path, node: Any, problem: str) -> BadWeights:
    return BadWeights(
        f"{path} cannot be read as weights: {node.name} {problem:.200}. Weights are numbers that "
        "lie in the file itself; save them again by Keras."
    )


def _check_places(path: Path, arrays: Iterable[h5py.Dataset]) -> None:
    """Arrays that lie in one piece must not overlap, as they do behind a damaged address."""
    places = [(array.id.get_offset(), array) for array in arrays if array.nbytes]
    end = 0
    for offset, array in sorted((place for place in places if place[0]), key=lambda one: one[0]):
        if offset < end:
            raise _refused(path, array, "lies in the same place as another array")
        end = offset + array.nbytes

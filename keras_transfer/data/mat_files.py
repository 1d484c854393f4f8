"""What MATLAB files hold: those of version 7.3, which are HDF5 files, and older ones.

Both are read with MATLAB's axes, of which h5py shows the reverse.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import h5py
import numpy as np
from scipy.io import loadmat, whosmat

from keras_transfer.data.memory import check_fits
from keras_transfer.hdf5_checks import problem_of

__all__ = ["Stated", "format_of"]

NUMBERS = (
    "double",
    "single",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
"""MATLAB's classes of plain numbers."""

HDF5 = b"\x89HDF\r\n\x1a\n"
HEADER = 512
"""Bytes before the HDF5 file in a file of MATLAB."""

COMPRESSED, PIECE = 15, 1 << 16


class Stated(NamedTuple):
    """What a file states of an array.

    Attributes:
        problem: Why it is not read, the end of a sentence; "" if it can be.
        size: Bytes that it takes in memory.
    """

    problem: str
    size: int


class Format(NamedTuple):
    """How files of one version are read.

    Attributes:
        listed: What an open file states of its arrays, by name; none of them is read.
        load: Arrays of these names, with MATLAB's axes.
    """

    listed: Callable[[Path, IO[bytes]], dict[str, Stated]]
    load: Callable[[IO[bytes], Sequence[str]], dict[str, np.ndarray]]


def format_of(file: IO[bytes]) -> Format:
    """The format of an open file."""
    start = file.read(HEADER + len(HDF5))
    file.seek(0)
    return NEW if HDF5 in (start[: len(HDF5)], start[HEADER:]) else OLD


def _listed_new(path: Path, file: IO[bytes]) -> dict[str, Stated]:
    with h5py.File(file, "r") as content:
        # MATLAB keeps what cells refer to in #refs#.
        return {name: _stated(content, name) for name in content if not name.startswith("#")}


def _stated(content: h5py.File, name: str) -> Stated:
    link = content.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):  # not followed
        return Stated("is a link to another array or file", 0)
    node = content[name]
    kind = node.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if isinstance(node, h5py.Group):
        return Stated(f"is a {kind or 'struct'}", 0)
    if kind and kind not in NUMBERS:
        return Stated(f"is a {kind}", 0)
    if "MATLAB_empty" in node.attrs:
        return Stated("is empty", 0)
    if problem := problem_of(node):
        return Stated(problem, 0)
    if not kind and node.ndim > 2:
        return Stated("was not written by MATLAB, so the order of its axes is not known", 0)
    return Stated("", node.nbytes)


def _load_new(file: IO[bytes], names: Sequence[str]) -> dict[str, np.ndarray]:
    with h5py.File(file, "r") as content:
        return {name: content[name][()].T for name in names}


def _listed_old(path: Path, file: IO[bytes]) -> dict[str, Stated]:
    _check_unpacked(path, file)
    listed: dict[str, Stated] = {}
    for name, shape, kind in whosmat(file):
        problem = "" if kind in NUMBERS else f"is a {kind}"
        size = 0 if problem else math.prod(map(int, shape)) * _itemsize(kind)
        listed[name] = Stated("is there twice" if name in listed else problem, size)
    return listed


def _itemsize(kind: str) -> int:
    return np.dtype(kind).itemsize


def _check_unpacked(path: Path, file: IO[bytes]) -> None:
    """Refuse a compressed element that unpacks to more than the free memory.

    SciPy unpacks it whole, whatever the shape of its array. Files of version 4 have none.
    """
    start = file.read(128)
    order = {b"IM": "<", b"MI": ">"}.get(start[126:])
    while order and len(tag := file.read(8)) == 8:
        kind, left = struct.unpack(f"{order}II", tag)
        if kind != COMPRESSED:
            file.seek(left, 1)
            continue
        unpacker, size = zlib.decompressobj(), 0
        while left > 0 and (packed := file.read(min(left, PIECE))):
            left -= len(packed)
            size += len(unpacker.decompress(packed))
            check_fits(path, size)
    file.seek(0)


def _load_old(file: IO[bytes], names: Sequence[str]) -> dict[str, np.ndarray]:
    # mat_dtype: MATLAB writes doubles that are whole numbers as bytes.
    arrays = loadmat(file, mat_dtype=True, variable_names=[*names])
    return {name: arrays[name] for name in names}


NEW = Format(_listed_new, _load_new)
OLD = Format(_listed_old, _load_old)

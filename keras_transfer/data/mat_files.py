"""What MATLAB files hold: those of version 7.3, which are HDF5 files, and older ones.

Both are read with MATLAB's axes, of which h5py shows the reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO, NamedTuple

import h5py
import numpy as np

from keras_transfer.data import mat5
from keras_transfer.hdf5_checks import problem_of

__all__ = ["Stated", "format_of"]

HDF5 = b"\x89HDF\r\n\x1a\n"
HEADER = 512
"""Bytes before the HDF5 file in a file of MATLAB."""


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

    listed: Callable[[IO[bytes]], dict[str, Stated]]
    load: Callable[[IO[bytes], Sequence[str]], dict[str, np.ndarray]]


def format_of(file: IO[bytes]) -> Format:
    """The format of an open file."""
    start = file.read(HEADER + len(HDF5))
    file.seek(0)
    return NEW if HDF5 in (start[: len(HDF5)], start[HEADER:]) else OLD


def _listed_new(file: IO[bytes]) -> dict[str, Stated]:
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
        kind = "sparse" if "MATLAB_sparse" in node.attrs else "struct"
    if kind and kind not in mat5.NUMBERS.values():
        return Stated(f"is a {kind} array", 0)
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


def _listed_old(file: IO[bytes]) -> dict[str, Stated]:
    listed: dict[str, Stated] = {}
    for found in mat5.variables(file):
        if found.name in listed:
            listed[found.name] = Stated("is there twice", 0)
        elif found.kind not in mat5.NUMBERS.values():
            listed[found.name] = Stated(f"is a {found.kind} array", 0)
        else:
            listed[found.name] = Stated("" if 0 not in found.shape else "is empty", found.size)
    listed.pop("", None)  # what functions refer to
    return listed


def _load_old(file: IO[bytes], names: Sequence[str]) -> dict[str, np.ndarray]:
    found = {one.name: one for one in mat5.variables(file) if one.name in names}
    return {name: mat5.load(file, one) for name, one in found.items()}


NEW = Format(_listed_new, _load_new)
OLD = Format(_listed_old, _load_old)

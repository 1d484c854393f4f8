"""Arrays of numbers in MATLAB files of version 5, 6 and 7.

Not by SciPy: damaged files end its process, and it unpacks whatever a file holds.

The MathWorks, "MAT-File Format": a header of 128 bytes, then elements, each with a tag of its type
and its size. An array is an element of elements: flags, dimensions, name, values.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np

__all__ = ["NUMBERS", "Variable", "load", "variables"]

NUMBERS = {
    **{6: "double", 7: "single", 8: "int8", 9: "uint8", 10: "int16", 11: "uint16"},
    **{12: "int32", 13: "uint32", 14: "int64", 15: "uint64"},
}
"""MATLAB's classes of plain numbers, which are also names of NumPy's types."""

OTHERS = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function"}

STORED = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"},
    **{12: "i8", 13: "u8"},
}
"""Types of elements of numbers: doubles that are whole numbers are written as bytes."""

ORDERS = {b"IM": "<", b"MI": ">"}
MATRIX, COMPRESSED = 14, 15
LOGICAL, COMPLEX = 0x200, 0x800

HEADER, TAG = 128, 8
MOST_BEFORE = 1024
"""Bytes before the values of an array: names have at most 63."""


class Variable(NamedTuple):
    """An array in a file.

    Attributes:
        name: In MATLAB.
        shape: In MATLAB.
        kind: One of ``NUMBERS``, or "cell", "logical", "complex" and such.
        order: Byte order.
        place: Of its element in the file.
        start: Of its values in the element, once it is unpacked.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    order: str
    place: int
    start: int

    @property
    def size(self) -> int:
        """Bytes of its values in memory."""
        return math.prod(self.shape) * np.dtype(self.kind).itemsize


def variables(file: IO[bytes]) -> Iterator[Variable]:
    """What an open file holds; no values are read.

    Raises:
        ValueError: The file is of another format, or damaged.
    """
    file.seek(0)
    order = ORDERS.get(file.read(HEADER)[HEADER - 2 :])
    if order is None:
        raise ValueError("it is not of version 5 to 7.3")
    place = HEADER
    while tag := _seek(file, place).read(8):
        _, size, _, _ = _element(tag, 0, order)
        yield _variable(_unpacked(file, place, order, MOST_BEFORE), order, place)
        place += 8 + size


def load(file: IO[bytes], variable: Variable) -> np.ndarray:
    """Read the values of an array of numbers.

    Returns:
        An array with MATLAB's shape and class.

    Raises:
        ValueError: The file has other values than it states.
    """
    # More cannot be meant, whatever the element unpacks to.
    limit = variable.start + variable.size + 2 * TAG
    content = _unpacked(file, variable.place, variable.order, limit)
    values = _values(content, variable.start, variable.order)
    return values.reshape(variable.shape, order="F").astype(variable.kind)


def _seek(file: IO[bytes], place: int) -> IO[bytes]:
    file.seek(place)
    return file


def _unpacked(file: IO[bytes], place: int, order: str, limit: int) -> bytes:
    """The first ``limit`` bytes of the element at a place, with its tag."""
    kind, size, _, _ = _element(_seek(file, place).read(8), 0, order)
    if kind != COMPRESSED:
        return _seek(file, place).read(min(8 + size, limit))
    # What cannot be compressed grows by less than a thousandth.
    packed = file.read(min(size, limit + limit // 1000 + 64))
    return zlib.decompressobj().decompress(packed, limit)


def _variable(content: bytes, order: str, place: int) -> Variable:
    kind, _, at, _ = _element(content, 0, order)
    if kind != MATRIX:
        raise ValueError(f"it holds an element of type {kind}, which is no array")
    _, _, flags_at, at = _element(content, at, order)
    (flags,) = struct.unpack_from(f"{order}I", content, flags_at)
    _, _, _, after = _element(content, at, order)
    shape = tuple(_values(content, at, order).tolist())
    if min(shape, default=-1) < 0:
        raise ValueError(f"it states an array of shape {shape}")
    _, size, name_at, start = _element(content, after, order)
    name = content[name_at : name_at + size].decode("latin-1")
    return Variable(name, shape, _kind(flags), order, place, start)


def _kind(flags: int) -> str:
    if flags & LOGICAL:
        return "logical"
    if flags & COMPLEX:
        return "complex"
    number = flags & 0xFF
    return NUMBERS.get(number) or OTHERS.get(number, "special")


def _values(content: bytes, at: int, order: str) -> np.ndarray:
    """(n,) values of the element of numbers at a place."""
    kind, size, start, _ = _element(content, at, order)
    if kind not in STORED:
        raise ValueError(f"it holds values of the unknown type {kind}")
    if start + size > len(content):
        raise ValueError("its end is missing, or an array has more values than it states")
    dtype = np.dtype(order + STORED[kind])
    return np.frombuffer(content, dtype, size // dtype.itemsize, start)


def _element(content: bytes, at: int, order: str) -> tuple[int, int, int, int]:
    """Type and size of the element at a place, where its content starts, and the next one."""
    kind, size = struct.unpack_from(f"{order}II", content, at)
    if kind >> 16:  # up to four bytes are kept in the tag
        return kind & 0xFFFF, min(kind >> 16, 4), at + 4, at + 8
    return kind, size, at + 8, at + 8 + size + -size % 8

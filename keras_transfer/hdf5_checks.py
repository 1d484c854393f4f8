"""What is wrong with an HDF5 dataset of others: only numbers in the file itself are read."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["problem_of"]


def problem_of(node: Any) -> str:
    """Say why an object of an HDF5 file is not read.

    Args:
        node: ``h5py.Dataset`` or another object of an open file.

    Returns:
        The end of a sentence that begins with its name; "" if nothing is wrong.
    """
    import h5py

    if not isinstance(node, h5py.Dataset):
        return "is a named type, not an array"
    if node.external:
        return f"is kept in another file, {node.external[0][0]!r}"
    if node.is_virtual:
        return "is put together from other datasets, which may lie in other files"
    if not _is_number(node.id.get_type()):
        return f"has the type {node.dtype}, which is no plain number"
    stored, chunks = node.id.get_storage_size(), node.chunks
    if chunks is None and stored != node.nbytes:
        return f"has {stored} bytes where its shape {node.shape} needs {node.nbytes}"
    # A chunk is decompressed as a whole, even if one number of it is wanted.
    if chunks is not None and math.prod(chunks) > max(1, node.size):
        return f"is kept in pieces of shape {chunks}, larger than its own {node.shape}"
    return ""


def _is_number(kind: Any) -> bool:
    """Whether a type is one that NumPy writes: a flipped bit may make it, say, big-endian."""
    from h5py import h5t

    floats = (h5t.IEEE_F16LE, h5t.IEEE_F32LE, h5t.IEEE_F64LE)
    whole = [getattr(h5t, f"STD_{sign}{bits}LE") for sign in ("I", "U") for bits in (8, 16, 32, 64)]
    return any(kind.equal(known) for known in (*floats, *whole, h5t.py_create(bool)))

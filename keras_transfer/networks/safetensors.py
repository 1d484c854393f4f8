"""Single arrays of a .safetensors file, read as data."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection
from pathlib import Path

import numpy as np

from keras_transfer.errors import BadWeights

__all__ = ["read_tensors"]

_LARGEST_HEADER = 100_000_000  # as in safetensors itself
_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


def read_tensors(file: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Read some arrays of a file of Hugging Face's format.

    Args:
        file: Its first 8 bytes are the length of a JSON header, which says where arrays lie.
        names: The arrays; those that it does not have are left out.

    Returns:
        float32 arrays by name.

    Raises:
        BadWeights: The file is damaged, or an array has values of another type than floats.
    """
    try:
        with file.open("rb") as content:
            (length,) = struct.unpack("<Q", content.read(8))
            if length > _LARGEST_HEADER:
                raise ValueError("its header is too long")
            header = dict(json.loads(content.read(length)))
            found = {}
            for name in sorted(set(names) & set(header)):
                row = header[name]
                first, last = row["data_offsets"]
                content.seek(8 + length + first)
                values = np.frombuffer(content.read(last - first), _FLOATS[row["dtype"]])
                found[name] = values.reshape(row["shape"]).astype("float32")
    except (OSError, ValueError, LookupError, TypeError, struct.error) as error:
        raise BadWeights(f"{file} cannot be read: {error}. Get the weights again.") from None
    return found

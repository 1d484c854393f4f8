"""Images and labels from an .npz file."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Sequence
from itertools import chain
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from keras_transfer.data.array_pairs import CLASS_NAMES, array_pairs
from keras_transfer.data.arrays import read_parts
from keras_transfer.data.memory import check_fits
from keras_transfer.data.regular_files import opened
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData, TransferError

__all__ = ["read_npz"]

# ValueError: objects; RuntimeError: a password, or a compression that Python does not have.
_BROKEN = (OSError, EOFError, ValueError, OverflowError, RuntimeError, BadZipFile, zlib.error)

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(
    path: Path, known: Collection[str] = (), columns: tuple[str, ...] = (), name: str = ""
) -> Samples:
    """Read images and labels from an .npz file.

    It holds ``x_train`` and ``y_train``, perhaps ``x_val`` and ``y_val``, ``x_test`` and
    ``y_test``; or ``x`` and ``y``; or pairs of other names. ``class_names`` may name the classes,
    in label order. Other arrays are ignored, and named in the log.

    Args:
        path: The file.
        known: As in ``read_arrays``.
        columns: As in ``read_parts``.
        name: Of the array of images, as in ``array_pairs``.

    Raises:
        UnknownName: No array of images is called ``name``.
        BadData: The file is broken, lacks an array, holds several pairs of which none is named,
            or other things than plain arrays.
    """
    try:
        # Not np.load, which takes any file by its content, a single array too.
        with opened(path) as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            splits = array_pairs(path, archive.files, name)
            _check_sizes(path, [CLASS_NAMES, *chain(*splits.values())])
            classes = [*archive[CLASS_NAMES]] if CLASS_NAMES in archive.files else None
            arrays = {split: (archive[x], archive[y]) for split, (x, y) in splits.items()}
    except TransferError:  # UnknownName is a KeyError
        raise
    except (KeyError, *_BROKEN) as error:
        raise BadData(
            f"{path} cannot be read as images and labels ({error}). numpy.savez_compressed "
            "writes such a file from arrays x_train, y_train, x_test, y_test of numbers."
        ) from error
    return read_parts(arrays, classes, known, columns)


def _check_sizes(path: Path, names: Sequence[str]) -> None:
    """Compare what the headers of arrays state with what is there, and with the free memory.

    NumPy allocates what a header states: of a file of a kilobyte that may be a petabyte.
    """
    total = 0
    with ZipFile(path) as archive:
        members = {f"{name}{end}" for name in names for end in ("", ".npy")}
        for member in members & {*archive.namelist()}:
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                if version not in _HEADERS:
                    raise ValueError(f"{member} holds records, not numbers")
                shape, _, dtype = _HEADERS[version](file)
                there = archive.getinfo(member).file_size - file.tell()
            stated = math.prod(shape) * dtype.itemsize
            if not dtype.hasobject and stated != there:
                raise ValueError(f"{member} states {shape} of {dtype}, and has {there:,} bytes")
            total += stated
    check_fits(path, total)

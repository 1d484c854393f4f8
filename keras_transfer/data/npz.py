"""Images and labels from an .npz file."""

from __future__ import annotations

import logging
import math
import re
import zlib
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from keras_transfer.data import memory
from keras_transfer.data.arrays import read_parts
from keras_transfer.data.regular_files import opened
from keras_transfer.data.samples import SPLITS, Samples
from keras_transfer.data.split_names import split_of
from keras_transfer.errors import BadData

__all__ = ["read_npz"]

logger = logging.getLogger("keras_transfer")

# ValueError: objects; RuntimeError: a password, or a compression that Python does not have.
_BROKEN = (OSError, EOFError, ValueError, OverflowError, RuntimeError, BadZipFile, zlib.error)

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(path: Path, known: Collection[str] = (), columns: tuple[str, ...] = ()) -> Samples:
    """Read images and labels from an .npz file.

    It holds ``x_train`` and ``y_train``, perhaps ``x_val`` and ``y_val``, ``x_test`` and
    ``y_test``; or ``x`` and ``y``. ``class_names`` may name the classes, in label order. Other
    arrays are ignored, and named in the log.

    Args:
        path: The file.
        known: As in ``read_arrays``.
        columns: As in ``read_parts``.

    Raises:
        BadData: The file is broken, lacks an array, holds two of one split, or other things than
            plain arrays.
    """
    try:
        # Not np.load, which takes any file by its content, a single array too.
        with opened(path) as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            splits = _npz_splits(path, archive.files)
            _check_sizes(path, ["class_names", *chain(*splits.values())])
            classes = [*archive["class_names"]] if "class_names" in archive.files else None
            arrays = {split: (archive[x], archive[y]) for split, (x, y) in splits.items()}
    except (KeyError, *_BROKEN) as error:
        raise BadData(
            f"{path} cannot be read as images and labels ({error}). numpy.savez_compressed "
            "writes such a file from arrays x_train, y_train, x_test, y_test of numbers."
        ) from error
    return read_parts(arrays, classes, known, columns)


def _npz_splits(path: Path, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Names of the images and of the labels in an .npz file, by split."""
    splits: dict[str, tuple[str, str]] = {}
    for name in names:
        match = re.fullmatch(r"[xX](?:_(\w+))?", name)
        split = split_of(match[1]) if match and match[1] else ""
        if not match or (match[1] and not split):
            continue
        if split in splits:
            raise BadData(
                f"{path} holds {splits[split][0]} and {name}, both of which are the "
                f"{split or 'undecided'} split. Join them, or remove one of them."
            )
        labels = "Y" + name[1:]
        splits[split] = (name, labels if labels in names else "y" + name[1:])
    if not splits:
        raise BadData(
            f"{path} should hold x_train and y_train, or x and y; found {', '.join(names)}."
        )
    _check_others(path, names, [name for pair in splits.values() for name in pair])
    return splits


def _check_others(path: Path, names: Sequence[str], used: Sequence[str]) -> None:
    """Refuse arrays that seem to be meant for a split; log the other unread ones."""
    unread = [name for name in names if name not in (*used, "class_names")]
    present = {name.lower() for name in (*used, *names)} - {name.lower() for name in unread}
    meant = ["class_names", *(f"{xy}_{split}" for xy in "xy" for split in SPLITS)]
    for name in unread:
        if re.fullmatch(r"[yY](_\w+)?", name) and split_of(name[2:]):
            raise BadData(f"{path} holds {name}, but no x{name[1:]}. Add it, or remove {name}.")
        near = get_close_matches(name.lower(), meant, n=1, cutoff=0.75)
        if near and near[0] not in present:
            raise BadData(
                f"{path} holds an array {name}, which is not read. Did you mean {near[0]!r}? "
                "Rename or remove it."
            )
    if unread:
        logger.info("Ignored arrays in %s: %s", path, ", ".join(unread))


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
    free = memory.available()
    if total > free:
        raise BadData(
            f"{path} holds {total / 1e9:,.1f} GB of arrays, and {free / 1e9:,.1f} GB of memory are "
            "free. Give fewer images, or a folder of image files, which are read as they are "
            "needed."
        )

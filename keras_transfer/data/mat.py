"""Images and labels from a MATLAB file."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np

from keras_transfer.data.array_pairs import array_pairs
from keras_transfer.data.arrays import read_parts
from keras_transfer.data.mat_files import Stated, format_of
from keras_transfer.data.memory import check_fits
from keras_transfer.data.regular_files import opened
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData, TransferError

__all__ = ["read_mat"]


def read_mat(
    path: Path, known: Collection[str] = (), columns: tuple[str, ...] = (), name: str = ""
) -> Samples:
    """Read images and labels from a MATLAB file of version 5, 6, 7 or 7.3.

    Images are MATLAB's (features, n), (height, width, n) or (height, width, channels, n), or have
    their number n first: the number of the labels decides. The features of a flat image are the
    rows of a square one, one after the other. Labels are (1, n) or (n, 1) numbers.

    Args:
        path: The file.
        known: As in ``read_arrays``.
        columns: As in ``read_parts``.
        name: Of the array of images, as in ``array_pairs``.

    Raises:
        UnknownName: No array of images is called ``name``.
        BadData: The file is broken, holds several pairs of which none is named, or the arrays are
            no numbers, no square images, or could be read in two ways.
    """
    with opened(path) as file, _reading(path):
        listed, load = format_of(file)
        stated = listed(file)
        splits = array_pairs(path, [*stated], name)
        names = [*chain(*splits.values())]
        _check(path, {name: stated[name] for name in names})
        arrays = load(file, names)
    pairs = {split: _pair(path, arrays, *pair) for split, pair in splits.items()}
    return read_parts(pairs, None, known, columns)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except TransferError:
        raise
    # Damage shows as any error: h5py takes the content for granted.
    except Exception as error:
        said = str(error) or type(error).__name__
        raise BadData(
            f"{path} cannot be read as a MATLAB file ({said:.300}). MATLAB's save and "
            "scipy.io.savemat write such a file."
        ) from error


def _check(path: Path, stated: Mapping[str, Stated]) -> None:
    """Refuse arrays of other things than numbers, and more than the memory can hold."""
    problems = [f"{name} {array.problem}" for name, array in stated.items() if array.problem]
    if problems:
        raise BadData(
            f"Images and labels in {path} should be arrays of numbers, such as double or uint8. "
            "Convert them in MATLAB, and save them again:",
            problems,
        )
    check_fits(path, sum(array.size for array in stated.values()))


def _pair(
    path: Path, arrays: Mapping[str, np.ndarray], images: str, labels: str
) -> tuple[np.ndarray, np.ndarray]:
    """(n, h, w) or (n, h, w, c) images and (n,) labels."""
    x, y = arrays[images], arrays[labels]
    if y.size != max(y.shape, default=0):
        raise BadData(
            f"{labels} in {path} should be (1, n) or (n, 1), one label for each image; found "
            f"{y.shape}."
        )
    places = [place for place in (0, x.ndim - 1) if x.ndim > 1 and x.shape[place] == y.size]
    if len(places) != 1:
        problem = (
            "the first and the last axis have that length. Leave out an image"
            if places
            else "neither the first nor the last axis has that length. Give one label per image"
        )
        raise BadData(
            f"{images} in {path} is {x.shape}, and {labels} holds {y.size:,} labels: {problem}."
        )
    x = np.moveaxis(x, places[0], 0)
    return _square(path, images, x) if x.ndim == 2 else x, y.ravel()


def _square(path: Path, name: str, x: np.ndarray) -> np.ndarray:
    """(n, h, h) images of (n, h * h) values."""
    n, values = x.shape
    side = math.isqrt(values)
    if side**2 == values:
        return x.reshape(n, side, side)
    coloured = values == 3 * math.isqrt(values // 3) ** 2
    raise BadData(
        f"The images of {name} in {path} have {values:,} values each, which are "
        + ("square if they have three colours, in an unknown order" if coloured else "not square")
        + ". Save them as (height, width, n) or (height, width, 3, n)."
    )

"""Images in arrays: from a script, from an .npz file, or scikit-learn's own."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import tensorflow as tf

from keras_transfer.data.samples import CheckResult, Judge, Samples
from keras_transfer.data.split_names import SPLIT_WORDS
from keras_transfer.errors import BadData
from keras_transfer.tables import Table

__all__ = ["Arrays", "read_arrays", "read_npz", "read_parts", "read_sklearn"]

_BROKEN = (OSError, EOFError, ValueError, BadZipFile, zlib.error)  # ValueError: objects


class Arrays:
    """A store of images that lie in one array.

    Args:
        x: (n, height, width) grey or (n, height, width, 1 | 3 | 4) pixels; whole numbers in
            0..255, or floats in 0..1 or 0..255.

    Raises:
        BadData: The array has another shape, sort or range.
    """

    def __init__(self, x: np.ndarray):
        self._pixels = _pixels(np.asarray(x))
        self._shape = (*self._pixels.shape[1:3], 3)

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Read image number ``row``: (height, width, 3) uint8 RGB."""
        return tf.broadcast_to(tf.gather(self._tensor, row)[..., :3], self._shape)  # no alpha

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Digest the RGB pixels of image ``row``; an array that was accepted has none broken."""
        rgb = np.broadcast_to(self._pixels[row][..., :3], self._shape)
        return CheckResult(hashlib.sha256(rgb.tobytes()).hexdigest())

    def stamp(self, row: int) -> None:
        """Say that looking again costs nothing."""

    @cached_property
    def _tensor(self) -> tf.Tensor:
        # Made outside of any graph, so that graphs capture it instead of holding a copy.
        with tf.init_scope(), tf.device("CPU"):
            return tf.constant(self._pixels)


def _pixels(x: np.ndarray) -> np.ndarray:
    """(n, h, w, c) uint8 of an array of any accepted sort; no copy of one that is so already."""
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3, 4)) or 0 in x.shape:
        raise BadData(
            "Images in an array should be (n, height, width) or (n, height, width, channels) "
            f"with 1, 3 or 4 channels, which come last; found {x.shape}."
        )
    if x.dtype.kind not in "uif":
        raise BadData(f"Pixels should be uint8, or floats in 0..1 or 0..255; found {x.dtype}.")
    if x.dtype != np.uint8:
        x = np.round(x * _to_255(x)).astype(np.uint8)
    return x if x.ndim == 4 else x[..., np.newaxis]


def _to_255(x: np.ndarray) -> int:
    """Factor from the range of the array to 0..255."""
    low, high = x.min(), x.max()
    floats = x.dtype.kind == "f"
    if not (low >= 0 and high <= 255) or (floats and 1 < high < 2):  # also for NaN
        raise BadData(f"Pixels should lie in 0..255, or 0..1 for floats; found {low} to {high}.")
    return 255 if floats and high <= 1 else 1


def read_arrays(
    x: np.ndarray, y: np.ndarray | Sequence, classes: Sequence[str] | None = None
) -> Samples:
    """Make samples of images and labels in arrays.

    Args:
        x: Pixels as ``Arrays`` takes them.
        y: (n,) or (n, 1) labels: whole numbers, or names.
        classes: Names of the classes: whole numbers in ``y`` count from the first one. By
            default the sorted labels, in decimal digits if they are numbers.

    Raises:
        BadData: The arrays do not fit each other or are not images and labels.
    """
    return read_parts({"": (x, y)}, classes)


def read_parts(
    arrays: Mapping[str, tuple[np.ndarray, np.ndarray | Sequence]],
    classes: Sequence[str] | None = None,
) -> Samples:
    """Make samples of images and labels that come in several splits.

    Args:
        arrays: (x, y) as ``read_arrays`` takes them, by part: "train", "val", "test", or "".
        classes: As in ``read_arrays``.

    Returns:
        Samples with keys such as "test/0012". A train split alone counts as undecided.

    Raises:
        BadData: The arrays do not fit each other or are not images and labels.
    """
    if [*arrays] == ["train"]:
        arrays = {"": arrays["train"]}
    pairs = {split: _pair(split, x, y) for split, (x, y) in arrays.items()}
    sorts = {f"{x.dtype} {x.shape[1:]}": x for x, _ in pairs.values()}
    if len(sorts) > 1:
        raise BadData(f"The images of all splits should be alike; found {' and '.join(sorts)}.")
    xs, ys = zip(*pairs.values(), strict=True)
    names, labels = _classes(np.concatenate(ys), classes)
    return Samples.of(
        Arrays(xs[0] if len(xs) == 1 else np.concatenate(xs)),
        names,
        [key for split, y in zip(pairs, ys, strict=True) for key in _keys(split, len(y))],
        labels,
        splits=np.repeat(np.array([*pairs], object), [len(y) for y in ys]),
    )


def _pair(split: str, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    try:
        x, y = np.asarray(x), np.asarray(y)
    except ValueError as error:  # ragged
        raise BadData(
            f"Images in an array should all have one size; {error}. Others can lie in files."
        ) from error
    if y.shape[1:] == (1,):  # as keras.datasets.cifar10 has them
        y = y[:, 0]
    if x.shape[:1] != y.shape:
        where = f" in {split}" if split else ""
        hint = " Of one-hot labels give argmax(axis=1)." if y.ndim == 2 else ""
        raise BadData(
            f"Labels should be (n,), one for each image; found images {x.shape} and labels "
            f"{y.shape}{where}.{hint}"
        )
    return x, y


def _keys(split: str, n: int) -> list[str]:
    width = len(str(n - 1))
    return [f"{split}/{i:0{width}}".lstrip("/") for i in range(n)]


def _classes(y: np.ndarray, names: Sequence[str] | None) -> tuple[list[str], np.ndarray]:
    """Class names, and the (n,) place of each label among them."""
    if y.dtype.kind == "f":
        if not (y == np.round(y)).all():
            raise BadData(f"Labels should be whole numbers or names; found {y.dtype} with others.")
        y = y.astype(np.int64)
    if y.dtype.kind not in "iu":
        y = np.array([one.decode() if isinstance(one, bytes) else str(one) for one in y])
    values, labels = np.unique(y, return_inverse=True)
    if len(values) < 2:
        raise BadData(f"Labels should be of two classes or more; found {len(values)}: {values}.")
    if names is None:
        return [str(value) for value in values], labels
    names = [str(name) for name in names]
    if y.dtype.kind == "U":
        values = np.array([names.index(value) if value in names else -1 for value in values])
    strange = np.unique(y[(values < 0)[labels] | (values >= len(names))[labels]])
    if len(strange):
        raise BadData(
            f"Labels should be among the {len(names)} classes that have names; found:",
            map(str, strange),
        )
    return names, values[labels]


_PART_BY_ENDING = {"": "", **{f"_{word}": split for word, split in SPLIT_WORDS.items()}}


def read_npz(path: Path) -> Samples:
    """Read images and labels from an .npz file.

    It holds ``x_train`` and ``y_train``, perhaps ``x_val`` and ``y_val``, ``x_test`` and
    ``y_test``; or ``x`` and ``y``. ``class_names`` may name the classes, in label order.

    Raises:
        BadData: The file is broken, lacks an array, or holds other things than plain arrays.
    """
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            found = archive.files
            classes = [*archive["class_names"]] if "class_names" in found else None
            arrays = {
                split: (archive[f"x{ending}"], archive[f"y{ending}"])
                for ending, split in _PART_BY_ENDING.items()
                if f"x{ending}" in found
            }
    except (KeyError, *_BROKEN) as error:
        raise BadData(
            f"{path} cannot be read as images and labels ({error}). numpy.savez_compressed "
            "writes such a file from arrays x_train, y_train, x_test, y_test of numbers."
        ) from error
    if not arrays:
        raise BadData(
            f"{path} should hold x_train and y_train, or x and y; found {', '.join(found)}."
        )
    return read_parts(arrays, classes)


def _digits() -> Samples:
    """1,797 grey 8 x 8 images of digits."""
    from sklearn.datasets import load_digits  # here: it takes a second

    x, y = load_digits(return_X_y=True)
    return read_arrays(x.reshape(-1, 8, 8) / 16, y)


_SKLEARN = Table[Callable[[], Samples]]("scikit-learn data set", {"digits": _digits})


def read_sklearn(name: str) -> Samples:
    """Read images that come with scikit-learn: "digits", nothing is fetched.

    Raises:
        UnknownName: There is no such data set, or it would have to be fetched.
    """
    return _SKLEARN[name]()

"""Images in arrays: from a script or scikit-learn."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.data.pixel_ranges import check_ranges, to_255
from keras_transfer.data.samples import CheckResult, Judge, Samples
from keras_transfer.errors import BadData
from keras_transfer.tables import Table

__all__ = ["Arrays", "read_arrays", "read_parts", "read_sklearn", "target_cells"]

logger = logging.getLogger("keras_transfer")


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
        # As RGB, so that grey and RGB copies of an image are duplicates.
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
    """(n, h, w, c) uint8 from an array of any accepted type; not copied if it has this type."""
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3, 4)) or 0 in x.shape:
        raise BadData(
            "Images in an array should be (n, height, width) or (n, height, width, channels) "
            f"with 1, 3 or 4 channels, which come last; found {x.shape}."
        )
    if x.dtype.kind not in "uif":
        raise BadData(f"Pixels should be uint8, or floats in 0..1 or 0..255; found {x.dtype}.")
    if x.dtype != np.uint8:
        # astype cuts decimals off: 253.9999 would become 253.
        x = np.round(x * to_255(x)).astype(np.uint8)
    return x if x.ndim == 4 else x[..., np.newaxis]


def read_arrays(
    x: np.ndarray,
    y: np.ndarray | Sequence,
    classes: Sequence[str] | None = None,
    known: Collection[str] = (),
) -> Samples:
    """Make samples of images and labels in arrays.

    Args:
        x: Pixels as ``Arrays`` takes them.
        y: (n,) or (n, 1) labels: whole numbers, or names.
        classes: Names of the classes: whole numbers in ``y`` count from the first one. By
            default the sorted labels, in decimal digits if they are numbers.
        known: Class names of a trained model, if any; then one class is enough.

    Raises:
        BadData: The arrays do not fit each other or are not images and labels.
    """
    return read_parts({"": (x, y)}, classes, known)


def read_parts(
    arrays: Mapping[str, tuple[np.ndarray, np.ndarray | Sequence]],
    classes: Sequence[str] | None = None,
    known: Collection[str] = (),
    columns: tuple[str, ...] = (),
) -> Samples:
    """Make samples of images and labels that come in several splits.

    The range of the pixels is judged in each split by itself, and has to be the same in all.

    Args:
        arrays: (x, y) as ``read_arrays`` takes them, by split: "train", "val", "test", or "".
        classes: As in ``read_arrays``.
        known: As in ``read_arrays``.
        columns: Names of the columns that y holds as text cells, as in ``target_cells``; then y
            may be (n, k), and there are no classes.

    Returns:
        Samples with keys such as "test/0012". A train split alone counts as undecided.

    Raises:
        BadData: The arrays do not fit each other or are not images and labels.
    """
    if [*arrays] == ["train"]:
        arrays = {"": arrays["train"]}
    pairs = {split: _pair(split, x, y, bool(columns)) for split, (x, y) in arrays.items()}
    sorts = {f"{x.dtype} {x.shape[1:]}": x for x, _ in pairs.values()}
    if len(sorts) > 1:
        raise BadData(
            f"The images of all splits should have one type; found {' and '.join(sorts)}."
        )
    check_ranges({split: x for split, (x, _) in pairs.items()})
    xs, ys = zip(*pairs.values(), strict=True)
    cells: dict[str, np.ndarray] = {}
    if columns:
        cells = target_cells(np.concatenate(ys), columns, classes)
        names, labels = [""], np.zeros(sum(map(len, ys)), int)
    else:
        names, labels = _classes(_joined(ys), classes, 1 if known else 2)
    return Samples.of(
        Arrays(xs[0] if len(xs) == 1 else np.concatenate(xs)),
        names,
        [key for split, y in zip(pairs, ys, strict=True) for key in _keys(split, len(y))],
        labels,
        splits=np.repeat(np.array([*pairs], object), [len(y) for y in ys]),
        cells=cells,
    )


def target_cells(
    y: np.ndarray, columns: Sequence[str], names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Turn targets in an array into text cells by column, as a table would hold them.

    Args:
        y: (n,) numbers or names; (n, k) one value for each of k columns; or, for one column, (n, k)
            0 and 1: which of k labels an example has.
        columns: Names of the columns.
        names: Names of the k labels; their numbers if None.

    Returns:
        (n,) object arrays of str; labels of an example are joined by "|".

    Raises:
        BadData: y has another shape than the columns.
    """
    if y.ndim == 1 and len(columns) == 1:
        return {columns[0]: np.array([_cell(value) for value in y], object)}
    if y.ndim == 2 and y.shape[1] == len(columns):
        return {
            name: np.array([_cell(value) for value in column], object)
            for name, column in zip(columns, y.T, strict=True)
        }
    if y.ndim == 2 and len(columns) == 1 and np.isin(y, (0, 1)).all():
        labels = [str(name) for name in (range(y.shape[1]) if names is None else names)]
        rows = ["|".join(labels[index] for index in np.flatnonzero(row)) for row in y]
        return {columns[0]: np.array(rows, object)}
    raise BadData(
        f"Targets should be (n,) or (n, {len(columns)}), for the columns {', '.join(columns)}; "
        f"found {y.shape}."
    )


def _cell(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _pair(split: str, x: Any, y: Any, several: bool) -> tuple[np.ndarray, np.ndarray]:
    try:
        x, y = np.asarray(x), np.asarray(y)
    except ValueError as error:  # ragged
        raise BadData(
            f"Images in an array should all have one size; {error}. Others can lie in files."
        ) from error
    if y.shape[1:] == (1,):  # as keras.datasets.cifar10 has them
        y = y[:, 0]
    if x.shape[:1] != (y.shape[:1] if several and y.ndim == 2 else y.shape):
        where = f" in {split}" if split else ""
        hint = " For one-hot labels pass argmax(axis=1)." if y.ndim == 2 else ""
        raise BadData(
            f"Labels should be (n,), one for each image; found images {x.shape} and labels "
            f"{y.shape}{where}.{hint}"
        )
    return x, y


def _keys(split: str, n: int) -> list[str]:
    width = len(str(n - 1))
    return [f"{split}/{i:0{width}}".lstrip("/") for i in range(n)]


def _joined(ys: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) labels of all splits, of one sort: as names, 1 and 1.0 would be two classes."""
    sorts = {"number" if y.dtype.kind in "iuf" else "name": y.dtype for y in ys}
    if len(sorts) > 1:
        raise BadData(
            "Labels of all splits should be numbers, or names; found "
            f"{' and '.join(str(y.dtype) for y in ys)}."
        )
    return np.concatenate(ys)


def _classes(
    y: np.ndarray, names: Sequence[str] | None, min_classes: int
) -> tuple[list[str], np.ndarray]:
    """Class names, and the (n,) place of each label among them."""
    if y.dtype.kind == "f":
        # Beyond 2**53 floats skip whole numbers; infinity is no label either.
        if not ((y == np.round(y)) & (np.abs(y) <= 2**53)).all():
            raise BadData(f"Labels should be whole numbers or names; found {y.dtype} with others.")
        y = y.astype(np.int64)
    if y.dtype.kind not in "iu":
        y = np.array([_name(row, label) for row, label in enumerate(y)])
    values, labels = np.unique(y, return_inverse=True)
    if len(values) < min_classes:
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


def _name(row: int, label: Any) -> str:
    # NaN is the only value that differs from itself.
    if label is None or isinstance(label, list | tuple | dict | np.ndarray) or label != label:
        raise BadData(f"Labels should be one name for each image; found {label!r} in row {row}.")
    return label.decode() if isinstance(label, bytes) else str(label)


def _digits() -> Samples:
    """1,797 grey 8 x 8 images of digits."""
    from sklearn.datasets import load_digits  # here: it takes a second

    x, y = load_digits(return_X_y=True)
    return read_arrays(x.reshape(-1, 8, 8) / 16, y)  # pixels of 0..16


_SKLEARN = Table[Callable[[], Samples]]("scikit-learn data set", {"digits": _digits})


def read_sklearn(name: str) -> Samples:
    """Read images that come with scikit-learn: "digits", nothing is fetched.

    Raises:
        UnknownName: There is no such data set, or it would have to be fetched.
    """
    return _SKLEARN[name]()

"""Where images come from: one table turns what the user writes into samples."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.data.class_names import check_classes
from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.tables import Table

__all__ = ["describe", "read"]


class Reading(NamedTuple):
    """How data are to be read.

    Attributes:
        data_dir: Where prepared data sets of tensorflow-datasets lie.
        layout: Which folders are classes, as in ``layouts.plan``.
        known: Names of the classes where a model has them already: then one class is enough.
    """

    data_dir: Path | None = None
    layout: str = "auto"
    known: Collection[str] = ()


Reader = Callable[[str, Reading], Samples]

# Readers are imported when they are wanted: a folder must not load tensorflow-datasets.


def _folder(path: str, how: Reading) -> Samples:
    from keras_transfer.data.folders import read_folder

    return read_folder(Path(path), how.layout, how.known)


def _manifest(path: str, how: Reading) -> Samples:
    from keras_transfer.data.manifests import read_manifest

    return read_manifest(Path(path), how.known)


def _npz(path: str, how: Reading) -> Samples:
    from keras_transfer.data.arrays import read_npz

    return read_npz(Path(path), how.known)


def _sklearn(name: str, how: Reading) -> Samples:
    from keras_transfer.data.arrays import read_sklearn

    return read_sklearn(name)


def _tfds(name: str, how: Reading) -> Samples:
    from keras_transfer.data.tfds import read_tfds

    return read_tfds(name, how.data_dir)


SCHEMES: Table[Reader] = Table("source of data", {"sklearn": _sklearn, "tfds": _tfds})
"""What may stand before the colon in ``SCHEME:NAME``."""

ENDINGS: Table[Reader] = Table(
    "kind of data file",
    {".csv": _manifest, ".tsv": _manifest, ".parquet": _manifest, ".npz": _npz},
)
"""What a file may end in."""


def read(
    data: Any,
    data_dir: Path | None = None,
    *,
    layout: str = "auto",
    known: Collection[str] = (),
) -> Samples:
    """Turn what names or holds images into samples.

    Args:
        data: ``DIR``, ``FILE.csv``, ``.tsv``, ``.parquet`` or ``.npz``, ``tfds:NAME`` or
            ``sklearn:NAME`` as string or path; (x, y) arrays; ((x_train, y_train), (x_test,
            y_test)) as ``keras.datasets`` gives them; or samples, which come back as they are.
        data_dir: Where prepared data sets of tensorflow-datasets lie.
        layout: Which folders of a folder are classes: "split/class", "class/split", "class", or
            "auto" to let their names decide.
        known: Names of the classes where a model has them already: data to evaluate on may hold
            one class alone.

    Raises:
        UnknownName: No source or layout goes by that name.
        BadConfiguration: ``data`` is of another type, or ``layout`` is set for other than a folder.
        BadData: The path does not exist, what it names cannot be used, or two classes are one in
            two spellings.
    """
    if isinstance(data, Samples):
        return data
    how = Reading(data_dir, layout, known)
    samples = _arrays(data[0], data[1], known) if _is_pair(data) else _named(data, how)
    check_classes(describe(data), samples.classes, samples.counts())
    return samples


def _is_pair(data: Any) -> bool:
    return isinstance(data, tuple) and len(data) == 2


def _named(data: Any, how: Reading) -> Samples:
    """Read what a path or a string such as tfds:NAME names."""
    if not isinstance(data, str | Path) or not str(data):
        raise BadConfiguration(
            f"data should be a path, a string such as tfds:NAME, or (x, y); found {data!r:.80}."
        )
    exists = os.path.exists(data)  # unlike Path.exists, False for a name that is too long
    scheme = re.fullmatch(r"(\w\w+):(.*)", str(data), re.DOTALL)  # two letters: C: is a disk
    path = Path(data).expanduser()
    if how.layout != "auto" and not os.path.isdir(path):
        raise BadConfiguration(
            f"layout = {how.layout} says which folders are classes, but {str(data)!r:.200} is no "
            "folder. Leave layout at auto."
        )
    if scheme and not exists:
        return SCHEMES[scheme[1]](scheme[2], how)
    if not os.path.exists(path):
        raise BadData(_missing(path))
    return (_folder if path.is_dir() else ENDINGS[path.suffix.lower()])(str(path), how)


def _arrays(first: Any, second: Any, known: Collection[str]) -> Samples:
    from keras_transfer.data.arrays import read_arrays, read_parts

    if isinstance(first, tuple):
        return read_parts({"train": first, "test": second}, known=known)
    return read_arrays(first, second, known=known)


def _missing(path: Path) -> str:
    """Say that a path does not exist, and what may have been meant."""
    shown = str(path) if len(str(path)) <= 200 else f"{str(path)[:200]}... ({len(str(path)):,})"
    try:
        neighbours = os.listdir(path.parent)
    except OSError:
        neighbours = []
    near = get_close_matches(path.name, neighbours, n=1)
    if near:
        return f"{shown} does not exist. Did you mean {path.parent / near[0]}?"
    return (
        f"{shown} does not exist. Data are a folder, a .csv, .tsv, .parquet or .npz file, "
        "tfds:NAME or sklearn:NAME."
    )


def describe(data: Any) -> str:
    """Name the data in a line, such as "photos", "tfds:cifar10" or "arrays (1797, 8, 8)"."""
    if isinstance(data, Samples):
        return f"{len(data)} samples"
    if isinstance(data, tuple):
        images = [one[0] for one in data] if isinstance(data[0], tuple) else [data[0]]
        return "arrays " + " and ".join(str(np.shape(x)) for x in images)
    return str(data)

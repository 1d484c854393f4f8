"""Where images come from: one table turns what the user writes into samples."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.tables import Table

__all__ = ["describe", "read"]

Reader = Callable[[str, Path | None], Samples]

# Readers are imported when they are wanted: a folder must not load tensorflow-datasets.


def _folder(path: str, data_dir: Path | None) -> Samples:
    from keras_transfer.data.folders import read_folder

    return read_folder(Path(path))


def _manifest(path: str, data_dir: Path | None) -> Samples:
    from keras_transfer.data.manifests import read_manifest

    return read_manifest(Path(path))


def _npz(path: str, data_dir: Path | None) -> Samples:
    from keras_transfer.data.arrays import read_npz

    return read_npz(Path(path))


def _sklearn(name: str, data_dir: Path | None) -> Samples:
    from keras_transfer.data.arrays import read_sklearn

    return read_sklearn(name)


def _tfds(name: str, data_dir: Path | None) -> Samples:
    from keras_transfer.data.tfds import read_tfds

    return read_tfds(name, data_dir)


SCHEMES: Table[Reader] = Table("source of data", {"sklearn": _sklearn, "tfds": _tfds})
"""What may stand before the colon in ``SCHEME:NAME``."""

ENDINGS: Table[Reader] = Table(
    "kind of data file",
    {".csv": _manifest, ".tsv": _manifest, ".parquet": _manifest, ".npz": _npz},
)
"""What a file may end in."""


def read(data: Any, data_dir: Path | None = None) -> Samples:
    """Turn what names or holds images into samples.

    Args:
        data: ``DIR``, ``FILE.csv``, ``.tsv``, ``.parquet`` or ``.npz``, ``tfds:NAME`` or
            ``sklearn:NAME`` as string or path; (x, y) arrays; ((x_train, y_train), (x_test,
            y_test)) as ``keras.datasets`` gives them; or samples, which come back as they are.
        data_dir: Where prepared data sets of tensorflow-datasets lie.

    Raises:
        UnknownName: No source goes by that name.
        BadConfiguration: ``data`` is of another type.
        BadData: The path does not exist, or what it names cannot be used.
    """
    if isinstance(data, Samples):
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return _arrays(*data)
    if not isinstance(data, str | Path) or not str(data):
        raise BadConfiguration(
            f"data should be a path, a string such as tfds:NAME, or (x, y); found {data!r:.80}."
        )
    scheme = re.fullmatch(r"(\w\w+):(.*)", str(data))  # two letters: C: is a disk
    if scheme and not Path(data).exists():
        return SCHEMES[scheme[1]](scheme[2], data_dir)
    path = Path(data).expanduser()
    if not path.exists():
        raise BadData(_missing(path))
    return (_folder if path.is_dir() else ENDINGS[path.suffix.lower()])(str(path), data_dir)


def _arrays(first: Any, second: Any) -> Samples:
    from keras_transfer.data.arrays import read_arrays, read_parts

    if isinstance(first, tuple):
        return read_parts({"train": first, "test": second})
    return read_arrays(first, second)


def _missing(path: Path) -> str:
    """Say that a path does not exist, and what may have been meant."""
    near = get_close_matches(path.name, [one.name for one in path.parent.glob("*")], n=1)
    if near:
        return f"{path} does not exist. Did you mean {path.parent / near[0]}?"
    return (
        f"{path} does not exist. Data are a folder, a .csv, .tsv, .parquet or .npz file, "
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

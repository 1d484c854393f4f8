"""Data sources: read the data that a setting names into samples."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.data.class_names import check_classes
from keras_transfer.data.frames import is_frame, read_frame
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.tables import Table

__all__ = ["check_label", "check_there", "describe", "in_memory", "path_of", "read"]


class Reading(NamedTuple):
    """Settings of reading data.

    Attributes:
        data_dir: Where prepared data sets of tensorflow-datasets lie.
        layout: Which folders are classes, as in ``layouts.plan``.
        known: Class names of a trained model, if any; then one class is enough.
        columns: Names of the columns that are read as text cells; then there are no classes.
        texts: Names of the columns of texts, if the examples are texts; none: they are images.
        array: Name of the array of images in a file of arrays; "": none is named.
        label: Name of the column of labels in a table.
    """

    data_dir: Path | None = None
    layout: str = "auto"
    known: Collection[str] = ()
    columns: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    array: str = ""
    label: str = LABEL


Reader = Callable[[str, Reading], Samples]

# Readers are imported when they are wanted: a folder must not load tensorflow-datasets.


def _folder(path: str, reading: Reading) -> Samples:
    from keras_transfer.data.folders import read_folder

    return read_folder(Path(path), reading.layout, reading.known)


def _manifest(path: str, reading: Reading) -> Samples:
    from keras_transfer.data.manifests import read_manifest

    return read_manifest(Path(path), reading.known, reading.columns, reading.label)


def _npz(path: str, reading: Reading) -> Samples:
    from keras_transfer.data.npz import read_npz

    return read_npz(Path(path), reading.known, reading.columns, reading.array)


def _mat(path: str, reading: Reading) -> Samples:
    from keras_transfer.data.mat import read_mat

    return read_mat(Path(path), reading.known, reading.columns, reading.array)


def _sklearn(name: str, reading: Reading) -> Samples:
    from keras_transfer.data.arrays import read_sklearn

    return read_sklearn(name)


def _tfds(name: str, reading: Reading) -> Samples:
    from keras_transfer.data.tfds import read_tfds

    return read_tfds(name, reading.data_dir)


SCHEMES: Table[Reader] = Table("source of data", {"sklearn": _sklearn, "tfds": _tfds})
"""Schemes of ``SCHEME:NAME``."""

ENDINGS: Table[Reader] = Table(
    "kind of data file",
    {
        ".csv": _manifest,
        ".tsv": _manifest,
        ".jsonl": _manifest,
        ".parquet": _manifest,
        ".npz": _npz,
        ".mat": _mat,
    },
)
"""Suffixes of data files."""

TABLES = (".csv", ".tsv")

# The last colon: that of C: comes before.
_ARRAY = re.compile(r"(.+\.(?:npz|mat)):([^/\\:]+)", re.IGNORECASE | re.DOTALL)
"""``FILE.mat:NAME``."""


def read(
    data: Any,
    data_dir: Path | None = None,
    *,
    layout: str = "auto",
    known: Collection[str] = (),
    columns: Collection[str] = (),
    texts: Sequence[str] = (),
    label: str = LABEL,
) -> Samples:
    """Read samples from a path, a name or arrays.

    Args:
        data: ``DIR``, ``FILE.csv``, ``.tsv``, ``.jsonl``, ``.parquet``, ``.npz`` or ``.mat``,
            ``FILE.npz:ARRAY`` or ``FILE.mat:ARRAY`` for one of several arrays of images in a file,
            ``tfds:NAME`` or ``sklearn:NAME`` as string or path; (x, y) arrays; ((x_train,
            y_train), (x_test, y_test)) as ``keras.datasets`` gives them; a ``pandas.DataFrame``
            with the columns of a table; or samples, which come back as they are.
        data_dir: Where prepared data sets of tensorflow-datasets lie.
        layout: Which folders of a folder are classes: "split/class", "class/split", "class", or
            "auto" to let their names decide.
        known: Class names of a trained model, if any; then data may hold one class only.
        columns: Names of columns (of a table; "label" of other data) to be read as text cells, for
            objectives other than a classification. ``classes`` and ``labels`` mean nothing then.
        texts: Names of the columns of texts, if the examples are texts; none: they are images.
        label: Name of the column of labels in a table; of no effect on other data.

    Raises:
        UnknownName: No source, layout or array in a file goes by that name.
        BadConfiguration: ``data`` is of another type, or ``layout`` is set for other than a folder.
        BadData: The path does not exist, what it names cannot be used, or two classes are one in
            two spellings.
    """
    if isinstance(data, Samples):
        return data
    reading = Reading(data_dir, layout, known, tuple(columns), tuple(texts), label=label)
    if _is_pair(data):
        first, second = data
        samples = _arrays(first, second, known, reading.columns)
    elif is_frame(data):
        samples = read_frame(data, reading.texts, known, reading.columns, label)
    else:
        samples = _named(data, reading)
    if columns:
        return samples if samples.cells else _class_cells(samples, reading.columns)
    check_classes(describe(data), samples.classes, samples.counts())
    return samples


def check_label(data: Any, label: str) -> None:
    """Refuse a name for the column of labels where the data have no columns.

    Args:
        data: As for ``read``, and no texts.
        label: Name of the column.

    Raises:
        BadConfiguration: It is another one than "label", and the data are no table.
    """
    if label == LABEL:
        return
    if is_frame(data):
        return
    if isinstance(data, str | Path) and path_of(data).suffix.lower() in TABLES:
        return
    raise BadConfiguration(
        f"label_column = {label}: {describe(data):.200} is no .csv or .tsv table. Leave "
        "label_column out."
    )


def check_there(data: Any) -> None:
    """Refuse a path that does not exist and a scheme that is not known, without reading anything.

    Args:
        data: As for ``read``.

    Raises:
        BadData: The path does not exist.
        UnknownName: There is no such scheme.
    """
    if not isinstance(data, str | Path) or os.path.exists(path_of(data)):
        return
    if scheme := _scheme(data):
        _ = SCHEMES[scheme[1]]  # raises UnknownName
    elif str(data):
        raise BadData(_missing(path_of(data)))


def path_of(data: str | Path) -> Path:
    """The file or folder that a path, or a string such as ``FILE.mat:ARRAY``, names.

    For a string such as tfds:NAME, which names none, it is a path that does not exist.
    """
    return _parted(data)[0]


def _parted(data: str | Path) -> tuple[Path, str]:
    """The file or folder, and the name of the array in it that is meant; "" if none is."""
    path = Path(data).expanduser()
    # A file that has such a name comes first.
    array = None if os.path.exists(path) else _ARRAY.fullmatch(str(path))
    return (Path(array[1]), array[2]) if array else (path, "")


def _scheme(data: str | Path) -> re.Match[str] | None:
    """The parts of a string such as tfds:NAME."""
    # Two letters at least: C: is a disk.
    return re.fullmatch(r"(\w\w+):(.*)", str(data), re.DOTALL)


def _class_cells(samples: Samples, columns: tuple[str, ...]) -> Samples:
    """Offer the names of classes as the cells of a column called label."""
    strange = [name for name in columns if name != LABEL]
    if strange:
        raise BadData(
            f"The data have one label for each example and no column {strange[0]!r}. Columns are "
            "read from .csv, .tsv, .jsonl and .parquet tables."
        )
    names = np.array(samples.classes, object)
    return replace(samples, cells={LABEL: names[samples.labels]})


def _is_pair(data: Any) -> bool:
    return isinstance(data, tuple) and len(data) == 2


def _named(data: Any, reading: Reading) -> Samples:
    """Read the data at a path, or of a string such as tfds:NAME."""
    if not isinstance(data, str | Path) or not str(data):
        raise BadConfiguration(
            "data should be a path, a string such as tfds:NAME, (x, y) or a data frame; found "
            f"{data!r:.80}."
        )
    exists = os.path.exists(data)  # unlike Path.exists, False for a name that is too long
    scheme = _scheme(data)
    path, array = _parted(data)
    if reading.layout != "auto" and not os.path.isdir(path):
        raise BadConfiguration(
            f"layout = {reading.layout} is for folders of classes, but {str(data)!r:.200} is no "
            "folder. Leave layout at auto."
        )
    # A file that has such a name comes first.
    if scheme and not exists:
        return SCHEMES[scheme[1]](scheme[2], reading)
    if not os.path.exists(path):
        raise BadData(_missing(path))
    from keras_transfer.data.texts import holds_texts, read_texts

    if len(reading.texts) == 1 and _is_conll(path):
        return _conll(path, reading)
    if reading.texts:
        return read_texts(path, reading.texts, reading.known, reading.columns, reading.label)
    if path.is_dir() and holds_texts(path):
        raise BadData(
            f"{path} holds tables of texts, and the input is images. Choose a network for texts, "
            "e.g. --backbone transformer_small --input text."
        )
    read_path = _folder if path.is_dir() else ENDINGS[path.suffix.lower()]
    return read_path(str(path), reading._replace(array=array))


def _is_conll(path: Path) -> bool:
    from keras_transfer.data.conll import holds_conll

    return holds_conll(path)


def _conll(path: Path, reading: Reading) -> Samples:
    from keras_transfer.data.conll import read_conll

    if len(reading.columns) != 1:
        raise BadData(
            f"{path} is read as CoNLL files, which have a label for each word. Use --objective "
            "tokens; or give texts with one label each as .csv or .tsv tables."
        )
    return read_conll(path, *reading.columns)


def _arrays(
    first: Any, second: Any, known: Collection[str], columns: tuple[str, ...] = ()
) -> Samples:
    from keras_transfer.data.arrays import read_parts

    pairs = {"train": first, "test": second} if isinstance(first, tuple) else {"": (first, second)}
    return read_parts(pairs, known=known, columns=columns)


def _missing(path: Path) -> str:
    """Error for a path that does not exist, with a suggestion."""
    shown = str(path) if len(str(path)) <= 200 else f"{str(path)[:200]}... ({len(str(path)):,})"
    try:
        neighbours = os.listdir(path.parent)
    except OSError:
        neighbours = []
    near = get_close_matches(path.name, neighbours, n=1)
    if near:
        return f"{shown} does not exist. Did you mean {path.parent / near[0]}?"
    return (
        f"{shown} does not exist. Data are a folder, a .csv, .tsv, .jsonl, .parquet, .npz or .mat "
        "file, tfds:NAME or sklearn:NAME."
    )


def in_memory(description: str) -> str:
    """What data were, by ``describe``, that nobody can read again; "" of others."""
    kinds = {"arrays ": "arrays", "data frame ": "a data frame"}
    return next((kinds[begin] for begin in kinds if description.startswith(begin)), "")


def describe(data: Any) -> str:
    """Name the data in a line, such as "photos", "tfds:cifar10" or "arrays (1797, 8, 8)"."""
    if isinstance(data, Samples):
        return f"{len(data)} samples"
    if is_frame(data):
        return f"data frame {data.shape}"
    if isinstance(data, list) or (hasattr(data, "__array__") and np.ndim(data)):
        return f"{len(data)} examples"
    if isinstance(data, tuple):
        images = [pair[0] for pair in data] if isinstance(data[0], tuple) else [data[0]]
        return "arrays " + " and ".join(str(np.shape(x)) for x in images)
    return str(data)

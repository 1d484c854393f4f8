"""Features of examples, with what is known of each, and the files that hold them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from keras_transfer.atomic import replacing
from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.objectives.base import Labels
from keras_transfer.tables import Table

__all__ = ["Features", "check_target"]

METADATA = "keras_transfer"
"""Name of the metadata in a Parquet file."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features of n examples.

    Attributes:
        values: (n, channels) float32; (n, height, width, channels) for maps.
        keys: (n,) object array of str: path or name of each example.
        splits: (n,) object array of str: "train", "val", "test"; "" for data without labels.
        groups: (n,) object array of str: related examples have the same; "" for none.
        targets: Labels by the name of the output, usually "label"; none for data without labels.
        metadata: JSON-ready: data, backbone, weights, layer, pooling, input, engine, version.
        report: How many were computed, and how many came from the cache; not part of a file.
    """

    values: np.ndarray
    keys: np.ndarray
    splits: np.ndarray
    groups: np.ndarray
    targets: Mapping[str, Labels] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def labels(self) -> np.ndarray:
        """The labels of the only output, e.g. (n,) int32 indices into ``classes``."""
        return self._only().values

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, labels or targets of the only output."""
        return self._only().names

    def _only(self) -> Labels:
        """The labels of the only output."""
        if len(self.targets) != 1:
            raise BadConfiguration(
                f"The features have labels of {len(self.targets)} outputs: "
                f"{', '.join(self.targets) or 'none'}. Those of each are in targets."
            )
        return next(iter(self.targets.values()))

    def split(self, name: str) -> Features:
        """The examples of one split: "train", "val" or "test"."""
        where = self.splits == name
        return Features(
            self.values[where],
            self.keys[where],
            self.splits[where],
            self.groups[where],
            {name: Labels(y.values[where], y.names) for name, y in self.targets.items()},
            self.metadata,
        )

    def write(self, path: str | Path) -> None:
        """Write a new ``.npz`` or ``.parquet`` file, whole or not at all.

        Raises:
            BadConfiguration: The file exists, has another suffix, or needs what is not installed.
        """
        path = check_target(path)
        try:
            with replacing(path) as part:
                FORMATS[path.suffix.lower()].write(part, self)
        except (FileNotFoundError, PermissionError) as error:
            raise BadConfiguration(f"{path} cannot be written: {error.strerror}.") from None

    @classmethod
    def read(cls, path: str | Path) -> Features:
        """Read a file that ``write`` wrote.

        Raises:
            BadData: It cannot be read.
            BadConfiguration: It has another suffix, or needs what is not installed.
        """
        path = Path(path).expanduser()
        row = FORMATS[path.suffix.lower()]
        row.check(path)
        try:
            return row.read(path)
        except (OSError, EOFError, ValueError, LookupError, TypeError, BadZipFile) as error:
            raise BadData(f"{path} cannot be read as features: {error}") from None


def check_target(path: str | Path) -> Path:
    """Check that a file of features can be written there, before they are computed.

    Raises:
        BadConfiguration: The file exists, has another suffix, or needs what is not installed; or
            its folder does not exist.
    """
    path = Path(path).expanduser()
    FORMATS[path.suffix.lower()].check(path)
    if path.exists():
        raise BadConfiguration(f"{path} already exists; name another file, or remove it.")
    if not path.parent.is_dir():
        raise BadConfiguration(f"{path.parent} is no folder; make it first.")
    if not os.access(path.parent, os.W_OK):
        raise BadConfiguration(f"{path.parent} cannot be written to; name another folder.")
    return path


class Format(NamedTuple):
    """A format of files.

    Attributes:
        write: Writes features.
        read: Reads them back.
        check: Raises where a package is missing.
    """

    write: Callable[[Path, Features], None]
    read: Callable[[Path], Features]
    check: Callable[[Path], None]


def _described(features: Features) -> str:
    """What a table or an array cannot hold, as JSON."""
    names = {output: list(labels.names) for output, labels in features.targets.items()}
    return json.dumps({"metadata": features.metadata, "names": names}, ensure_ascii=False)


def _named(before: str, output: str) -> str:
    return before if output == LABEL else f"{before}_{output}"


# --- NumPy ------------------------------------------------------------------------------------


def _write_npz(path: Path, features: Features) -> None:
    arrays = {
        "features": features.values,
        "keys": features.keys.astype(str),
        "splits": features.splits.astype(str),
        "groups": features.groups.astype(str),
        "metadata": np.array(_described(features)),
    }
    for output, labels in features.targets.items():
        arrays[_named("labels", output)] = labels.values
        arrays[_named("classes", output)] = np.array(labels.names, str)
    # Not compressed: that takes longer than reading features, and gains a tenth.
    np.savez(path, allow_pickle=False, **arrays)


def _read_npz(path: Path) -> Features:
    with np.load(path, allow_pickle=False) as file:
        described = json.loads(str(file["metadata"]))
        keys, splits, groups = (file[name].astype(object) for name in ("keys", "splits", "groups"))
        targets = {
            output: Labels(file[_named("labels", output)], tuple(names))
            for output, names in described["names"].items()
        }
        return Features(file["features"], keys, splits, groups, targets, described["metadata"])


# --- Parquet ----------------------------------------------------------------------------------


def _check_parquet(path: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise BadConfiguration(
            f"{path} takes pyarrow: pip install 'keras_transfer[parquet]'. Or use .npz."
        ) from None


def _write_parquet(path: Path, features: Features) -> None:
    import pyarrow
    from pyarrow import parquet

    texts = {"path": features.keys, "split": features.splits, "group": features.groups}
    columns: dict[str, Any] = {name: pyarrow.array(values) for name, values in texts.items()}
    for output, (values, names) in features.targets.items():
        columns[_named("label", output)] = (
            _lists(values)
            if values.ndim > 1
            # -1 is a class that is not known.
            else pyarrow.DictionaryArray.from_arrays(
                pyarrow.array(values, mask=values < 0), pyarrow.array(names)
            )
        )
    columns["features"] = _lists(features.values)
    shape = json.dumps(features.values.shape[1:])
    described = {METADATA: _described(features), f"{METADATA}.shape": shape}
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(described), path)


def _lists(values: np.ndarray) -> Any:
    """A column whose cells are lists of one length."""
    import pyarrow

    flat = values.reshape(len(values), -1)
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(flat.ravel()), flat.shape[1])


def _read_parquet(path: Path) -> Features:
    from pyarrow import parquet

    table = parquet.read_table(path)
    described = json.loads(table.schema.metadata[METADATA.encode()])
    shape = json.loads(table.schema.metadata[f"{METADATA}.shape".encode()])
    keys, splits, groups = (
        np.array(table[name].to_pylist(), object) for name in ("path", "split", "group")
    )
    targets = {
        output: Labels(_values(table[_named("label", output)].combine_chunks()), tuple(names))
        for output, names in described["names"].items()
    }
    values = table["features"].combine_chunks().flatten().to_numpy().reshape(-1, *shape)
    return Features(values, keys, splits, groups, targets, described["metadata"])


def _values(column: Any) -> np.ndarray:
    if hasattr(column, "indices"):
        return column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype("int32")
    return column.flatten().to_numpy().reshape(len(column), -1)


FORMATS: Table[Format] = Table(
    "suffix of a file of features",
    {
        ".npz": Format(_write_npz, _read_npz, lambda path: None),
        ".parquet": Format(_write_parquet, _read_parquet, _check_parquet),
    },
)

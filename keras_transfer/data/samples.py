"""The table of samples: which image has which label, group, weight and split of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["BOUNDARY", "DOMAIN", "LABEL", "SPLITS", "CheckResult", "Judge", "Samples", "Store"]

SPLITS = ("train", "val", "test")

LABEL = "label"
"""Name of the output, and of its target, of a network with one output."""

BOUNDARY = b"\xff"
"""Between the texts of a pair where they are judged as one; it occurs in no UTF-8."""

DOMAIN = "domain"
"""Name of the column of cells that says which domain an example is of: 0 source, 1 target."""


class CheckResult(NamedTuple):
    """Result of checking one image.

    Attributes:
        digest: Hex digest of the image's bytes (or pixels); equal for exact duplicates only.
        reason: Why the image cannot be used; empty where it can.
    """

    digest: str
    reason: str = ""


Judge = Callable[[bytes, str], CheckResult]
"""Says whether encoded bytes can be used, by their name (or ""); see ``inputs.base.Input``."""


class Store(Protocol):
    """Source of raw examples: files, records or arrays, addressed by row number."""

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Read example number ``row``, inside a graph.

        Args:
            row: Scalar int64.

        Returns:
            The raw example as an input prepares it: a scalar string (encoded bytes, text), (2,)
            strings (a pair of texts), or an array of numbers.
        """
        ...

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Read example number ``row``, have it judged, and digest its content."""
        ...

    def stamp(self, row: int) -> tuple[str, int, int] | None:
        """Name, size in bytes and version of example ``row``: key of the scan cache.

        The version is a number that changes with the example's content; of files see
        ``files.version``. None where checking costs nothing (arrays) or the example cannot be read.
        """
        ...


# Compared by identity: == of arrays gives arrays, which have no truth value.
@dataclass(frozen=True, eq=False)
class Samples:
    """A table of n labelled images; sorted by key within each split, as its source lists them.

    Attributes:
        store: Turns row numbers into images.
        classes: Class names in label order.
        keys: (n,) object array of str: path or record name of each image.
        labels: (n,) int32, index into ``classes``.
        rows: (n,) int64, row number of each image in ``store``.
        splits: (n,) object array of str: "train", "val", "test", or "" where not yet decided.
        groups: (n,) object array of str: images of one group stay on one side of a split;
            "" for an image that belongs with no other.
        weights: (n,) float32, weight of each image in the loss, 1 unless the data say other.
        digests: (n,) object array of str: equal for exact duplicates only; "" before the scan.
        cells: (n,) object arrays of str by name: further columns of the table, as it has them.
        targets: (n, ...) arrays by the name of an output: true values that are not ``labels``.
        names: Names of the units of each output in ``targets``.

    ``labels`` divide the table fairly. For a classification they are the classes; for other
    objectives they are strata (combinations of labels, ranges of values).
    """

    store: Any
    classes: tuple[str, ...]
    keys: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    splits: np.ndarray
    groups: np.ndarray
    weights: np.ndarray
    digests: np.ndarray
    cells: Mapping[str, np.ndarray] = field(default_factory=dict)
    targets: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        store: Store,
        classes: Sequence[str],
        keys: Sequence[str] | np.ndarray,
        labels: Sequence[int] | np.ndarray,
        **columns: Any,
    ) -> Samples:
        """Make a table from plain sequences.

        Args:
            store: Turns row numbers into images.
            classes: Class names in label order.
            keys: (n,) path or record name of each image.
            labels: (n,) int, index into ``classes``.
            **columns: (n,) each: rows, splits, groups, weights, digests; cells by name.
        """
        n = len(keys)
        values = {
            "rows": np.arange(n),
            "splits": np.full(n, "", object),
            "groups": np.full(n, "", object),
            "weights": np.ones(n),
            "digests": np.full(n, "", object),
            **columns,
        }
        return cls(
            store,
            tuple(classes),
            # In NumPy's fixed-width strings each would take as much as the longest.
            np.asarray(keys, object),
            np.asarray(labels, "int32"),
            np.asarray(values["rows"], "int64"),
            np.asarray(values["splits"], object),
            np.asarray(values["groups"], object),
            np.asarray(values["weights"], "float32"),
            np.asarray(values["digests"], object),
            {name: np.asarray(cells, object) for name, cells in values.get("cells", {}).items()},
        )

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, where: np.ndarray) -> Samples:
        """Keep some images, in the order given.

        Args:
            where: (n,) bool, or (m,) int indices, which may repeat.
        """
        columns = ("keys", "labels", "rows", "splits", "groups", "weights", "digests")
        more: dict[str, Any] = {
            name: {key: values[where] for key, values in getattr(self, name).items()}
            for name in ("cells", "targets")
        }
        return replace(self, **{name: getattr(self, name)[where] for name in columns}, **more)

    def split(self, name: str) -> Samples:
        """The images of one split: "train", "val" or "test"."""
        return self.take(self.splits == name)

    def counts(self) -> np.ndarray:
        """(classes,) int64: number of images per class."""
        return np.bincount(self.labels, minlength=len(self.classes))

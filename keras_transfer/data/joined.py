"""Two tables of samples as one: those of a source and of a target domain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.data.batches import Preparer, Tensors
from keras_transfer.data.samples import DOMAIN, CheckResult, Judge, Samples, Store

__all__ = ["Joined", "join"]


class Joined:
    """Several stores as one; the rows of each follow those of the stores before it.

    Its examples are prepared, so one store may hold files and another one arrays.

    Args:
        stores: The stores.
        sizes: Number of rows of each.
        given: Prepares the examples of all.
    """

    def __init__(self, stores: Sequence[Store], sizes: Sequence[int], given: Preparer):
        self.stores, self.given = list(stores), given
        self.ends = np.cumsum(sizes)
        self.starts = self.ends - sizes

    def prepared(self, row: tf.Tensor) -> Tensors:
        """Example number ``row``, () int64, inside a graph."""
        return self._at(row, lambda store, place: self.given.load(store.read(place)))

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Read example number ``row``, where all stores have raw examples of one type."""
        return self._at(row, lambda store, place: store.read(place))

    def check(self, row: int, judge: Judge) -> CheckResult:
        """Read example number ``row``, have it judged, and digest its content."""
        store, place = self._of(row)
        return store.check(place, judge)

    def stamp(self, row: int) -> tuple[str, int, int] | None:
        """As that of its store."""
        store, place = self._of(row)
        return store.stamp(place)

    def _at(self, row: tf.Tensor, take: Callable[[Store, tf.Tensor], Any]) -> Any:
        number = tf.searchsorted(tf.constant(self.ends), row[None], side="right")[0]

        def branch(store: Store, start: int) -> Callable[[], Any]:
            return lambda: take(store, row - start)

        pairs = zip(self.stores, self.starts, strict=True)
        return tf.switch_case(number, [branch(*pair) for pair in pairs])

    def _of(self, row: int) -> tuple[Store, int]:
        number = int(np.searchsorted(self.ends, row, side="right"))
        return self.stores[number], int(row - self.starts[number])


def join(source: Samples, target: Samples, given: Preparer) -> Samples:
    """One table of both domains, the source first.

    Args:
        source: n labelled samples.
        target: m samples with the source's classes, in label order.
        given: Prepares examples.

    Returns:
        (n + m) samples whose cells have the column ``DOMAIN``: 0 for the source, 1 for the target.
    """
    tables = source, target
    sizes = [int(table.rows.max()) + 1 for table in tables]
    rows = [table.rows + start for table, start in zip(tables, (0, sizes[0]), strict=True)]

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(table, name) for table in tables])

    names = ("splits", "groups", "weights", "digests")
    return Samples.of(
        Joined([table.store for table in tables], sizes, given),
        source.classes,
        column("keys"),
        column("labels"),
        rows=np.concatenate(rows),
        cells={DOMAIN: np.repeat([0, 1], [len(source), len(target)])},
        **{name: column(name) for name in names},
    )

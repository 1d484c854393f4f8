"""Near-duplicates among labelled examples, by features of a frozen network."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.atomic import write_csv
from keras_transfer.data.grouping import joined
from keras_transfer.data.samples import SPLITS, Samples
from keras_transfer.domains.twins import (
    clusters,
    default_threshold,
    mean_cosine,
    twins,
)

__all__ = ["GROUPS", "PAIRS", "TwinCheck"]

PAIRS, GROUPS = "twins.csv", "groups.csv"
PAIR_COLUMNS = ("cosine", "path", "split", "label", "twin", "twin_split", "twin_label")


class TwinCheck:
    """Pairs of examples that are almost the same.

    Args:
        samples: Examples with splits.
        features: (n, channels) float of them.
        threshold: Cosine from which a pair counts; None: ``default_threshold``.
        labelled: Whether the examples have one class each, which twins should share.

    Attributes:
        pairs: The pairs.

    Raises:
        BadData: There are too many pairs; see ``twins``.
    """

    def __init__(
        self,
        samples: Samples,
        features: np.ndarray,
        threshold: float | None = None,
        *,
        labelled: bool = True,
    ):
        self.samples, self.labelled = samples, labelled
        self.mean = mean_cosine(features)
        self.threshold = default_threshold(features) if threshold is None else threshold
        self.pairs = twins(features, self.threshold)

    @cached_property
    def across(self) -> np.ndarray:
        """(m,) bool: pairs whose examples lie in different splits."""
        first, second = self._splits
        return (first != second) & (first != "") & (second != "")

    @cached_property
    def conflicting(self) -> np.ndarray:
        """(m,) bool: pairs whose examples have different labels."""
        # Of other objectives these are strata, such as bins of numbers.
        labels = self.samples.labels * int(self.labelled)
        return labels[self.pairs.first] != labels[self.pairs.second]

    def across_own(self, own: Mapping[str, str]) -> int:
        """Number of pairs across two splits of the data's own.

        Args:
            own: Split by key, as the data have it: a val split may be drawn from their train.
        """
        splits = np.array([own.get(key, "") for key in self.samples.keys], object)
        first, second = splits[self.pairs.first], splits[self.pairs.second]
        return int(((first != second) & (first != "") & (second != "")).sum())

    @property
    def document(self) -> dict[str, Any]:
        """What was found, JSON-ready."""
        return {
            "examples": len(self.samples),
            "threshold": self.threshold,
            "mean_cosine": self.mean,
            "pairs": len(self.pairs.first),
            "across_splits": int(self.across.sum()),
            "different_labels": int(self.conflicting.sum()),
            "test_with_twin_in_train": len(self.seen("test", "train")),
            "val_with_twin_in_train": len(self.seen("val", "train")),
            "examples_by_split": {s: int((self.samples.splits == s).sum()) for s in SPLITS},
            "largest_cluster": int(np.bincount(self._clusters).max()),
        }

    def seen(self, split: str, other: str) -> np.ndarray:
        """Rows of the examples of a split that have a twin in another one."""
        first, second = self._splits
        one = self.pairs.first[(first == split) & (second == other)]
        return np.union1d(one, self.pairs.second[(second == split) & (first == other)])

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Cells of ``PAIR_COLUMNS``, the most similar pair first."""
        samples, classes = self.samples, self.samples.classes if self.labelled else None
        for *pair, cosine in zip(*self.pairs, strict=True):
            cells = (
                (
                    samples.keys[row],
                    samples.splits[row],
                    classes[samples.labels[row]] if classes else "",
                )
                for row in pair
            )
            yield (f"{cosine:.4f}", *next(cells), *next(cells))

    def write(self, folder: Path) -> None:
        """Write the pairs, and the groups that keep them together."""
        write_csv(folder / PAIRS, PAIR_COLUMNS, self.rows())
        # In quotes: a reader of tables leaves out spaces at the beginning of other cells.
        write_csv(folder / GROUPS, ("path", "group"), self._groups(), quoting=csv.QUOTE_ALL)

    def _groups(self) -> Iterator[tuple[str, str]]:
        """Groups of twins, joined with those that the examples have already."""
        sizes = Counter(self._clusters.tolist())
        numbers: dict[int, int] = {}
        twins = [
            f"twins-{numbers.setdefault(cluster, len(numbers) + 1)}" if sizes[cluster] > 1 else ""
            for cluster in self._clusters.tolist()
        ]
        groups = joined(self.samples.groups, np.array(twins, object))
        for key, group in zip(self.samples.keys, groups, strict=True):
            if group:
                yield key, group

    @cached_property
    def _clusters(self) -> np.ndarray:
        return clusters(self.pairs, len(self.samples))

    @property
    def _splits(self) -> tuple[np.ndarray, np.ndarray]:
        return self.samples.splits[self.pairs.first], self.samples.splits[self.pairs.second]

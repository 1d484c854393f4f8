"""Near-duplicates among labelled examples, by features of a frozen network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.atomic import write_csv
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

    Attributes:
        pairs: The pairs.

    Raises:
        BadData: There are too many pairs; see ``twins``.
    """

    def __init__(self, samples: Samples, features: np.ndarray, threshold: float | None = None):
        self.samples = samples
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
        labels = self.samples.labels
        return labels[self.pairs.first] != labels[self.pairs.second]

    def across_own(self, own: Collection[str]) -> int:
        """Number of pairs across two splits of the data's own."""
        first, second = (np.isin(splits, list(own)) for splits in self._splits)
        return int((self.across & first & second).sum())

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
        samples = self.samples
        for *pair, cosine in zip(*self.pairs, strict=True):
            cells = (
                (samples.keys[row], samples.splits[row], samples.classes[samples.labels[row]])
                for row in pair
            )
            yield (f"{cosine:.4f}", *next(cells), *next(cells))

    def write(self, folder: Path) -> None:
        """Write the pairs, and the groups that keep them together."""
        write_csv(folder / PAIRS, PAIR_COLUMNS, self.rows())
        write_csv(folder / GROUPS, ("path", "group"), self._groups())

    def _groups(self) -> Iterator[tuple[str, str]]:
        sizes = Counter(self._clusters.tolist())
        numbers: dict[int, int] = {}
        for key, cluster in zip(self.samples.keys, self._clusters.tolist(), strict=True):
            if sizes[cluster] > 1:
                yield key, f"twins-{numbers.setdefault(cluster, len(numbers) + 1)}"

    @cached_property
    def _clusters(self) -> np.ndarray:
        return clusters(self.pairs, len(self.samples))

    @property
    def _splits(self) -> tuple[np.ndarray, np.ndarray]:
        return self.samples.splits[self.pairs.first], self.samples.splits[self.pairs.second]

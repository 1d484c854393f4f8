"""Who is wrong where: examples that one of two models gets right, and the other does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.evaluation.paired import Aligned, Run
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.reports.gallery import Entry, Gallery
from keras_transfer.reports.study import Group
from keras_transfer.reports.wording import Table, percent, short, table

__all__ = ["Disagreement", "disagreement"]


class Disagreement(NamedTuple):
    """Two models on the same examples.

    Attributes:
        both: Number of examples that both have right.
        only_first: Places of those that only the first has right, its surest ones first.
        only_second: The same of the second.
        neither: Places of those that both have wrong, the surest mistakes first.
        aligned: The predictions; of these two models the first runs.
        models: Places of the two among them.
        names: What the two are called.
    """

    both: int
    only_first: np.ndarray
    only_second: np.ndarray
    neither: np.ndarray
    aligned: Aligned
    models: tuple[int, int]
    names: tuple[str, str]

    def counts(self) -> Table:
        """Numbers of examples."""
        a, b = self.names
        only = len(self.only_first), len(self.only_second)
        rows = [
            [f"{a} right", f"{self.both:,}", f"{only[0]:,}"],
            [f"{a} wrong", f"{only[1]:,}", f"{len(self.neither):,}"],
        ]
        return table(["examples", f"{b} right", f"{b} wrong"], rows)

    def by_class(self) -> Table | None:
        """For each true class what the two have right; None for several labels."""
        true, (one, other) = self.aligned.true, self._runs()
        if true.ndim > 1:
            return None
        right = [run.decided == true for run in (one, other)]
        rows = []
        for label, name in enumerate(self.aligned.names):
            here = true == label
            if here.any():
                n, a, b = (int(found[here].sum()) for found in (here, *right))
                rows.append([short(name), f"{n:,}", f"{a:,}", f"{b:,}", f"{b - a:+,}"])
        rows.sort(key=lambda row: -abs(int(row[-1].replace(",", ""))))
        header = ["class", "examples", *(f"{name} right" for name in self.names), "difference"]
        return table(header, rows)

    def keys(self, most: int) -> list[str]:
        """Paths of the examples that are shown."""
        return [
            str(self.aligned.keys[place])
            for places in (self.only_first, self.only_second, self.neither)
            for place in places[:most]
        ]

    def groups(self, gallery: Gallery, most: int) -> Iterator[Group]:
        """Examples, up to so many of each sort.

        Args:
            gallery: Has loaded those of ``keys``.
            most: How many.
        """
        a, b = self.names
        for title, places in (
            (f"Only {a} is right", self.only_first),
            (f"Only {b} is right", self.only_second),
            ("Both are wrong", self.neither),
        ):
            shown = places[:most]
            how = f"The {len(shown)} with the surest mistakes. " if len(shown) < len(places) else ""
            entries = [self._entry(int(place), gallery) for place in shown]
            yield Group(title, f"{len(places):,} examples. {how}Bold: the true answer.", entries)

    def _runs(self) -> list[Run]:
        return [self.aligned.models[place][0] for place in self.models]

    def _entry(self, place: int, gallery: Gallery) -> Entry:
        aligned, key = self.aligned, str(self.aligned.keys[place])
        said = [
            f"{name}: {_answer(run.decided[place], run.scores[place], aligned.names)}"
            for name, run in zip(self.names, self._runs(), strict=True)
        ]
        title = _answer(aligned.true[place], None, aligned.names)
        return Entry([gallery.shown(key)], title, said, [short(key, 90)])


def disagreement(
    aligned: Aligned, objective: Objective, models: tuple[int, int], names: tuple[str, str]
) -> Disagreement | None:
    """Sort examples by which of two models has them right; None where nothing is right or wrong.

    Args:
        aligned: Predictions of all models.
        objective: A classification, or several labels: all have to be right.
        models: Places of the two.
        names: What they are called.
    """
    if not isinstance(objective, Classification | MultiLabel):
        return None
    runs = [aligned.models[place][0] for place in models]
    one, other = (_right(aligned.true, run) for run in runs)
    # How sure the model that is wrong was; where both are, the surer one.
    sure = [run.scores.max(axis=1) for run in runs]

    def places(where: np.ndarray, by: np.ndarray) -> np.ndarray:
        found = np.flatnonzero(where)
        return found[np.argsort(-by[found], kind="stable")]

    return Disagreement(
        int((one & other).sum()),
        places(one & ~other, sure[1]),
        places(~one & other, sure[0]),
        places(~one & ~other, np.maximum(*sure)),
        aligned,
        models,
        names,
    )


def _right(true: np.ndarray, run: Run) -> np.ndarray:
    """(n,) bool."""
    same = run.decided == true
    return same if same.ndim == 1 else same.all(axis=1)


def _answer(decided: Any, scores: np.ndarray | None, names: Sequence[str]) -> str:
    """A class with its probability, or labels."""
    if np.ndim(decided) == 0:
        shown = "" if scores is None else f" {percent(float(scores[int(decided)]))}"
        return f"{short(names[int(decided)])}{shown}"
    there = [short(name, 30) for name, chosen in zip(names, decided, strict=True) if chosen]
    return ", ".join(there) or "no label"

"""Stratified division of labelled examples, from labels and families alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["choose", "deal", "level", "proportional"]


def proportional(counts: np.ndarray, size: int, least: np.ndarray | int = 1) -> np.ndarray:
    """Divide ``size`` in proportion to ``counts``, with a minimum for each.

    The j-th unit goes to class c with priority counts[c] / (j - 1/2), Webster's method of
    dividing the seats of a parliament: it rounds every share to the nearest number.

    Args:
        counts: (k,) int, examples per class.
        size: Total to divide; at least the sum of the minimums.
        least: (k,) int or one int, minimum per class; a smaller class gives all it has.

    Returns:
        (k,) int64 with sum ``size``, nowhere above ``counts``.
    """
    least = np.broadcast_to(least, len(counts))
    return _award(counts, size, lambda c, j: np.where(j < least[c], np.inf, counts[c] / (j + 0.5)))


def level(counts: np.ndarray, size: int) -> np.ndarray:
    """Divide ``size`` equally as far as the classes go, the rest to the larger ones.

    Args:
        counts: (k,) int, examples per class.
        size: Total to divide, at most the sum of ``counts``.

    Returns:
        (k,) int64 with sum ``size``, nowhere above ``counts``.
    """
    return _award(counts, size, lambda c, j: -j)


def _award(
    counts: np.ndarray, size: int, priority: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Give out ``size`` units by falling ``priority(class, units it has)``, ties to the larger."""
    owner = np.repeat(np.arange(len(counts)), counts)
    # lexsort sorts by its last key first.
    order = np.lexsort((-counts[owner], -priority(owner, _rank(owner))))
    return np.bincount(owner[order[:size]], minlength=len(counts))


def _rank(sorted_labels: np.ndarray) -> np.ndarray:
    """(n,) int64: number of equal labels before each one, for sorted labels."""
    return np.arange(len(sorted_labels)) - np.searchsorted(sorted_labels, sorted_labels)


def choose(labels: np.ndarray, quota: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw ``quota[c]`` of each class c at random.

    Args:
        labels: (n,) int in [0, k).
        quota: (k,) int.
        rng: Where chance comes from.

    Returns:
        Sorted int64 positions in ``labels``, as many as ``quota`` says.
    """
    order = rng.permutation(len(labels))
    # Stable: within a class the random order stays.
    order = order[np.argsort(labels[order], kind="stable")]
    return np.sort(order[_rank(labels[order]) < quota[labels[order]]])


def deal(
    labels: np.ndarray, families: np.ndarray, sizes: list[int], rng: np.random.Generator
) -> np.ndarray:
    """Deal families out to splits, stratified by label, no family on two sides.

    Three rounds: each class puts its smallest family into each split that lacks it, the
    rarest class first; then families of several, the largest first, go where their classes
    are wanted most; then the single ones fill each class up to what the split wants of it.
    It is the greedy idea of scikit-learn's StratifiedGroupKFold, for splits of any size, with
    a place for each class in each split, and no loop over the single ones.

    Args:
        labels: (n,) int in [0, k).
        families: (n,) int; those with the same number stay together.
        sizes: How many each split wants; one part more takes what these leave.
        rng: Where chance comes from.

    Returns:
        (n,) int64 part of each. A class with fewer families than there are splits cannot be in
        every split, and one in a few families of many classes may miss one.
    """
    order = rng.permutation(len(labels))  # so that ties are broken by chance
    # Families get numbers without gaps, by which `_Deal` indexes its arrays.
    state = _Deal(labels[order], np.unique(families[order], return_inverse=True)[1], sizes)
    state.spread()
    state.deal_families()
    state.deal_singles()
    splits = np.empty(len(labels), "int64")
    splits[order] = state.splits
    return splits


class _Deal:
    """State of the assignment: split of each example, actual and target counts per class."""

    def __init__(self, labels: np.ndarray, families: np.ndarray, sizes: list[int]):
        counts = np.bincount(labels)
        wanted = [proportional(counts, size) for size in sizes]
        rest = np.maximum(counts - sum(wanted, np.zeros_like(counts)), 0)
        self.labels, self.families = labels, families
        self.wanted = np.stack([*wanted, rest])
        self.has = np.zeros_like(self.wanted)
        self.splits = np.full(len(labels), -1)
        self.family_size = np.bincount(families)
        self.family_start = np.cumsum(self.family_size) - self.family_size
        self.by_family = np.argsort(families, kind="stable")

    def members(self, family: int) -> np.ndarray:
        """(m,) int64: positions of the examples of a family."""
        start = self.family_start[family]
        return self.by_family[start : start + self.family_size[family]]

    def give(self, family: int, split: int) -> None:
        members = self.members(family)
        self.splits[members] = split
        # Not +=, which would count several images of one class once.
        np.add.at(self.has[split], self.labels[members], 1)

    def spread(self) -> None:
        smallest_first = np.lexsort((self.family_size[self.families], self.labels))
        counts = np.bincount(self.labels)
        per_class = np.split(smallest_first, np.cumsum(counts)[:-1])
        for label in np.argsort(counts, kind="stable"):
            candidates = iter(per_class[label])
            for split in range(len(self.wanted)):
                if self.has[split, label]:
                    continue
                free = next((family for family in candidates if self.splits[family] < 0), None)
                if free is not None:
                    self.give(self.families[free], split)

    def deal_families(self) -> None:
        """Give each family where it lowers chi-square most: the sum of lack squared / wanted."""
        free = np.unique(self.families[self.splits < 0])
        free = free[self.family_size[free] > 1]
        for family in free[np.argsort(-self.family_size[free], kind="stable")]:
            classes, n = np.unique(self.labels[self.members(family)], return_counts=True)
            wanted = self.wanted[:, classes]
            lack = wanted - self.has[:, classes]
            change = ((lack - n) ** 2 - lack**2) / np.maximum(wanted, 1)
            self.give(family, int(change.sum(axis=1).argmin()))

    def deal_singles(self) -> None:
        free = np.flatnonzero(self.splits < 0)
        free = free[np.argsort(self.labels[free], kind="stable")]
        labels = self.labels[free]
        # The last part takes what the others leave, so it has no bound.
        lack = np.maximum(self.wanted - self.has, 0)[:-1]
        full = np.cumsum(lack, axis=0)[:, labels]
        self.splits[free] = (_rank(labels) >= full).sum(axis=0)

"""Which examples an epoch draws: of all classes as many, or those of a bootstrap draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_transfer.errors import BadData
from keras_transfer.tables import Table

__all__ = ["SAMPLINGS", "Bootstrap", "Sampling", "bootstrap", "in_rounds"]


class Sampling:
    """Draws equally many examples of each class, again in every epoch.

    A class is drawn in rounds, each in another order: no example is drawn again before all
    others of its class were. What an epoch holds depends on the seed and its number alone.

    Args:
        name: A row of ``SAMPLINGS``.
        labels: (n,) int, of the train split.
        classes: Class names in label order.

    Raises:
        BadData: A class has no examples.
        UnknownName: There is no such sampling.
    """

    def __init__(self, name: str, labels: np.ndarray, classes: Sequence[str]):
        self.members = [np.flatnonzero(labels == label) for label in range(len(classes))]
        counts = np.array([len(rows) for rows in self.members])
        empty = [rows for rows, count in zip(classes, counts, strict=True) if not count]
        if empty:
            raise BadData(f"{name} draws from every class; these have no training examples:", empty)
        self.each = SAMPLINGS[name](counts)
        self.even = name == "balanced_batches"
        self.rounds = int(-(-self.each // counts.min()))

    def __len__(self) -> int:
        """Number of examples in an epoch."""
        return self.each * len(self.members)

    def draw(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The examples of one epoch, in order.

        Args:
            seed: At least 0.
            epoch: Counted from 0.

        Returns:
            (len,) int64 places in the table of the train split, and (len,) int64: for the how
            manieth time, counted from 0, this epoch draws that image.
        """
        rng = np.random.default_rng([seed, epoch])
        drawn = [self._class(members, rng) for members in self.members]
        rows, times = (np.stack(arrays, axis=1) for arrays in zip(*drawn, strict=True))
        if self.even:  # one example of each class, in any order, then the next of each
            order = rng.permuted(np.tile(np.arange(rows.shape[1]), (self.each, 1)), axis=1)
            rows, times = (np.take_along_axis(arrays, order, 1) for arrays in (rows, times))
            return rows.ravel(), times.ravel()
        order = rng.permutation(rows.size)
        return rows.ravel()[order], times.ravel()[order]

    def _class(self, members: np.ndarray, rng: np.random.Generator) -> tuple:
        rounds = -(-self.each // len(members))
        rows = np.concatenate([rng.permutation(members) for _ in range(rounds)])
        return rows[: self.each], np.repeat(np.arange(rounds), len(members))[: self.each]


def in_rounds(
    members: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw members in rounds, each in another order.

    Args:
        members: (m,) int64.
        n: Number to draw.
        rng: Draws the orders.

    Returns:
        (n,) int64 members, and (n,) int64: how often each was drawn before.
    """
    rounds = -(-n // max(len(members), 1))
    rows = [rng.permutation(members) for _ in range(rounds)]
    times = np.repeat(np.arange(rounds), len(members))
    return np.concatenate([np.arange(0), *rows])[:n], times[:n]


def bootstrap(labels: np.ndarray, seed: int) -> np.ndarray:
    """Draw as many examples as there are, with replacement (Breiman 1996), within each class.

    So no class is lost, and the classes keep their sizes.

    Args:
        labels: (n,) int.
        seed: At least 0.

    Returns:
        (n,) int64 rows in the table; ``labels[rows]`` equals ``labels``.
    """
    rng = np.random.default_rng(seed)
    rows = np.empty(len(labels), "int64")
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rows[members] = rng.choice(members, len(members))
    return rows


class Bootstrap(Sampling):
    """Goes through a bootstrap draw, the same in every epoch; or through a sampling of it.

    Args:
        drawn: (n,) rows in the table of the train split, as ``bootstrap`` gives them.
        within: Draws from the drawn examples as if they were the train split; all of them, once
            each, if None.
    """

    def __init__(self, drawn: np.ndarray, within: Sampling | None = None):
        self.drawn, self.within = drawn, within
        self.rounds = 1 if within is None else within.rounds

    def __len__(self) -> int:
        """Number of examples in an epoch."""
        return len(self.drawn if self.within is None else self.within)

    def draw(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The examples of one epoch, in order; see ``Sampling.draw``."""
        if self.within is None:
            rows = np.random.default_rng([seed, epoch]).permutation(self.drawn)
        else:
            rows = self.drawn[self.within.draw(seed, epoch)[0]]
        return rows, _times(rows)


def _times(rows: np.ndarray) -> np.ndarray:
    """(n,) int64: how often the same row occurs earlier."""
    # Stable: draws of one image stay in their order.
    order = np.argsort(rows, kind="stable")
    ranked = rows[order]
    times = np.empty(len(rows), "int64")
    times[order] = np.arange(len(rows)) - np.searchsorted(ranked, ranked)
    return times


Each = Callable[[np.ndarray], int]

SAMPLINGS: Table[Each] = Table(
    "sampling",
    {
        "oversample": lambda counts: int(counts.max()),
        "undersample": lambda counts: int(counts.min()),
        "balanced_batches": lambda counts: int(-(-counts.sum() // len(counts))),
    },
)
"""Examples of each class in an epoch, from the counts of the classes."""

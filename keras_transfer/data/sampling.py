"""Which images an epoch draws: of all classes as many, or those of a bootstrap draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_transfer.errors import BadData
from keras_transfer.tables import Table

__all__ = ["SAMPLINGS", "Bootstrap", "Sampling", "bootstrap"]


class Sampling:
    """Draws as many images of each class, anew in every epoch.

    A class is gone through in rounds, each in another order: no image is drawn again before all
    others of its class were. What an epoch holds depends on the seed and its number alone.

    Args:
        name: A row of ``SAMPLINGS``.
        labels: (n,) int, of the train split.
        classes: Class names in label order.

    Raises:
        BadData: A class has no images.
        UnknownName: There is no such sampling.
    """

    def __init__(self, name: str, labels: np.ndarray, classes: Sequence[str]):
        self.members = [np.flatnonzero(labels == label) for label in range(len(classes))]
        counts = np.array([len(one) for one in self.members])
        empty = [one for one, count in zip(classes, counts, strict=True) if not count]
        if empty:
            raise BadData(f"{name} draws from every class; these have no training images:", empty)
        self.each = SAMPLINGS[name](counts)
        self.even = name == "balanced_batches"
        self.rounds = int(-(-self.each // counts.min()))

    def __len__(self) -> int:
        """How many images an epoch draws."""
        return self.each * len(self.members)

    def draw(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """What one epoch goes through, in its order.

        Args:
            seed: At least 0.
            epoch: Counted from 0.

        Returns:
            (len,) int64 places in the table of the train split, and (len,) int64: for the how
            manieth time, counted from 0, this epoch draws that image.
        """
        rng = np.random.default_rng([seed, epoch])
        drawn = [self._class(members, rng) for members in self.members]
        places, times = (np.stack(one, axis=1) for one in zip(*drawn, strict=True))
        if self.even:  # one image of each class, in any order, then the next of each
            order = rng.permuted(np.tile(np.arange(places.shape[1]), (self.each, 1)), axis=1)
            places, times = (np.take_along_axis(one, order, 1) for one in (places, times))
            return places.ravel(), times.ravel()
        order = rng.permutation(places.size)
        return places.ravel()[order], times.ravel()[order]

    def _class(self, members: np.ndarray, rng: np.random.Generator) -> tuple:
        rounds = -(-self.each // len(members))
        places = np.concatenate([rng.permutation(members) for _ in range(rounds)])
        return places[: self.each], np.repeat(np.arange(rounds), len(members))[: self.each]


def bootstrap(labels: np.ndarray, seed: int) -> np.ndarray:
    """Draw as many images as there are, with replacement (Breiman 1996), within each class.

    So no class is lost, and the classes keep their sizes.

    Args:
        labels: (n,) int.
        seed: At least 0.

    Returns:
        (n,) int64 places in the table; ``labels[places]`` equals ``labels``.
    """
    rng = np.random.default_rng(seed)
    places = np.empty(len(labels), "int64")
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        places[members] = rng.choice(members, len(members))
    return places


class Bootstrap(Sampling):
    """Goes through a bootstrap draw, the same in every epoch; or through a sampling of it.

    Args:
        drawn: (n,) places in the table of the train split, as ``bootstrap`` gives them.
        within: Draws from the drawn images as if they were the train split; all of them, once
            each, if None.
    """

    def __init__(self, drawn: np.ndarray, within: Sampling | None = None):
        self.drawn, self.within = drawn, within
        self.rounds = 1 if within is None else within.rounds

    def __len__(self) -> int:
        """How many images an epoch goes through."""
        return len(self.drawn if self.within is None else self.within)

    def draw(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """What one epoch goes through, in its order; see ``Sampling.draw``."""
        if self.within is None:
            places = np.random.default_rng([seed, epoch]).permutation(self.drawn)
        else:
            places = self.drawn[self.within.draw(seed, epoch)[0]]
        return places, _times(places)


def _times(places: np.ndarray) -> np.ndarray:
    """(n,) int64: how often each place stands before itself."""
    order = np.argsort(places, kind="stable")
    ranked = places[order]
    times = np.empty(len(places), "int64")
    times[order] = np.arange(len(places)) - np.searchsorted(ranked, ranked)
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
"""How many images of each class an epoch draws, by the counts of the classes."""

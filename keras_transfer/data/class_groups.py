"""Batches that hold several examples of each of several classes, for losses of pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_transfer.data.sampling import Sampling, in_rounds
from keras_transfer.errors import BadData

__all__ = ["MIN_MEMBERS", "ClassGroups"]

MIN_MEMBERS = 4
"""Least examples of a class in a batch; there are fewer classes in a batch where it has no room."""


class ClassGroups(Sampling):
    """Draws batches of equally many examples of each of their classes.

    The classes of a batch are drawn at random. The examples of a class are drawn in rounds, each in
    another order: none comes again before all others did. A class with fewer examples than a batch
    takes repeats them. What an epoch holds depends on the seed and its number alone.

    Args:
        labels: (n,) int, of the train split.
        classes: Class names in label order.
        batch_size: At least ``2 * MIN_MEMBERS``, so that there are pairs of two classes.
        iterations: Times that an epoch draws an example, on average.

    Raises:
        BadData: A class has no examples.
    """

    def __init__(
        self, labels: np.ndarray, classes: Sequence[str], batch_size: int, iterations: int
    ):
        self.members = [np.flatnonzero(labels == label) for label in range(len(classes))]
        empty = [name for name, rows in zip(classes, self.members, strict=True) if not len(rows)]
        if empty:
            raise BadData("Pairs are drawn of every class; these have no training examples:", empty)
        self.batch_size = batch_size
        self.groups = min(len(classes), batch_size // MIN_MEMBERS)
        self.batches = -(-len(labels) * iterations // batch_size)
        # No more views of an image than a run without the method would keep.
        self.rounds = 1

    def __len__(self) -> int:
        """Number of examples in an epoch, all batches being full."""
        return self.batches * self.batch_size

    def draw(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The examples of one epoch, in order; see ``Sampling.draw``."""
        rng = np.random.default_rng([seed, epoch, *b"groups"])
        every = np.tile(np.arange(len(self.members)), (self.batches, 1))
        classes = rng.permuted(every, axis=1)[:, : self.groups].ravel()
        # The remainder of a batch goes to its first classes.
        sizes = np.full(self.groups, self.batch_size // self.groups)
        sizes[: self.batch_size % self.groups] += 1
        # The classes in turn within a batch, so that each device that shares it gets several.
        order = np.argsort(np.concatenate([np.arange(n) / n for n in sizes]), kind="stable")
        drawn = np.repeat(classes, np.tile(sizes, self.batches)).reshape(self.batches, -1)
        places = drawn[:, order].ravel()
        rows, times = np.empty_like(places), np.empty_like(places)
        for label, members in enumerate(self.members):
            where = np.flatnonzero(places == label)
            rows[where], times[where] = in_rounds(members, len(where), rng)
        return rows, times

"""Batches that are half source and half target."""

from __future__ import annotations

import numpy as np

from keras_transfer.data.sampling import Sampling, in_rounds
from keras_transfer.errors import BadConfiguration

__all__ = ["DomainSampling"]

SHARES = {False: (2, 2, 0), True: (1, 2, 1)}
"""Quarters of a batch from the source, the target, and the target's labelled examples."""


class DomainSampling(Sampling):
    """Goes through the source once per epoch, and takes as many target examples.

    Each domain is drawn in rounds, each in another order: no example comes again before all others
    of its domain did. Source and target alternate within a batch, so that each device that shares
    it gets both. If some target examples have labels, a quarter of each batch is of them, a quarter
    of the source, and half of the other target examples.

    Args:
        source: Number of source examples; they come first in the joined table.
        target: Number of target examples.
        batch_size: A multiple of 2; of 4 if some target examples have labels.
        labelled: Places of target examples with labels, counted from the first target example.
        within: Draws from the source, to balance its classes; all of it, once each, if None.

    Raises:
        BadConfiguration: The batches cannot be divided so.
    """

    def __init__(
        self,
        source: int,
        target: int,
        batch_size: int,
        labelled: np.ndarray | None = None,
        within: Sampling | None = None,
    ):
        self.source, self.target, self.within = source, target, within
        self.labelled = np.arange(0) if labelled is None else labelled
        # Their labels would count more than once.
        self.others = np.setdiff1d(np.arange(target), self.labelled)
        quarters = SHARES[bool(len(self.labelled))]
        parts = 4 if len(self.labelled) else 2
        if batch_size % parts:
            raise BadConfiguration(
                f"batch_size = {batch_size}: batches are divided among the domains, into {parts} "
                f"parts. Use a multiple of {parts}."
            )
        self.parts = [batch_size * quarter // 4 for quarter in quarters]
        self.batch_size = batch_size
        self.batches = -(-(source if within is None else len(within)) // self.parts[0])
        # Those of the source: views that a run without the target would have too.
        self.rounds = 1 if within is None else within.rounds

    def __len__(self) -> int:
        """Number of examples in an epoch, all batches being full."""
        return self.batches * self.batch_size

    @property
    def labelled_share(self) -> float:
        """Share of the examples of each batch whose labels count."""
        return (self.parts[0] + self.parts[2]) / self.batch_size

    def draw(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The examples of one epoch, as ``Sampling.draw`` gives them."""
        rng = np.random.default_rng([seed, epoch, *b"domains"])
        counts = [self.batches * each for each in self.parts]
        drawn = [
            self._source(counts[0], seed, epoch, rng),
            in_rounds(self.others + self.source, counts[1], rng),
            in_rounds(self.labelled + self.source, counts[2], rng),
        ]
        rows, times = (
            np.concatenate(
                [part[which].reshape(self.batches, -1) for part in drawn if part[which].size], 1
            )
            for which in (0, 1)
        )
        return rows[:, self._order].ravel(), times[:, self._order].ravel()

    @property
    def _order(self) -> np.ndarray:
        """(batch_size,) int64: the domains in turn within a batch."""
        within = [np.arange(each) / each for each in self.parts if each]
        return np.argsort(np.concatenate(within), kind="stable")

    def _source(
        self, n: int, seed: int, epoch: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.within is None:
            return in_rounds(np.arange(self.source), n, rng)
        rows, times = self.within.draw(seed, epoch)
        places = np.arange(n) % len(rows)
        return rows[places], times[places] + np.arange(n) // len(rows)

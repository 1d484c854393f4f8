"""Batches of texts of similar length, so that little of a batch is padding."""

from __future__ import annotations

import numpy as np

from keras_transfer.data.batches import Loading, plain_batches
from keras_transfer.data.samples import Samples
from keras_transfer.data.sampling import Sampling

__all__ = ["MULTIPLE", "GroupedByLength", "padding_share", "token_counts"]

MULTIPLE = 8
"""Batches are as long as their longest text, rounded up to a multiple of it: few lengths."""

WINDOW = 50
"""Most batches whose texts are sorted together."""


def token_counts(samples: Samples, loading: Loading) -> np.ndarray:
    """(n,) int64: tokens of each text, after truncation.

    Args:
        samples: Texts.
        loading: Settings of loading; its input gives a ``padding_mask``.
    """
    batches = plain_batches(samples, loading).as_numpy_iterator()
    return np.concatenate([batch["padding_mask"].sum(1) for batch in batches]).astype("int64")


def padding_share(lengths: np.ndarray, batch_size: int) -> float:
    """Share of padding where each batch is as long as its longest text, see ``MULTIPLE``.

    Args:
        lengths: (n,) int tokens of texts, in the order of the batches.
        batch_size: Of all batches but the last.
    """
    starts = np.arange(0, len(lengths), batch_size)
    longest = np.maximum.reduceat(lengths, starts)
    sizes = np.diff([*starts, len(lengths)])
    return 1 - float(lengths.sum() / np.sum(-(-longest // MULTIPLE) * MULTIPLE * sizes))


class GroupedByLength(Sampling):
    """Draws every example once per epoch, in batches of similar length.

    The examples of an epoch come in a random order, which is divided into windows of at most
    ``WINDOW`` batches, and of at most a quarter of the epoch. Each window is sorted by length and
    cut into batches, and the full batches come in a random order (``group_by_length`` of Hugging
    Face). A smaller last batch holds examples of any length, so that none counts more than others
    by its length. What an epoch holds depends on the seed and its number alone.

    Args:
        lengths: (n,) int, of all examples of the train split.
        batch_size: Examples per batch.
        within: Draws the examples; all of them, once each, if None.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, within: Sampling | None = None):
        self.lengths, self.batch_size, self.within = lengths, batch_size, within
        self.rounds = 1 if within is None else within.rounds

    def __len__(self) -> int:
        """Number of examples in an epoch."""
        return len(self.lengths if self.within is None else self.within)

    def draw(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The examples of one epoch, in order; see ``Sampling.draw``."""
        rng = np.random.default_rng([seed, epoch, *b"length"])
        if self.within is None:
            rows = rng.permutation(len(self.lengths)).astype("int64")
            times = np.zeros_like(rows)
        else:
            rows, times = self.within.draw(seed, epoch)
        order = self._order(self.lengths[rows], rng)
        return rows[order], times[order]

    def _order(self, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n,) int64: places of drawn examples of these lengths, by their new order."""
        size, full = self.batch_size, len(lengths) // self.batch_size
        window = size * max(1, min(WINDOW, full // 4))
        windows = np.arange(full * size) // window
        batches = np.lexsort((lengths[: full * size], windows)).reshape(full, size)
        last = np.arange(full * size, len(lengths))
        return np.concatenate([rng.permutation(batches).ravel(), last])

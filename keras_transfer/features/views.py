"""How examples are seen whose features are kept: clean, or augmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from keras_transfer.data.batches import Augmenter

__all__ = ["CLEAN", "View"]


@dataclass(frozen=True)
class View:
    """How examples are seen: clean, or augmented in a way drawn for each.

    Attributes:
        metadata: What it depends on, JSON-ready; part of the key of its features.
        number: Tells the views of one augmentation apart.
        seed: Seed of the augmentation.
        augment: Maps the inputs of a batch and (batch, 2) seeds to inputs; None: clean.
    """

    metadata: Any = "clean"
    number: int = 0
    seed: int = 0
    augment: Augmenter | None = None

    def seeds(self, digests: np.ndarray) -> np.ndarray:
        """(n, 2) int32: by the content of an image, whatever table it stands in."""
        # Seeds are int32: one bit less than the words of SeedSequence.
        own = np.random.SeedSequence([self.seed, self.number]).generate_state(1)[0] >> 1
        seeds = [(own, crc32(digest.encode()) >> 1) for digest in digests]
        return np.array(seeds, "int32").reshape(-1, 2)


CLEAN = View()

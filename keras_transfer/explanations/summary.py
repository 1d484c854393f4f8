"""What is known of several maps together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from keras_transfer.explanations.deletion import Deletion
from keras_transfer.explanations.sanity import Sanity

__all__ = ["Summary", "summary_of"]


class _Explained(Protocol):
    """An explanation of an image or a text."""

    @property
    def error(self) -> str: ...

    @property
    def deletion(self) -> Deletion | None: ...


class Summary(NamedTuple):
    """What is known of all maps of a folder.

    Attributes:
        method: How they were made.
        examples: Number of images or texts that were explained.
        deletion: Mean area under the probability as what is hottest is removed; None without.
        random: The same of random maps.
        sanity: Rank correlations with maps of random weights; None without.
        removed: What is removed, in the plural.
    """

    method: str
    examples: int
    deletion: float | None
    random: float | None
    sanity: Sanity | None
    removed: str = "squares"

    @property
    def sentences(self) -> list[str]:
        """What it says about the maps."""
        found = []
        if self.deletion is not None and self.random is not None:
            found.append(
                f"Mean deletion score {self.deletion:.3f}, {self.random:.3f} by random maps: the "
                f"area under the probability as the hottest {self.removed} are removed first; "
                "lower is better."
            )
            if self.deletion >= self.random:
                found.append(
                    "Warning: Random maps are no worse, so these do not show what the model needs."
                )
        if self.sanity is not None:
            found.append(
                "Rank correlation with maps of random weights, over "
                f"{self.sanity.examples} examples: {self.sanity.head:.2f} for a random head, "
                f"{self.sanity.all:.2f} for all weights; near 0 is good."
            )
            found += [f"Warning: {self.sanity.warning}"] * bool(self.sanity.warning)
        return found


def summary_of(method: str, found: Sequence[_Explained], sanity: Sanity | None) -> Summary:
    """The means over explanations."""
    scores = [one.deletion for one in found if one.deletion is not None]
    score, random = np.mean(scores, axis=0).tolist() if scores else (None, None)
    return Summary(method, sum(not one.error for one in found), score, random, sanity)

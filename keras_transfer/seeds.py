"""Separate streams of random numbers from the one seed of a recipe."""

import numpy as np

__all__ = ["STREAMS", "stream"]

STREAMS = ("split", "weights", "shuffle", "augment", "members")
"""Users of random numbers. Append new streams, so that the others do not change."""


def stream(seed: int, name: str) -> int:
    """Derive the seed of one stream, independent of the other streams.

    Args:
        seed: The recipe's seed, 0 or more.
        name: One of ``STREAMS``.

    Returns:
        A seed in [0, 2**31).
    """
    state = np.random.SeedSequence([seed, STREAMS.index(name)]).generate_state(1)
    return int(state[0] >> 1)

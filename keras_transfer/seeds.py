"""Separate streams of random numbers from the one seed of a recipe."""

import numpy as np

__all__ = ["STREAMS", "stream"]

STREAMS = ("split", "weights", "shuffle", "augment", "members", "lora")
"""Users of random numbers. Append new streams, so that the others do not change."""


def stream(seed: int, name: str) -> int:
    """Derive the seed of one stream, independent of the other streams.

    Args:
        seed: The recipe's seed, 0 or more.
        name: One of ``STREAMS``.

    Returns:
        A seed in [0, 2**31).
    """
    # seed + index would give seed 0's second stream to seed 1's first; SeedSequence mixes both.
    state = np.random.SeedSequence([seed, STREAMS.index(name)]).generate_state(1)
    # 31 bits: seeds are put into int32 tensors.
    return int(state[0] >> 1)

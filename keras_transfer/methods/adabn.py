"""Adaptive batch normalization: statistics of each domain for its own examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from keras_transfer.methods.adaptation import HEAD_FEATURES, NetworkAdaptation

__all__ = ["AdaBN"]


class AdaBN(NetworkAdaptation):
    """Give batch normalization the statistics of the domain that it sees.

    Li et al. 2016, arXiv:1603.04779. The network is trained on the source with the source's own
    mean and variance of each normalized channel, in place of those of its pretraining; then they
    become those over all examples of the target. Only to exchange the target's is often worse than
    nothing: the head would not know features of a network with statistics of its own data.
    """

    # The features of the head, for the criterion; no term of the loss reads them.
    outputs: ClassVar[Sequence[str]] = (HEAD_FEATURES,)

    type: Literal["adabn"] = "adabn"

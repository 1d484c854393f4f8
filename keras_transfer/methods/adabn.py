"""Adaptive batch normalization: the target's statistics, and no training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from keras_transfer.methods.adaptation import NetworkAdaptation

__all__ = ["AdaBN"]


class AdaBN(NetworkAdaptation):
    """Replace the statistics of batch normalization by those of the target.

    Li et al. 2016, arXiv:1603.04779. The network is trained on the source alone; then the mean and
    the variance of each normalized channel become those over all examples of the target.
    """

    # The features of the head, for the criterion; no term of the loss reads them.
    outputs: ClassVar[Sequence[str]] = ("head_features",)

    type: Literal["adabn"] = "adabn"

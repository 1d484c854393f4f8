"""Bagging: several heads on bootstrap samples of the same features, averaged in one model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from keras_transfer.methods.base import Method

__all__ = ["MAX_MEMBERS", "MIN_MEMBERS", "Bagging"]

MIN_MEMBERS, MAX_MEMBERS = 2, 100
"""Limits of the number of heads."""


class Bagging(Method):
    """Average several heads on one frozen backbone (Breiman 1996, Machine Learning 24:123-140).

    Each head is trained on a bootstrap sample of the train split. The model's probabilities are
    the mean of those of its heads.
    """

    type: Literal["bagging"] = "bagging"
    members: Annotated[int, Field(ge=MIN_MEMBERS, le=MAX_MEMBERS)] = Field(
        10, description=f"number of heads, {MIN_MEMBERS} to {MAX_MEMBERS}"
    )

"""Bagging: several heads on bootstrap samples of the same features, averaged in one model."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from keras_transfer.errors import BadConfiguration
from keras_transfer.methods.base import Method

__all__ = ["MAX_MEMBERS", "MIN_MEMBERS", "Bagging"]

MIN_MEMBERS, MAX_MEMBERS = 2, 100
"""Limits of the number of heads."""


class Bagging(Method):
    """Average several heads on one frozen backbone (Breiman 1996, Machine Learning 24:123-140).

    Each head is trained on a bootstrap sample of the train split. The model's probabilities are
    the mean of those of its heads.
    """

    example: ClassVar[str] = "bagging:10"

    type: Literal["bagging"] = "bagging"
    members: Annotated[int, Field(ge=MIN_MEMBERS, le=MAX_MEMBERS)] = Field(
        10, description=f"number of heads, {MIN_MEMBERS} to {MAX_MEMBERS}"
    )

    @classmethod
    def from_word(cls, more: str) -> dict[str, Any]:
        """The number of heads."""
        # int() alone would also read 1_0 and "+10".
        if not more.isdecimal() or not MIN_MEMBERS <= int(more) <= MAX_MEMBERS:
            raise BadConfiguration(
                f"method = {f'bagging:{more}'!r}: bagging needs the number of heads, {MIN_MEMBERS} "
                f"to {MAX_MEMBERS}, e.g. bagging:10."
            )
        return {"members": int(more)}

"""Pretraining by masked words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from keras_transfer.group import Share
from keras_transfer.methods.base import Method

__all__ = ["MONITORS", "MaskedLM"]

MONITORS: Mapping[str, str] = {
    "val_perplexity": "min",
    "val_loss": "min",
    "val_accuracy": "max",
    "perplexity": "min",
    "loss": "min",
    "accuracy": "max",
}
"""Metrics of an epoch that can choose the best one: "min" or "max" by name."""


class MaskedLM(Method):
    """Predict masked words from the words around them; no labels are needed.

    Devlin et al. 2019, arXiv:1810.04805, with whole words masked. The loss is the mean of
    ``-log p(token)`` over the masked tokens of a batch.
    """

    primary: ClassVar[str] = "type"
    outputs: ClassVar[Sequence[str]] = ("masked",)
    section: ClassVar[str] = "Training"

    type: Literal["masked_lm"] = "masked_lm"
    mask_share: Share = Field(0.15, description="of masked_lm: share of the words that are masked")

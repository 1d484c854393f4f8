"""Supervised training: one head, the labels of the train split."""

from __future__ import annotations

from typing import Literal

from keras_transfer.methods.base import Method

__all__ = ["Supervised"]


class Supervised(Method):
    """Train on the labels of the train split."""

    type: Literal["supervised"] = "supervised"

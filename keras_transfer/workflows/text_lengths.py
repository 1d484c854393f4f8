"""What a run says of the lengths of its texts."""

from __future__ import annotations

import logging

import numpy as np

from keras_transfer.data.samples import Samples
from keras_transfer.inputs.base import BoundInput
from keras_transfer.inputs.text import BoundText

__all__ = ["report_lengths"]

logger = logging.getLogger("keras_transfer")

MOST = 10_000
"""Texts that are counted: tokens of more would take seconds."""


def report_lengths(bound: BoundInput, train: Samples) -> None:
    """Log how many tokens the texts of the train split have; of images nothing.

    Args:
        bound: The input.
        train: The train split; of many texts evenly spaced ones are counted.
    """
    if isinstance(bound, BoundText):
        places = np.unique(np.linspace(0, len(train) - 1, min(MOST, len(train))).astype(int))
        logger.info("%s", bound.survey(train.store.raw(train.rows[places])))

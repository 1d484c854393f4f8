"""Which views of each image a stage trains on."""

from __future__ import annotations

import logging
from typing import Any

from keras_transfer.config.stages import Stage
from keras_transfer.features.views import CLEAN, View
from keras_transfer.workflows.targets import Targets

__all__ = ["stored_views"]

logger = logging.getLogger("keras_transfer")

LEAST_VIEWS, VIEWS, EPOCHS_PER_VIEW = 2, 4, 5
"""Stored views of a stage that tunes, by default: least, most, and how many epochs add one."""


def stored_views(stage: Stage, targets: Targets, given: Any, seed: int) -> list[View]:
    """The views whose features a stage keeps, the clean one first.

    Args:
        stage: Its ``views`` and epochs decide.
        targets: With another image in every epoch, none is kept.
        given: The bound input, which draws the augmented views.
        seed: Of the augmented views.
    """
    if targets.pixels_change:
        logger.info("cutmix creates new images in every epoch, so no features are cached")
        return []
    count = _count(stage, targets, given)
    if count == 1 and given.augments:
        logger.info("Stage %r trains on features of images without augmentation", stage.name)
    elif count > 1:
        text = "Stage %r trains on features of %s views of each image, %s of them augmented"
        logger.info(text, stage.name, count, count - 1)
    others = [
        View(given.augment_settings, number, seed, given.augment) for number in range(1, count)
    ]
    return [CLEAN, *others][:count]


def _count(stage: Stage, targets: Targets, given: Any) -> int:
    """Number of stored views of each example for a stage; 0: new ones in every epoch."""
    strategy = targets.strategy
    if not given.augments or stage.views == "clean" or strategy.resample is not None:
        return 1
    if stage.views == "auto":
        drawn = strategy.rounds  # an example in one epoch, each time another view
        if stage.frozen:
            return min(VIEWS, drawn)
        return min(VIEWS, max(drawn, LEAST_VIEWS, stage.epochs // EPOCHS_PER_VIEW))
    return 0 if stage.views == "fresh" else int(stage.views)

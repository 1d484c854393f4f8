"""BiT-HyperRule: training settings from the number and size of images.

Kolesnikov et al. 2020, "Big Transfer", arXiv:1912.11370, section 3.3.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_transfer.config.groups import Batches
from keras_transfer.config.stages import Stage
from keras_transfer.data.samples import Samples

__all__ = ["Rule", "hyperrule"]

logger = logging.getLogger("keras_transfer")

STEPS = ((20_000, 500, 100), (500_000, 10_000, 500), (math.inf, 20_000, 500))
"""Images of the train split below; updates; of them with a rising rate (as its authors' code)."""

RATE, BATCH = 0.003, 512
"""Of SGD with momentum 0.9; the rate falls in proportion where a batch is smaller."""

SMALL_AREA, SMALL_SIDE, SIDE = 96 * 96, 128, 384
"""Images below this area are resized to the first side, others to the second."""

MIXUP, MIXUP_FROM = 0.1, 20_000
LOOKED_AT = 50
"""Number of images whose size is read."""

Shapes = Callable[[Samples], list[tuple[int, ...]]]
"""Maps some images to their (height, width, 3)."""


class Rule(NamedTuple):
    """Settings by BiT-HyperRule.

    Attributes:
        stage: The only stage.
        image_size: Side of the square, in pixels.
        mixup: Alpha.
    """

    stage: Stage
    image_size: int
    mixup: float


def hyperrule(
    first: Stage,
    batches: Batches,
    image_size: int | None,
    train: Samples,
    length: int,
    shapes: Shapes,
) -> Rule:
    """Compute the training settings.

    All of the network is tuned by SGD with momentum 0.9. The rate rises to 0.003 (times batch /
    512) and falls to a tenth after 30, 60 and 90 % of the updates, of which there are 500, 10,000
    or 20,000 for less than 20,000, less than 500,000, or more images; from 20,000 on there is
    MixUp of 0.1. A given ``image_size`` or ``mixup`` holds instead; random crops are left to the
    recipe's ``augment``.

    Args:
        first: Source of the settings that the rule does not set.
        batches: Batch size and MixUp.
        image_size: Side in pixels; None: by the images.
        train: The train split.
        length: Images per epoch.
        shapes: Maps samples to the shapes of their images.
    """
    n, (updates, rising) = len(train), _updates(len(train))
    steps = math.ceil(length / batches.batch_size)
    # Accumulated batches make one update, so rate and epochs count them as one batch.
    accumulate = first.optimizer.accumulate
    stage = Stage(
        **first.model_dump(exclude={"optimizer"})
        | {
            "name": "bit",
            "unfreeze": "all",
            "optimizer": {**first.optimizer.model_dump(), "name": "sgd", "momentum": 0.9},
            "learning_rate": RATE * batches.batch_size * accumulate / BATCH,
            "schedule": "staircase",
            "decay": 0.1,
            "epochs": math.ceil(updates * accumulate / steps),
            "warmup_epochs": rising * accumulate / steps,
            "carry": False,
        }
    )
    # A batch of one has nothing to blend, and a given cutmix holds instead.
    blending = n >= MIXUP_FROM and batches.batch_size > 1 and not batches.cutmix
    rule = Rule(
        stage, image_size or _side(train, shapes), batches.mixup or (MIXUP if blending else 0.0)
    )
    logger.info(
        "BiT-HyperRule for %s images: %s updates of %s images in %s epochs, rate %.2g, "
        "%s x %s pixels, mixup %g",
        *(n, updates, batches.batch_size * accumulate),
        *(stage.epochs, stage.learning_rate),
        *(rule.image_size, rule.image_size, rule.mixup),
    )
    return rule


def _updates(n: int) -> tuple[int, int]:
    """Number of updates for n images, and the number with a rising rate."""
    return next(row[1:] for row in STEPS if n < row[0])


def _side(train: Samples, shapes: Shapes) -> int:
    """Side in pixels for the median area of evenly spaced images."""
    # Evenly spaced: tables are often sorted by class. unique: there may be fewer than 50.
    rows = np.unique(np.linspace(0, len(train) - 1, LOOKED_AT).astype(int))
    areas = [height * width for height, width, *_ in shapes(train.take(rows))]
    # The median, since a few huge photos say nothing about the others.
    return SMALL_SIDE if np.median(areas) < SMALL_AREA else SIDE

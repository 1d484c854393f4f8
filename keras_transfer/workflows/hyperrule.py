"""BiT-HyperRule: how to tune a network, from how many images there are and how large they are.

Kolesnikov et al. 2020, "Big Transfer", arXiv:1912.11370, section 3.3.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.workflows.imbalance import ImbalanceStrategy

if TYPE_CHECKING:
    from keras_transfer.workflows.finetune import Classify

__all__ = ["check_hyperrule", "hyperrule"]

logger = logging.getLogger("keras_transfer")

STEPS = ((20_000, 500, 100), (500_000, 10_000, 500), (math.inf, 20_000, 500))
"""Images of the train split below; updates; of them with a rising rate (as its authors' code)."""

RATE, BATCH = 0.003, 512
"""Of SGD with momentum 0.9; the rate falls in proportion where a batch is smaller."""

SMALL_AREA, SMALL_SIDE, SIDE = 96 * 96, 128, 384
"""Images of less than that area become squares of the first side, others of the second."""

MIXUP, MIXUP_FROM = 0.1, 20_000
LOOKED_AT = 50
"""Images whose size is looked at."""

DECIDED = ("epochs", "lr")


def check_hyperrule(recipe: Classify) -> None:
    """Refuse what the rule decides itself, and what cannot stand beside what it wants.

    Raises:
        BadConfiguration: Epochs or a rate are given too; or a setting wants the backbone frozen.
    """
    if recipe.schedule != "bit":
        return
    for setting in DECIDED:
        if getattr(recipe, setting) is not None:
            raise BadConfiguration(
                f"schedule = bit finds {setting} by the number of images; leave {setting} out, or "
                "choose another schedule."
            )
    _ruled(recipe, 1, recipe.image_size or SIDE, 1)


def hyperrule(recipe: Classify, samples: Samples) -> Classify:
    """A recipe of one stage as the rule wants it.

    All of the network is tuned by SGD with momentum 0.9. The rate rises to 0.003 (times batch /
    512) and falls to a tenth after 30, 60 and 90 % of the updates, of which there are 500, 10,000
    or 20,000 for less than 20,000, less than 500,000, or more images; from 20,000 on there is
    MixUp of 0.1. What the recipe says of ``image_size`` and ``mixup`` holds instead; random crops
    are left to its ``augment``.

    Args:
        recipe: What the rule does not decide is taken from it, and from its first stage.
        samples: With parts.
    """
    train = samples.split("train")
    length = ImbalanceStrategy(recipe, train).length
    found = _ruled(recipe, len(train), recipe.image_size or _side(train), length)
    (stage,) = found.stages
    logger.info(
        "BiT-HyperRule for %s images: %s updates of %s images in %s epochs, rate %.2g, "
        "%s x %s pixels, mixup %g",
        *(len(train), _updates(len(train))[0], recipe.batch_size * stage.accumulate),
        *(stage.epochs, stage.learning_rate),
        *(found.image_size, found.image_size, found.mixup),
    )
    return found


def _updates(n: int) -> tuple[int, int]:
    """How many for n images, and with how many of them the rate rises."""
    return next(row[1:] for row in STEPS if n < row[0])


def _ruled(recipe: Classify, n: int, side: int, length: int) -> Classify:
    """The recipe for n images that become squares, of which an epoch draws ``length``."""
    (updates, rising), first = _updates(n), recipe.stages[0]
    a_pass = math.ceil(length / recipe.batch_size)  # batches
    stage = first.model_dump(mode="json") | {
        "name": "bit",
        "unfreeze": "all",
        "optimizer": "sgd",
        "momentum": 0.9,
        "learning_rate": RATE * recipe.batch_size * first.accumulate / BATCH,
        "schedule": "staircase",
        "decay": 0.1,
        "epochs": math.ceil(updates * first.accumulate / a_pass),
        "warmup_epochs": rising * first.accumulate / a_pass,
        "carry": False,
    }
    blending = n >= MIXUP_FROM and recipe.batch_size > 1 and not recipe.cutmix
    return recipe.changed(
        schedule=None,
        stages=[stage],
        image_size=side,
        mixup=recipe.mixup or (MIXUP if blending else 0.0),
    )


def _side(train: Samples) -> int:
    """Side in pixels for the median area of some images, evenly taken."""
    some = np.unique(np.linspace(0, len(train) - 1, LOOKED_AT).astype(int))
    shapes = [train.store.decode(row).shape for row in train.rows[some]]
    small = np.median([height * width for height, width, _ in shapes]) < SMALL_AREA
    return SMALL_SIDE if small else SIDE

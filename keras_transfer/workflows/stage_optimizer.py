"""A stage's settings as an optimizer and a plan."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_transfer.config.stages import Stage
from keras_transfer.errors import BadConfiguration
from keras_transfer.networks.network import Network
from keras_transfer.training.layer_rates import layer_factors
from keras_transfer.training.optimizers import build_optimizer
from keras_transfer.training.trainer import StagePlan

__all__ = ["check_updates", "stage_optimizer", "stage_plan"]


def stage_optimizer(stage: Stage, network: Network, steps: int) -> keras.optimizers.Optimizer:
    """Build a stage's optimizer.

    Args:
        stage: Its settings, with a numeric learning rate.
        network: The network in training.
        steps: Batches per epoch.
    """
    settings = stage.optimizer
    return build_optimizer(
        settings.name,
        learning_rate=stage.known_rate(),
        schedule=stage.schedule,
        steps=steps * stage.epochs,
        warmup_steps=round(steps * stage.warmup_epochs),
        decay=stage.decay,
        carry=stage.carry,
        factor_of=None if stage.layer_decay == 1 else layer_factors(network, stage.layer_decay),
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        # Keras's clipnorm would clip each variable alone, and turn the direction of the update.
        global_clipnorm=settings.clipnorm,
        clipvalue=settings.clipvalue,
        # Keras refuses 1.
        gradient_accumulation_steps=settings.accumulate if settings.accumulate > 1 else None,
        use_ema=stage.average.ema is not None,
        ema_momentum=stage.average.ema,
    )


def stage_plan(stages: Sequence[Stage], index: int, steps: int) -> StagePlan:
    """The trainer's plan of a stage.

    Args:
        stages: All stages.
        index: Number of the stage.
        steps: Batches per epoch.
    """
    stage, later = stages[index], stages[index + 1 : index + 2]
    return StagePlan(
        stage.name,
        stage.epochs,
        steps,
        patience=stage.patience,
        plateau=stage.decay if stage.schedule == "plateau" else None,
        soup=stage.average.soup,
        carry=stage.carry,
        # Only if it is used: Adam's moments are twice the size of the weights.
        keep_optimizer_state=any(following.carry for following in later),
    )


def check_updates(stages: Sequence[Stage], steps: int) -> None:
    """Refuse a stage that would end before its first update.

    Args:
        stages: Their settings.
        steps: Batches per epoch.

    Raises:
        BadConfiguration: It says which.
    """
    for number, stage in enumerate(stages):
        batches, accumulate = steps * stage.epochs, stage.optimizer.accumulate
        if accumulate > batches:
            raise BadConfiguration(
                f"stages.{number}.accumulate = {accumulate}: the stage {stage.name!r} has "
                f"{batches} batches in all, so it would make no update. Accumulate fewer, or use "
                "more epochs or a smaller batch_size."
            )

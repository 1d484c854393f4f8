"""Settings that cannot stand together, refused before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_transfer.errors import BadConfiguration

if TYPE_CHECKING:
    from keras_transfer.workflows.finetune import Classify

__all__ = ["check_accumulation", "check_mixing", "check_stages"]

LEAST_ALPHA = 0.05
"""Below it float32 cuts off the gamma numbers that Keras makes proportions of; they become 1/2."""


def check_mixing(recipe: Classify) -> None:
    """Mixup and cutmix need strengths that show, batches of two, and pixels or plain features.

    Raises:
        BadConfiguration: They do not have them.
    """
    blending = recipe.mixup or recipe.cutmix
    if recipe.mixup_off_epoch and not blending:
        raise BadConfiguration("mixup_off_epoch ends mixup and cutmix, and neither is on.")
    for name in ("mixup", "cutmix"):
        if 0 < getattr(recipe, name) < LEAST_ALPHA:
            raise BadConfiguration(
                f"{name} = {getattr(recipe, name):g}: so small an alpha leaves images as they "
                f"are; 0 turns {name} off, {LEAST_ALPHA:g} is the least there is."
            )
    if blending and recipe.batch_size == 1:
        raise BadConfiguration("mixup and cutmix blend images of one batch; batch_size is 1.")
    kept = [stage.name for stage in recipe.planned if isinstance(stage.views, int)]
    if recipe.cutmix and kept:
        raise BadConfiguration(
            f"The stage {kept[0]!r} keeps features of whole images (its setting views), and "
            "cutmix shows new images in every epoch. Choose one of them, or mixup, which "
            "blends features too."
        )


def check_stages(recipe: Classify) -> None:
    """What a stage carries comes from the one before it; a soup is judged on the val split.

    And rates by block want blocks that learn.

    Raises:
        BadConfiguration: It cannot be so.
    """
    before = None
    for stage in recipe.planned:
        if stage.carry and (before is None or before.optimizer != stage.optimizer):
            found = "is the first" if before is None else f"comes after {before.optimizer}"
            raise BadConfiguration(
                f"The stage {stage.name!r} {found}, so its {stage.optimizer} has nothing to go "
                "on with; carry needs a stage before it with the same optimizer."
            )
        before = stage
    frozen = all(stage.unfreeze in (None, "none") for stage in recipe.planned)
    if frozen and any(stage.layer_decay < 1 for stage in recipe.planned):
        raise BadConfiguration(
            "layer_decay lets the blocks of the backbone learn slower, and no stage tunes any; "
            "see unfreeze, or leave layer_decay out."
        )
    if not recipe.monitor.startswith("val_") and any(stage.soup for stage in recipe.planned):
        raise BadConfiguration(
            f"soup is judged on the val split, and monitor = {recipe.monitor!r} is not; choose "
            "val_loss or val_accuracy."
        )


def check_accumulation(recipe: Classify) -> None:
    """Under a MirroredStrategy Keras cannot apply what it has accumulated, on one device too.

    Raises:
        BadConfiguration: A stage accumulates.
    """
    for number, stage in enumerate(recipe.stages):
        if stage.accumulate > 1:
            raise BadConfiguration(
                f"stages.{number}.accumulate = {stage.accumulate}: Keras does not accumulate "
                "gradients over mirrored devices. Take a larger batch_size, which they divide "
                "among them, or strategy = one_device."
            )

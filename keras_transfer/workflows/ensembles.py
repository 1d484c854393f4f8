"""The setting ensemble: what it asks for, and what it cannot go with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_transfer.errors import BadConfiguration

if TYPE_CHECKING:
    from keras_transfer.workflows.finetune import Classify
    from keras_transfer.workflows.stage_runner import StageRunner

__all__ = ["FROZEN", "check_ensemble", "fitting_of", "members"]

FROZEN = (None, "none")
"""What ``unfreeze`` says where a stage leaves the backbone as it is."""


def members(ensemble: str) -> int:
    """How many heads a value of the setting puts on the backbone."""
    name, _, count = ensemble.partition(":")
    return int(count) if name == "bagging" else 1


def fitting_of(ensemble: str) -> type[StageRunner]:
    """The class that goes through the stages of a recipe with this value of the setting."""
    if ensemble == "boosting":
        from keras_transfer.workflows.boosting import Boosting

        return Boosting
    if members(ensemble) > 1:
        from keras_transfer.workflows.bagging import Bagging

        return Bagging
    from keras_transfer.workflows.stage_runner import StageRunner

    return StageRunner


def check_ensemble(recipe: Classify) -> None:
    """Refuse what cannot be done together, before anything is read.

    Raises:
        BadConfiguration: Says which two settings, and why.
    """
    if recipe.ensemble == "none":
        return
    if recipe.engine == "none":
        raise BadConfiguration(
            f"ensemble = {recipe.ensemble} learns from features that a frozen backbone has "
            "computed once. With engine = none there are none: leave that out."
        )
    if recipe.ensemble == "boosting":
        return
    if recipe.schedule == "bit":
        raise BadConfiguration(
            f"ensemble = {recipe.ensemble}: the heads share one backbone, which has to stay as it "
            "is, and schedule = bit tunes all of it. Leave one of them out."
        )
    for number, stage in enumerate(recipe.planned):
        if stage.unfreeze not in FROZEN:
            raise BadConfiguration(
                f"ensemble = {recipe.ensemble}: the heads share one backbone, which has to stay as "
                f"it is, and the stage {stage.name!r} tunes blocks (stages.{number}.unfreeze). "
                "Take stages that train the head only: "
                f"--ensemble {recipe.ensemble} --set 'stages=[{{name: head}}]'."
            )

"""What SetFit excludes."""

from __future__ import annotations

from typing import Any

from keras_transfer.config.recipe_checks import blends, hyperrule
from keras_transfer.data.class_groups import MIN_MEMBERS
from keras_transfer.methods.setfit import SetFit
from keras_transfer.objectives.outputs import single_class

__all__ = ["setfit_batches", "setfit_head", "setfit_stages"]

IMBALANCE = ("auto", "none", "class_weight", "effective_number")


def setfit_head(recipe: Any) -> str:
    """The head is a solved classifier."""
    if not isinstance(recipe.method, SetFit):
        return ""
    if not single_class(recipe.objectives) or isinstance(recipe.objective, dict):
        return "method = setfit is for one classification of the labels. Use another method."
    found = {name: getattr(recipe.head, name) for name in ("units", "dropout", "l1", "l2")}
    found["label_smoothing"] = recipe.objective.label_smoothing
    if recipe.runtime.engine == "none" and "none" not in recipe.baselines:
        return (
            "method = setfit is compared with a head on stored features of the frozen network, and "
            "engine = none stores none. Leave engine out, or use baselines = none."
        )
    for name, value in found.items():
        if value:
            shown = [*value] if isinstance(value, tuple) else f"{value:g}"
            return (
                f"method = setfit solves a linear head, which {name} = {shown} has no part in. "
                f"Leave {name} out."
            )
    return ""


def setfit_batches(recipe: Any) -> str:
    """A batch holds several examples of several classes."""
    if not isinstance(recipe.method, SetFit):
        return ""
    if blends(recipe) or hyperrule(recipe):
        return (
            "method = setfit compares the examples of a batch, which mixup, cutmix and "
            "schedule = bit blend. Leave them out."
        )
    if recipe.objective.imbalance not in IMBALANCE:
        return (
            f"method = setfit draws as many examples of each class itself, so imbalance = "
            f"{recipe.objective.imbalance} has no effect. Leave it out, or use class_weight, which "
            "acts on the head."
        )
    if recipe.batches.batch_size < 2 * MIN_MEMBERS:
        return (
            f"method = setfit: a batch holds {MIN_MEMBERS} examples of two classes or more, and "
            f"batch_size = {recipe.batches.batch_size}. Use {2 * MIN_MEMBERS} or more."
        )
    return ""


def setfit_stages(recipe: Any) -> str:
    """Every stage trains the backbone, and its head is solved after each epoch."""
    if not isinstance(recipe.method, SetFit):
        return ""
    for stage in recipe.stages:
        if stage.frozen:
            return (
                f"method = setfit trains the backbone, and the stage {stage.name!r} freezes it. "
                "Set its unfreeze, e.g. to all, or leave the stage out: the head is solved after "
                "each epoch."
            )
        if stage.tuning.l2_sp_head:
            return (
                f"method = setfit solves the head, which l2_sp_head of the stage {stage.name!r} "
                "has no part in. Leave it out."
            )
        if stage.average.soup or stage.average.ema:
            return (
                f"method = setfit solves the head for the weights of an epoch, and the stage "
                f"{stage.name!r} averages those of several. Leave soup and ema out."
            )
    return ""

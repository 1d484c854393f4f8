"""Checks of stages that are solved instead of trained; see ``config.rules``."""

from __future__ import annotations

from typing import Any

from keras_transfer.config.recipe_checks import single_class

__all__ = ["solver", "solver_alone"]

METHODS = ("supervised", "bagging")
IMBALANCE = {"focal": "another loss", "smote": "synthetic features"}
"""Strategies that a solver does not have, and what they would need."""


def solver(recipe: Any) -> str:
    """What a solver cannot do in this recipe."""
    solved = next((stage for stage in recipe.stages if stage.solved), None)
    if solved is None:
        return ""
    reason = _network(recipe) or _objective(recipe)
    prefix = f"The stage {solved.name!r} has solver = {solved.optimizer.solver}, "
    return reason and prefix + reason


def solver_alone(recipe: Any) -> str:
    """A setting of training where every stage is solved."""
    if not all(stage.solved for stage in recipe.stages):
        return ""
    # A rule before this one has refused other objectives.
    (objective,) = recipe.objectives.values()
    found = {
        **{name: getattr(recipe.head, name) for name in ("dropout", "l1", "l2")},
        **{name: getattr(recipe.batches, name) for name in ("mixup", "cutmix")},
        "label_smoothing": objective.label_smoothing,
    }
    for name, value in found.items():
        if value:
            return (
                f"{name} = {value:g} acts where an optimizer trains, and every stage has solver = "
                f"{recipe.stages[0].optimizer.solver}. Leave {name} out, or add a stage that tunes."
            )
    return ""


def _network(recipe: Any) -> str:
    if recipe.head.units:
        return (
            f"which solves a linear head, and head.units = {[*recipe.head.units]} are hidden "
            "layers. Leave one of them out."
        )
    if recipe.runtime.engine == "none":
        return (
            "which takes the features that a frozen backbone computes once. With engine = none "
            "there are none: leave that out."
        )
    if recipe.method.type not in METHODS:
        return (
            f"which knows the labels only, and method = {recipe.method.type} adds a term to the "
            "loss. Leave solver out."
        )
    return ""


def _objective(recipe: Any) -> str:
    if not single_class(recipe):
        types = ", ".join(objective.type for objective in recipe.objectives.values())
        return f"which is for a single classification, and objective is {types}. Leave solver out."
    (objective,) = recipe.objectives.values()
    if objective.imbalance in IMBALANCE:
        return (
            f"and imbalance = {objective.imbalance} needs {IMBALANCE[objective.imbalance]}. Use "
            "imbalance = class_weight, or leave solver out."
        )
    return ""

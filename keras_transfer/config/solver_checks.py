"""Which stages are solved instead of trained, and what they exclude; see ``config.rules``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_transfer.config.recipe_checks import blends, hyperrule, single_class
from keras_transfer.config.stages import Stage
from keras_transfer.methods.feature_adaptation import FeatureAdaptation

__all__ = ["resolved", "solver", "solver_alone"]

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
    if recipe.method.type not in METHODS and not isinstance(recipe.method, FeatureAdaptation):
        return (
            f"which knows the labels only, and method = {recipe.method.type} adds a term to the "
            "loss. Leave solver out."
        )
    return ""


def _objective(recipe: Any) -> str:
    # A named output may have examples without a class.
    if not single_class(recipe) or isinstance(recipe.objective, dict):
        types = ", ".join(objective.type for objective in recipe.objectives.values())
        return (
            f"which is for one classification of the labels, and objective is {types}. "
            "Leave solver out."
        )
    (objective,) = recipe.objectives.values()
    if objective.imbalance in IMBALANCE:
        return (
            f"and imbalance = {objective.imbalance} needs {IMBALANCE[objective.imbalance]}. Use "
            "imbalance = class_weight, or leave solver out."
        )
    return ""


def resolved(recipe: Any, fits: bool) -> Iterator[Stage]:
    """The stages, with solver = auto decided.

    Args:
        recipe: The recipe.
        fits: Whether the problem is small enough to be solved.
    """
    for stage, after in zip(recipe.stages, (*recipe.stages[1:], None), strict=True):
        if stage.optimizer.solver != "auto":
            yield stage
        elif fits and _solvable(recipe, stage) and not (after and after.carry):
            yield Stage(stage.name, solver="logistic", views=stage.views)
        else:
            optimizer = stage.optimizer.model_copy(update={"solver": None})
            yield stage.model_copy(update={"optimizer": optimizer})


def _solvable(recipe: Any, stage: Stage) -> bool:
    """Whether a stage that leaves it open can be solved, with the loss that was asked for."""
    if recipe.method.type != "supervised" or _network(recipe) or _objective(recipe):
        return False
    # Another loss, or a rate, is a wish for an optimizer.
    asked = blends(recipe) or recipe.objective.label_smoothing or recipe.head.l1 or recipe.head.l2
    open_ = stage.frozen and stage.views != "fresh" and stage.learning_rate != "auto"
    return bool(open_ and not asked and not hyperrule(recipe))

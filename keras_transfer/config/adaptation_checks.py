"""What domain adaptation excludes."""

from __future__ import annotations

from typing import Any

from keras_transfer.config.recipe_checks import blends, hyperrule
from keras_transfer.methods.adaptation import Adaptation, DeepAdaptation, NetworkAdaptation
from keras_transfer.objectives.outputs import single_class

__all__ = ["adapted_batches", "adapted_features", "adapted_monitor", "adapted_objective"]


def adapted_objective(recipe: Any) -> str:
    """Domain adaptation is for one classification."""
    if not isinstance(recipe.method, Adaptation) or single_class(recipe.objectives):
        return ""
    return (
        f"method = {recipe.method.type} adapts a single classification. Use "
        "objective = classification, or method = supervised."
    )


def adapted_batches(recipe: Any) -> str:
    """Batches are half source and half target."""
    method = recipe.method
    if not isinstance(method, NetworkAdaptation):
        return ""
    prefix = f"method = {method.type}"
    if blends(recipe):
        return f"{prefix}: mixup and cutmix would blend the domains. Leave them out."
    if hyperrule(recipe):
        return f"{prefix}: schedule = bit may set mixup, which blends the domains. Use another."
    if getattr(recipe.objective, "imbalance", "") == "smote":
        return f"{prefix}: smote makes up features of no domain. Use oversample or class_weight."
    if not isinstance(method, DeepAdaptation):
        return (
            f"{prefix} trains on the source alone, so it cannot use labels of the target. Leave "
            "target_labels out, or use another method."
            if method.target_labels
            else ""
        )
    parts = 4 if method.target_labels else 2
    size = recipe.batches.batch_size
    if size % parts or size < 2 * parts:
        return (
            f"{prefix}: a batch is divided among the domains, into {parts} parts of two examples "
            f"or more, and batch_size = {size}. Use a multiple of {parts} from {2 * parts} on."
        )
    return ""


def adapted_features(recipe: Any) -> str:
    """Terms on features need layers below them that train."""
    method = recipe.method
    if not isinstance(method, DeepAdaptation) or method.adapts != "features":
        return ""
    if recipe.head.units or not all(stage.frozen for stage in recipe.stages):
        return ""
    return (
        f"method = {method.type} changes the features that the last layer takes, and all stages "
        "freeze them. Add a hidden layer, e.g. --set head.units=[256], or unfreeze blocks."
    )


def adapted_monitor(recipe: Any) -> str:
    """The criterion chooses the epoch."""
    method = recipe.method
    if not isinstance(method, NetworkAdaptation):
        return ""
    if recipe.monitor != "val_loss":
        return (
            f"monitor = {recipe.monitor}: with method = {method.type}, choose_by = "
            f"{method.choose_by} chooses the best epoch. Leave monitor out; choose_by = source "
            "looks at the source only."
        )
    if any(stage.average.soup for stage in recipe.stages):
        return f"method = {method.type}: soup is for monitor, and choose_by chooses. Leave it out."
    return ""

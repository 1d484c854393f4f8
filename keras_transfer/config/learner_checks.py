"""What a recipe that fits a classical learner on frozen features excludes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_transfer.config.stages import Stage
from keras_transfer.methods.adaptation import DeepAdaptation
from keras_transfer.methods.feature_adaptation import FeatureAdaptation
from keras_transfer.methods.table import METHODS

__all__ = ["LEARNT", "learner_problem", "needs_learner"]

LEARNT = (Stage("learner", solver="logistic"),)
"""Its only stage: a frozen backbone, and a head that is computed from its features."""

WITHOUT_WEIGHTS = ("knn", "lda", "nearest_mean")
"""Learners that take no weights of examples; a test compares this with ``learners.table``."""


def needs_learner(recipe: Any) -> str:
    """A method that adapts frozen features, where layers are trained."""
    # Only a FeatureExtraction has a learner.
    if not isinstance(recipe.method, FeatureAdaptation) or hasattr(recipe, "learner"):
        return ""
    deep = [name for name, row in METHODS.items() if issubclass(row, DeepAdaptation)]
    return (
        f"method = {recipe.method.type} adapts frozen features, and stages train layers. Use "
        "FeatureExtraction, as the recipe tca_folder does"
        + (f"; or a method that trains: {', '.join(deep)}." if deep else ".")
    )


def learner_problem(recipe: Any, fused: Sequence[Any]) -> str:
    """The first setting that a ``FeatureExtraction`` does not have, with the way out; or "".

    Args:
        recipe: The recipe.
        fused: Settings of its further backbones.
    """
    name = recipe.learner.name
    views = {stage.model_copy(update={"views": "auto"}) for stage in recipe.stages}
    if views != {*LEARNT}:
        return (
            f"learner = {name} is fitted to frozen features, and stages train layers. Leave stages "
            "out, or use Classify, whose stages may have solver = logistic."
        )
    if recipe.method.type != "supervised" and not isinstance(recipe.method, FeatureAdaptation):
        return (
            f"learner = {name} knows the labels only. Leave method = {recipe.method.type} out, or "
            "use Classify."
        )
    if "scratch" in recipe.baselines:
        return "baselines = scratch trains a network. Compare with a run of Classify."
    objective = recipe.objective
    # Another objective has neither, and is refused by the rules of all recipes.
    imbalance = getattr(objective, "imbalance", "none")
    weighted = imbalance not in ("auto", "none") or bool(getattr(objective, "class_weight", None))
    if name in WITHOUT_WEIGHTS and weighted:
        return (
            f"learner = {name} takes no weights of classes. Leave imbalance and class_weight out, "
            "or use logistic_regression, linear_svm, svm or random_forest."
        )
    if recipe.fusion == "probabilities" and not fused:
        return "fusion = probabilities joins several backbones; name the others by fuse."
    if isinstance(recipe.method, FeatureAdaptation):
        return _transform_problem(recipe) or (_fusion_problem(recipe, fused) if fused else "")
    return _fusion_problem(recipe, fused) if fused else ""


def _transform_problem(recipe: Any) -> str:
    name, method = recipe.learner.name, recipe.method
    if method.weighs and name in WITHOUT_WEIGHTS:
        return (
            f"method = {method.type} weights examples, and learner = {name} takes no weights. Use "
            "logistic_regression, linear_svm, svm or random_forest, or another method, such as "
            "coral."
        )
    if recipe.fusion == "probabilities":
        return (
            f"method = {method.type} transforms the features of all networks together, and fusion "
            "= probabilities has a learner for each. Use fusion = features."
        )
    return ""


def _fusion_problem(recipe: Any, fused: Sequence[Any]) -> str:
    if recipe.input.text_columns:
        return "fuse joins features of images. Leave it out."
    if recipe.head.pooling not in ("avg", "max"):
        return (
            f"fuse joins features that are pooled by avg or max, and pooling = "
            f"{recipe.head.pooling}. Use one of these."
        )
    earlier = next((one for one in fused if one.weights.startswith("recipe:")), None)
    if earlier is not None:
        return (
            f"fuse: {earlier.name} has weights = {earlier.weights}. Run that recipe first, and "
            "name its run: run:DIR."
        )
    own = recipe.backbone.model_dump(include={"name", "variant", "weights"})
    every = [own, *(one.model_dump(include={*own}) for one in fused)]
    twice = next((one for place, one in enumerate(every) if one in every[:place]), None)
    return f"fuse: {twice['name']} is named twice." if twice else ""

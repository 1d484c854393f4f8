"""Checks of ``backbone = auto`` for ``config.rules``: the problem of a recipe, or ""."""

from __future__ import annotations

from typing import Any

from keras_transfer.config.groups import AUTO
from keras_transfer.config.recipe_checks import is_text, single_class


def auto_backbone(recipe: Any) -> str:
    """What excludes a ranking, and what only a ranking uses."""
    backbone = recipe.backbone
    if backbone.name != AUTO:
        if not backbone.min_images_per_s:
            return ""
        return (
            "min_images_per_s limits what backbone = auto takes, and backbone is "
            f"{backbone.name}. Leave one of them out."
        )
    if is_text(recipe) or not single_class(recipe):
        return (
            "backbone = auto is found for images with one label each; with another input or "
            "objective, name the backbone."
        )
    if backbone.variant:
        return "backbone = auto finds the variant too; leave variant out, or name the backbone."
    if recipe.runtime.engine == "none":
        return "backbone = auto compares stored features, and engine = none stores none."
    named = [stage.unfreeze for stage in recipe.stages if isinstance(stage.unfreeze, str)]
    blocks = [block for block in named if block not in ("all", "none")]
    if not blocks:
        return ""
    return (
        f"unfreeze = {blocks[0]}: with backbone = auto no block is known by name. Give a share of "
        "the layers such as 0.2, or name the backbone."
    )

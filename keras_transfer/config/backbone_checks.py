"""Checks of rules about the backbone: each returns the problem of a recipe, or ""."""

from __future__ import annotations

from typing import Any

from keras_transfer.networks.custom import is_keras_file
from keras_transfer.networks.preprocessing import PREPROCESSINGS


def keras_file(recipe: Any) -> str:
    """Settings of a FILE.keras for another network, or the other way round."""
    backbone = recipe.backbone
    if is_keras_file(backbone.name):
        if backbone.variant:
            return f"variant = {backbone.variant}: {backbone.name} is a file and has no variants."
        return ""
    for setting in ("features", "preprocessing"):
        if getattr(backbone, setting) is not None:
            return (
                f"backbone.{setting} is for a FILE.keras; that of {backbone.name} is known. Leave "
                "it out."
            )
    if backbone.weights == "file":
        return (
            f"weights = file means those of a FILE.keras, and backbone = {backbone.name}. Use "
            "weights = imagenet, or the path of a file."
        )
    return ""


def stated_preprocessing(recipe: Any) -> str:
    """A FILE.keras without preprocessing."""
    backbone = recipe.backbone
    if not is_keras_file(backbone.name) or backbone.preprocessing is not None:
        return ""
    return (
        f"backbone = {backbone.name} needs preprocessing, the one that the network was trained "
        f"with: {', '.join(PREPROCESSINGS)}. It is none if the network itself begins with "
        f"Rescaling or Normalization; `kt-recipe show {backbone.name}` tells."
    )

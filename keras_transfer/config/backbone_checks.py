"""Checks of rules about the backbone: each returns the problem of a recipe, or ""."""

from __future__ import annotations

from typing import Any

from keras_transfer.config.groups import AUTO
from keras_transfer.config.recipe_checks import is_text, single_class
from keras_transfer.networks.backbones import BACKBONES
from keras_transfer.networks.custom import is_keras_file
from keras_transfer.networks.preprocessing import PREPROCESSINGS
from keras_transfer.networks.text_backbones import TEXT_BACKBONES


def modality(recipe: Any) -> str:
    """A network for texts with images, or the other way round."""
    name, text = recipe.backbone.name, recipe.backbone.name in TEXT_BACKBONES
    if text == is_text(recipe):
        return ""
    required = "text" if text else "image"
    return (
        f"backbone = {name} takes {required}s, and input = {recipe.input.type}. Use "
        f"--input {required}, or another backbone."
    )


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


def token_pooling(recipe: Any) -> str:
    """A class token of a network for images that has none."""
    name = recipe.backbone.name
    row = BACKBONES.get(name)  # there is none of a file
    if recipe.head.pooling != "token" or is_text(recipe) or (row and row.prefix_tokens):
        return ""
    having = ", ".join(key for key, row in BACKBONES.items() if row.prefix_tokens)
    return (
        f"pooling = token takes the class token, and {name} has none. Use avg, or one of {having}."
    )


def preset_weights(recipe: Any) -> str:
    """A preset of a network that is not of KerasHub, or one of images by the word for texts."""
    name, weights = recipe.backbone.name, recipe.backbone.weights
    text = name in TEXT_BACKBONES
    having = [key for key, row in (TEXT_BACKBONES if text else BACKBONES).items() if row.hub]
    if weights == "preset" and not text:
        return "weights = preset is for networks for texts. Use weights = imagenet for images."
    if weights.partition(":")[0] != "preset" or name in having or name == AUTO:
        return ""
    return (
        f"weights = {weights}: {name} is no network of KerasHub, so it has no presets. Those that "
        f"have are {', '.join(having)}."
    )


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

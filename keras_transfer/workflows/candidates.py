"""Backbones that a ranking compares: those named, or those whose weights are on this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from keras_transfer.config.groups import AUTO, Backbone
from keras_transfer.config.yaml_values import load_yaml
from keras_transfer.errors import BadConfiguration, BadWeights
from keras_transfer.networks import imagenet
from keras_transfer.networks.backbones import BACKBONES
from keras_transfer.networks.hub_backbones import HUB_BACKBONES
from keras_transfer.networks.hub_presets import PRESET, place_of
from keras_transfer.networks.published import IMAGENET

__all__ = [
    "SYNTAX",
    "candidates",
    "check_named",
    "label",
    "local_backbones",
    "option_text",
    "parsed",
]

SYNTAX = "NAME[:OPTION=VALUE][=WEIGHTS]"
_SPEC = re.compile(r"(?P<name>\w+)(?P<options>(?::\w+=[^:=]+)*)(?:=(?P<weights>.+))?")


def parsed(text: str) -> Backbone:
    """Read a backbone as the command line names it.

    Args:
        text: ``vgg16``, ``mobilenet_v2:alpha=0.35``, or with weights as the setting takes them:
            ``mobilenet_v2:alpha=0.35=mobilenet.weights.h5``, ``resnet50=run:runs/first``.

    Raises:
        BadConfiguration: It reads otherwise, or an option has another value.
        UnknownName: There is no such backbone, or no such option of it.
    """
    found = _SPEC.fullmatch(text.strip())
    if found is None:
        raise BadConfiguration(
            f"{text!r} names no backbone. Write {SYNTAX}, such as "
            "mobilenet_v2:alpha=0.35=mobilenet.weights.h5."
        )
    BACKBONES[found["name"]]  # its error suggests a near miss
    options = (option.partition("=") for option in found["options"].split(":")[1:])
    try:
        variant: dict[str, Any] = {name: load_yaml(value) for name, _, value in options}
    except yaml.YAMLError:
        raise BadConfiguration(f"{text!r}: an option has a number, or true or false.") from None
    imagenet.checked_variant(found["name"], variant)
    return Backbone(name=found["name"], variant=variant, weights=found["weights"] or "imagenet")


def option_text(backbone: Backbone) -> str:
    """The backbone as ``parsed`` reads it."""
    weights = "" if backbone.weights == "imagenet" else f"={backbone.weights}"
    return label(backbone).replace(" ", ":") + weights


def label(backbone: Backbone) -> str:
    """Name and variant, for tables: ``mobilenet_v2 alpha=0.35``."""
    return " ".join([backbone.name, *(f"{key}={v}" for key, v in backbone.variant.items())])


def local_backbones(image_size: int | None = None) -> list[Backbone]:
    """The backbones, in all variants, whose pretrained weights are in the cache of Keras or Kaggle.

    Args:
        image_size: As for ``imagenet.where``.
    """
    specs = (parsed(key.replace(" ", ":")) for key in [*IMAGENET, *HUB_BACKBONES])
    return [spec for spec in specs if _place(spec, image_size).present]


def _place(backbone: Backbone, image_size: int | None) -> Any:
    if backbone.name in HUB_BACKBONES:
        return place_of(backbone.name)
    return imagenet.where(backbone.name, backbone.variant, image_size)


def candidates(named: Sequence[str], image_size: int | None = None) -> list[Backbone]:
    """The backbones to compare; their weights are on this machine and fit.

    Args:
        named: As ``parsed`` reads them; none: all whose ImageNet weights are on this machine.
        image_size: Side of the images in pixels; None: the network's own.

    Raises:
        BadWeights: There are none, or the weights of one are not there or do not fit.
        BadConfiguration: One is named twice; or as ``parsed`` does.
    """
    found = [parsed(text) for text in named] if named else local_backbones(image_size)
    if not found:
        home = imagenet.where("mobilenet_v2").path.parent
        raise BadWeights(
            f"No ImageNet weights are on this machine: neither {home} nor the cache of KerasHub's "
            "presets has any. Files in other places are named by --weights mobilenet_v2=FILE. "
            "`kt-recipe weights where mobilenet_v2` says from where weights come and where they "
            "belong; a run with --backbone NAME downloads them."
        )
    for number, backbone in enumerate(found):
        if backbone in found[:number]:
            raise BadConfiguration(f"{option_text(backbone)} is named twice.")
        _check(backbone, image_size)
    return found


def _check(backbone: Backbone, image_size: int | None) -> None:
    """Refuse weights that are missing or misfit before hours of work on others."""
    weights = backbone.weights
    if weights == "imagenet":
        place = _place(backbone, image_size)
        if not place.present:
            raise BadWeights(
                f"The pretrained weights of {label(backbone)} are not on this machine: "
                f"{place.path} does not exist. Download them from {place.url}, name others by "
                f"--weights {option_text(backbone)}=FILE, or leave this backbone out."
            )
        return
    # Not run:DIR or another source, which is checked when it is read.
    if weights.startswith(PRESET) or ":" not in weights or Path(weights).exists():
        from keras_transfer.networks.weights import verify_weights

        if weights == "none":
            raise BadConfiguration(f"{label(backbone)} with random weights cannot be ranked.")
        verify_weights(weights, backbone.name, backbone.variant)


def check_named(backbone: Backbone) -> None:
    """Refuse ``auto`` where a backbone must be named.

    Raises:
        BadConfiguration: It is ``auto``.
    """
    if backbone.name == AUTO:
        raise BadConfiguration(
            "backbone = auto is chosen when a single run starts, and each run could choose "
            "another. Find the best with `kt-recipe rank --data DATA`, then name it by --backbone."
        )

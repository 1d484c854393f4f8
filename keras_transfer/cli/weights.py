"""``kt-recipe weights``: where pretrained weights come from, and whether a file is sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from keras_transfer.config.yaml_values import load_yaml
from keras_transfer.errors import BadConfiguration
from keras_transfer.networks import imagenet
from keras_transfer.networks.backbones import BACKBONES
from keras_transfer.networks.hub_backbones import HUB_BACKBONES
from keras_transfer.networks.hub_presets import place_of
from keras_transfer.networks.hub_text_backbones import HUB_TEXT_BACKBONES
from keras_transfer.networks.weights import verify_weights
from keras_transfer.quiet import import_tensorflow

__all__ = ["weights"]

HUB = {**HUB_BACKBONES, **HUB_TEXT_BACKBONES}
"""Backbones whose published weights are presets of KerasHub."""

VARIANT = click.option(
    "--variant", default="{}", metavar="{OPTION: VALUE}", help="Such as '{alpha: 0.35}'."
)


def _variant(text: str) -> dict[str, Any]:
    try:
        variant = load_yaml(text)
    except yaml.YAMLError:
        # A wrong YAML text and a text that is no mapping get the same message below.
        variant = None
    if not isinstance(variant, dict):
        raise BadConfiguration(
            f"--variant {text:.100}: should be a mapping such as '{{alpha: 0.35}}'."
        )
    return variant


@click.group()
def weights() -> None:
    """List, locate and check files of pretrained weights."""


@weights.command("list")
def list_() -> None:
    """List the backbones, and which of their published weights are on this machine."""
    names = [*BACKBONES, *HUB_TEXT_BACKBONES]
    width = max(map(len, names))
    for name in names:
        if name in HUB:
            preset = place_of(name)
            said = f"{'present' if preset.present else 'absent '}  {preset.url}"
        elif name not in imagenet.IMAGENET:
            said = "no ImageNet weights are published"
        else:
            place = imagenet.where(name)
            said = f"{'present' if place.present else 'absent '}  {place.path.name}"
        click.echo(f"{name:<{width}}  {said}")


@weights.command()
@click.argument("name")
@VARIANT
@click.option("--image-size", type=int, help="MobileNets have files for several sizes.")
def where(name: str, variant: str, image_size: int | None) -> None:
    """Say which file published weights are, from where they come and where they belong."""
    if name in HUB:
        _say_preset(name)
        return
    place = imagenet.where(name, _variant(variant), image_size)
    click.echo(f"file     {place.path}  ({'present' if place.present else 'absent'})")
    click.echo(f"from     {place.url}")
    click.echo(f"hash     {place.hash or 'none is published'}")


def _say_preset(name: str) -> None:
    place = place_of(name)
    gated = "; it has to be accepted on the page of the weights first" if place.gated else ""
    click.echo(f"folder   {place.path}  ({'present' if place.present else 'absent'})")
    click.echo(f"from     {place.url}")
    click.echo(f"license  {place.license}{gated}")


@weights.command()
@click.argument("name")
@click.argument("file")
@VARIANT
def verify(name: str, file: str, variant: str) -> None:
    """Check that every weight of backbone NAME can be taken from FILE.

    FILE NAME does the same.
    """
    known = {**BACKBONES, **HUB_TEXT_BACKBONES}
    if name not in known and (file in known or Path(name).exists()):
        name, file = file, name
    if name not in HUB_TEXT_BACKBONES:
        BACKBONES[name]  # a wrong name shows before TensorFlow loads
    import_tensorflow()
    verify_weights(file, name, _variant(variant))
    click.echo(f"{file} holds weights for {name}.")

"""Sources of backbone weights: files, ImageNet, earlier runs, other recipes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer import catalog, runs
from keras_transfer.atomic import write_json
from keras_transfer.checksums import sha256_of
from keras_transfer.errors import BadConfiguration, BadWeights, TransferError
from keras_transfer.networks import weights as files
from keras_transfer.networks.custom import is_keras_file
from keras_transfer.runs.records import read_json

if TYPE_CHECKING:
    import keras

__all__ = ["check_chain", "check_same_file", "load_pretrained", "resolve_weights"]

BACKBONE = "backbone.json"
"""Record of the file that a run's backbone comes from."""

logger = logging.getLogger("keras_transfer")


def load_pretrained(
    backbone: keras.Model, weights: str, *, name: str, variant: dict[str, Any]
) -> None:
    """Load pretrained weights into a backbone, in place.

    Args:
        backbone: As ``networks.backbones.build_backbone`` makes it.
        weights: "none", "imagenet", a file, or ``run:DIR`` for the backbone of an earlier run.
        name: Name of the network, a row of ``BACKBONES``.
        variant: Variant of the network.

    Raises:
        BadWeights: They cannot be found, read, or put into this network.
    """
    source, colon, location = weights.partition(":")
    # A Windows path has a colon too, so the word before it decides.
    if colon and source == "run":
        _copy(runs.Run(location), backbone, name)
    else:
        files.load_backbone_weights(backbone, weights, name=name, variant=variant)


def resolve_weights(weights: str) -> str:
    """Turn ``recipe:NAME`` into ``run:DIR`` of that recipe's last run; others stay as they are.

    A recipe without a finished run is run first, or its interrupted run is finished. That is
    done before the run that needs it sets its seed, precision and devices.

    Raises:
        BadConfiguration: Recipes wait for each other's weights in a circle.
        UnknownName: There is no such recipe.
    """
    source, _, recipe = weights.partition(":")
    if source != "recipe":
        return weights
    check_chain(recipe)
    folder = runs.finished(recipe)
    if folder is None:
        logger.info("Weights of recipe %r: running it first, since it has no finished run", recipe)
        begun = runs.has_interrupted(recipe)
        folder = catalog.find(recipe).recipe.run(name=recipe, resume=begun).folder
    logger.info("Weights of recipe %r: its run %s", recipe, folder)
    return f"run:{folder}"


def check_same_file(folder: Path, name: str) -> None:
    """Record the checksum of a backbone's FILE.keras, or compare it where a run is resumed.

    Args:
        folder: The run directory.
        name: Of the backbone; one that is no file needs no record.

    Raises:
        BadWeights: The file is not there, or is another one than when the run began.
    """
    if not is_keras_file(name):
        return
    record, path = folder / BACKBONE, Path(name).expanduser()
    if not path.is_file():
        raise BadWeights(f"The backbone {path.absolute()} does not exist.")
    now = sha256_of(path)
    began = read_json(record, dict).get("sha256") if record.exists() else now
    if now != began:
        raise BadWeights(
            f"{path} has changed since the run in {folder} began: its SHA-256 was {began} and is "
            f"{now}. Put the file back, or start a new run without --resume."
        )
    write_json(record, {"file": name, "sha256": now})


def check_chain(recipe: str) -> None:
    """Check that references ``recipe:`` between recipes have no cycle.

    Raises:
        BadConfiguration: It does not.
        UnknownName: One of the recipes is not there.
    """
    seen: list[str] = []
    while recipe not in seen:
        seen.append(recipe)
        weights = catalog.find(recipe).recipe.backbone.weights
        if not weights.startswith("recipe:"):
            return
        recipe = weights.partition(":")[2]
    raise BadConfiguration(
        f"Recipes wait for each other's weights: {' -> '.join([*seen, recipe])}."
    )


def _copy(run: runs.Run, backbone: keras.Model, name: str) -> None:
    try:
        source = run.network.backbone
    except (ValueError, OSError) as error:
        raise BadWeights(f"The model of {run.folder} has no backbone: {error}") from None
    try:
        files.copy_backbone_weights(source, backbone)
    except TransferError as error:
        raise BadWeights(
            f"The backbone of {run.folder} does not fit: {error}{_cure(run, name)}"
        ) from None


def _cure(run: runs.Run, name: str) -> str:
    """What to do where the run has another network; "" where it has the same."""
    began = run.settings["backbone"]["name"]
    if began == name:
        return ""
    return f" It is {began}, and backbone = {name}: use --backbone {began}, or other weights."

"""Settings of earlier versions in today's words: of stored runs and exports, recipes and files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_transfer.errors import BadConfiguration

__all__ = ["VERSION", "renamed", "upgraded", "versioned"]

VERSION = 2
"""Version of the settings; stands in ``recipe.yaml``. Files without one are of version 1."""

GROUPS_OF_VERSION_1 = {
    "data": ("data_dir", "classes", "split", "limit", "on_bad", "strict"),
    "input": ("image_size", "resize", "augment"),
    "backbone": ("variant", "weights", "batch_norm"),
    "objective": ("imbalance", "class_weight", "label_smoothing"),
    "batches": ("batch_size", "mixup", "cutmix", "mixup_off_epoch"),
    "runtime": ("precision", "strategy", "engine", "engine_error", "cache", "deterministic"),
}
"""Where the settings of version 1, which were all in one level, stand now."""

MAIN_OF_VERSION_1 = {"data": "source", "backbone": "name"}
"""Settings of version 1 that became a group; the name of that setting in the group."""

SHORTHAND = ("epochs", "lr", "schedule", "views", "layer_decay")
"""Settings of version 1 that were stored; None where they said nothing."""


def versioned(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are stored: with their version."""
    return {"version": VERSION, **settings}


def upgraded(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Read stored settings: those of version 1 are put into groups.

    Raises:
        BadConfiguration: The settings are of a later version than this package.
    """
    found = dict(stored)
    version = found.pop("version", 1)
    if version > VERSION:
        raise BadConfiguration(
            f"These settings are of version {version}, and this keras_transfer knows versions up "
            f"to {VERSION}. Upgrade keras_transfer."
        )
    if version == VERSION:
        return found
    for group, main in MAIN_OF_VERSION_1.items():
        if group in found:
            found[group] = {main: found[group]}
    for group, names in GROUPS_OF_VERSION_1.items():
        moved = {name: found.pop(name) for name in names if name in found}
        if moved:
            found[group] = {**found.get(group, {}), **moved}
    for name in SHORTHAND:
        if found.get(name, "") is None:
            del found[name]
    return renamed(found)


def renamed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace names of version 1: ``ensemble``, ``baseline`` and ``head.batch_norm``."""
    found = dict(settings)
    ensemble, scratch = found.pop("ensemble", None), found.pop("baseline", None)
    if ensemble is not None and ensemble != "boosting":
        found["method"] = "supervised" if ensemble == "none" else ensemble
    if ensemble is not None or scratch is not None:
        wanted = {"scratch": bool(scratch), "boosted_trees": ensemble == "boosting"}
        found["baselines"] = [
            *found.get("baselines", ()),
            *(name for name, asked in wanted.items() if asked),
        ]
    head = found.get("head")
    if isinstance(head, Mapping) and "batch_norm" in head:
        found["head"] = {
            "batch_normalization" if name == "batch_norm" else name: value
            for name, value in head.items()
        }
    return found

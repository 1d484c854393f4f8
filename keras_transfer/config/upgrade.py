"""Convert settings of earlier versions in stored runs, exports, recipes and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_transfer.config import shorthand
from keras_transfer.config.groups import Head
from keras_transfer.errors import BadConfiguration
from keras_transfer.methods.table import from_text
from keras_transfer.objectives.operating import Threshold
from keras_transfer.objectives.rejection import Reject
from keras_transfer.objectives.table import several

__all__ = ["VERSION", "renamed", "stored", "upgraded", "versioned"]

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
"""Groups of the settings of version 1, which had no groups."""

GROUPS_OF_A_STAGE = {
    "optimizer": ("momentum", "weight_decay", "clipnorm", "clipvalue", "accumulate"),
    "average": ("ema", "soup"),
    "tuning": ("l2_sp", "l2_sp_head"),
}
"""Groups of a stage's settings of version 1."""

MAIN_OF_VERSION_1 = {"data": "source", "backbone": "name", "optimizer": "name"}
"""Settings of version 1 that became a group; the name of that setting in the group."""

ADDED_SINCE_VERSION_1: dict[str, dict[str, Any]] = {
    "data": {"layout": "auto", "label_column": "label", "groups": None, "relabel": None},
    "input": {"type": "image"},
    "backbone": {"features": None, "preprocessing": None, "min_images_per_s": 0.0},
}
"""Settings that version 1 did not have, with the value that does what it did."""

OBJECTIVE_OF_VERSION_1: dict[str, Any] = {"type": "classification", "weight": 1.0}

REJECT_NOTHING: dict[str, Any] = {"reject": Reject().model_dump(mode="json")}
"""What classifications without such settings did."""

NO_THRESHOLD: dict[str, Any] = {"threshold": Threshold().model_dump(mode="json")}
"""What classes and labels without such settings did."""

ADDED_TO_STAGES: dict[str, dict[str, Any]] = {
    "tuning": {"trainable": "all", "lora": None, "lora_alpha": None},
    "optimizer": {"solver": None},
}
"""Settings in the groups of a stage that stages of version 1 did not have."""

SUPERVISED = ("none", "boosting")
"""Values of the setting ``ensemble`` of version 1 by which a single head was trained."""


def versioned(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their version, for storing."""
    return {"version": VERSION, **settings}


def stored(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Read all stored settings of a run or an export.

    Raises:
        BadConfiguration: The settings are of a later version than this package.
    """
    values = upgraded(settings)
    if not _without_labels(values):
        values["objective"] = _objectives(values.get("objective", {}))
    for group, added in ADDED_SINCE_VERSION_1.items():
        # A default that changes later must not change what an old run did.
        values[group] = {**added, **values.get(group, {})}
    if values["input"]["type"] == "text":  # batches of texts were not grouped by length
        values["input"] = {"group_by_length": False, **values["input"]}
    # A search may store some settings only.
    if isinstance(values.get("stages"), Sequence):
        values["stages"] = [_completed(stage) for stage in values["stages"]]
    # Version 1 stored shorthand next to the stages; now it is applied and forgotten.
    short = {name: values.pop(name) for name in shorthand.SHORTHAND if name in values}
    return {**values, "stages": shorthand.apply(values["stages"], short)} if short else values


def _without_labels(values: Mapping[str, Any]) -> bool:
    """Whether they are of a pretraining, which has no objective."""
    method = values.get("method")
    return isinstance(method, Mapping) and method.get("type") == "masked_lm"


def _objectives(given: Any) -> Any:
    """Objectives with the settings that they did not have when they were stored."""
    if not isinstance(given, Mapping):
        return given
    if given and several(given):
        return {name: _uncalibrated(one) for name, one in given.items()}
    return _uncalibrated({**OBJECTIVE_OF_VERSION_1, **given})


def _uncalibrated(one: Any) -> Any:
    # Those with probabilities have label smoothing; of a search only some may be stored.
    if not isinstance(one, Mapping) or "label_smoothing" not in one:
        return one
    unknown = REJECT_NOTHING if one.get("type") == "classification" else {}
    chosen = NO_THRESHOLD if one.get("type") in ("classification", "multilabel") else {}
    return {"calibrate": "none", **unknown, **chosen, **one}


def upgraded(settings: Mapping[str, Any], baselines: Sequence[str] = ()) -> dict[str, Any]:
    """Read settings, perhaps only some of them: those of version 1 are put into groups.

    A group may be given as today in settings that do not say their version.

    Args:
        settings: By name.
        baselines: As ``renamed`` takes them.

    Raises:
        BadConfiguration: The settings are of a later version than this package.
    """
    found = dict(settings)
    version = found.pop("version", 1)
    # A later version may mean something else by the same name, so guessing is worse than stopping.
    if not isinstance(version, int) or version > VERSION:
        raise BadConfiguration(
            f"These settings are of version {version}, and this keras_transfer reads versions up "
            f"to {VERSION}. Upgrade keras_transfer."
        )
    if version == VERSION:
        return found
    found = _grouped(found, GROUPS_OF_VERSION_1)
    if isinstance(found.get("head"), Mapping):
        found["head"] = {Head.old_names.get(name, name): v for name, v in found["head"].items()}
    if isinstance(found.get("stages"), Sequence):
        found["stages"] = [_stage(stage) for stage in found["stages"]]
    # Version 1 wrote null for shorthand that was not given.
    for name in shorthand.SHORTHAND:
        if found.get(name, "") is None:
            del found[name]
    return renamed(found, baselines)


def _stage(stage: Any) -> Any:
    return _grouped(stage, GROUPS_OF_A_STAGE) if isinstance(stage, Mapping) else stage


def _completed(stage: Any) -> Any:
    if not isinstance(stage, Mapping):
        return stage
    stage = _grouped(stage, {"tuning": GROUPS_OF_A_STAGE["tuning"]})
    for group, added in ADDED_TO_STAGES.items():
        given = stage.get(group, {})
        if isinstance(given, Mapping):
            stage[group] = {**added, **given}
    return stage


def _grouped(settings: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    result = dict(settings)
    for group, names in groups.items():
        moved = {name: result.pop(name) for name in names if name in result}
        given = result.get(group, {})
        if isinstance(given, str):
            given = {MAIN_OF_VERSION_1[group]: given}
        if group in result or moved:
            result[group] = {**given, **moved}
    return result


def renamed(settings: Mapping[str, Any], baselines: Sequence[str] = ()) -> dict[str, Any]:
    """Replace the settings ``ensemble`` and ``baseline`` of version 1.

    Args:
        settings: All settings, or those that are changed.
        baselines: Those so far, which stay unless the settings say something else.
    """
    result = dict(settings)
    ensemble, scratch = result.pop("ensemble", None), result.pop("baseline", None)
    # True adds a baseline and False removes it; one that is not named stays.
    asked: dict[str, bool] = {}
    if scratch is not None:
        asked["scratch"] = bool(scratch)
    if ensemble is not None:
        asked["boosted_trees"] = ensemble == "boosting"
        result["method"] = from_text("supervised" if ensemble in SUPERVISED else ensemble)
    if asked:
        before = result.get("baselines", baselines)
        before = before.split(",") if isinstance(before, str) else before
        kept = [name for name in before if asked.get(name, True)]
        result["baselines"] = [
            *kept,
            *(n for n, wanted in asked.items() if wanted and n not in kept),
        ]
    return result

"""Shorthand for a setting of every stage, applied when a recipe is created or changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import create_model

from keras_transfer.config.stages import Rate, StageSchedule, Views
from keras_transfer.errors import BadConfiguration
from keras_transfer.group import Count, Decay, Group
from keras_transfer.networks.text_backbones import TEXT_BACKBONES
from keras_transfer.tables import Table

__all__ = ["SHORTHAND", "Shorthand", "apply", "checked", "for_texts"]

Stages = list[dict[str, Any]]
"""Stages as mappings of their settings."""


class Shorthand(NamedTuple):
    """A setting of the recipe that changes its stages.

    Attributes:
        type: What it accepts.
        description: For the command line.
        apply: Maps stages and a value to stages.
    """

    type: Any
    description: str
    apply: Callable[[Stages, Any], Stages]


def _every(setting: str) -> Callable[[Stages, Any], Stages]:
    return lambda stages, value: [{**stage, setting: value} for stage in stages]


def _solved(stage: Mapping[str, Any]) -> bool:
    return stage.get("optimizer", {}).get("solver") == "logistic"


def _trained(setting: str) -> Callable[[Stages, Any], Stages]:
    """Of every stage that an optimizer trains."""
    return lambda stages, value: [
        stage if _solved(stage) else {**stage, setting: value} for stage in stages
    ]


def _lr(stages: Stages, rate: Any) -> Stages:
    """The rate of the first stage with one; those of the others keep their proportion to it."""
    first, *rest = (stage["learning_rate"] for stage in stages if not _solved(stage))
    factor = 1 if "auto" in (rate, first) else rate / first
    rates = iter([rate, *(other * factor for other in rest)])
    return [
        stage if _solved(stage) else {**stage, "learning_rate": next(rates)} for stage in stages
    ]


def _schedule(stages: Stages, name: str) -> Stages:
    if name != "bit":
        return _trained("schedule")(stages, name)
    # One stage without warm-up and carry: the rule sets its own, and there is no stage before.
    rule = {"name": "bit", "schedule": "bit", "warmup_epochs": 0.0, "carry": False}
    return [{**stages[0], **rule, "optimizer": {**stages[0]["optimizer"], "solver": None}}]


SHORTHAND: Table[Shorthand] = Table(
    "setting",
    {
        "epochs": Shorthand(
            Count, "epochs per stage; overrides the stages' own", _trained("epochs")
        ),
        "lr": Shorthand(
            Rate, "learning rate of the first stage, others in proportion; auto: by a sweep", _lr
        ),
        "schedule": Shorthand(
            StageSchedule, "schedule of every stage; bit: BiT-HyperRule, which sets more", _schedule
        ),
        "layer_decay": Shorthand(
            Decay, "rate factor from each block to the block before it", _trained("layer_decay")
        ),
        "views": Shorthand(
            Views, "augmented views kept per image: auto, clean, fresh or N", _every("views")
        ),
    },
)

# A model, so that shorthand is checked and reported like any other setting.
_FIELDS: dict[str, Any] = {name: (row.type | None, None) for name, row in SHORTHAND.items()}
_Given = create_model("Given", __base__=Group, **_FIELDS)


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Validate the shorthand among some settings; None is left out.

    Raises:
        pydantic.ValidationError: A value is not allowed.
    """
    values = _Given(**{name: given[name] for name in SHORTHAND if name in given})
    return {name: value for name, value in values if value is not None}


def apply(stages: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> Stages:
    """Apply shorthand to stages.

    Args:
        stages: All settings of each stage.
        given: As ``checked`` returns it.

    Raises:
        BadConfiguration: BiT-HyperRule would set these itself, or no stage has them.
    """
    settings = [dict(stage) for stage in stages]
    # Before anything is applied: the order of the options must not decide what is refused.
    bit = given.get("schedule", settings[0]["schedule"]) == "bit"
    for name in ("epochs", "lr"):
        if bit and name in given:
            raise BadConfiguration(
                f"schedule = bit finds {name} by the number of images; leave {name} out, or choose "
                "another schedule."
            )
    solved = all(map(_solved, settings)) and not bit
    for name in ("epochs", "lr", "schedule", "layer_decay"):
        if solved and name in given:
            raise BadConfiguration(
                f"{name} is for stages that an optimizer trains, and every stage has a solver. "
                f"Leave {name} out."
            )
    for name, value in given.items():
        settings = SHORTHAND[name].apply(settings, value)
    return settings


def for_texts(settings: dict[str, Any]) -> None:
    """Complete the settings of a network for texts, in place."""
    backbone = settings.get("backbone")
    if not isinstance(backbone, dict) or backbone.get("name") not in TEXT_BACKBONES:
        return
    pretrained = TEXT_BACKBONES[backbone["name"]].hub is not None
    settings["backbone"] = {"weights": "preset" if pretrained else "none", **backbone}
    if isinstance(settings.get("input", {}), dict):
        settings["input"] = {"type": "text", **settings.get("input", {})}

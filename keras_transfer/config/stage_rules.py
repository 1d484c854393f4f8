"""Which settings of a stage exclude each other; ``config.rules`` has the table of all rules."""

from __future__ import annotations

from typing import Any

from keras_transfer.config.rule import Rule

__all__ = ["STAGE_RULES"]

WARM_SCHEDULES = ("constant", "cosine", "one_cycle", "staircase")


def _warmup_schedule(stage: Any) -> str:
    if not stage.warmup_epochs or stage.schedule in (*WARM_SCHEDULES, "bit"):
        return ""
    return f"warmup_epochs goes with {', '.join(WARM_SCHEDULES)}, not with {stage.schedule}"


def _warmup_length(stage: Any) -> str:
    if stage.warmup_epochs <= stage.epochs:
        return ""
    return (
        f"warmup_epochs = {stage.warmup_epochs:g} in {stage.epochs} epochs: the stage would end "
        "before its rate is reached"
    )


def _l2_sp(stage: Any) -> str:
    if not stage.l2_sp or not stage.frozen:
        return ""
    return "l2_sp pulls unfrozen blocks, and this stage has none; see unfreeze"


def _carry_nadam(stage: Any) -> str:
    if not stage.carry or stage.optimizer.name != "nadam":
        return ""
    return "nadam has one count of steps for all blocks; use carry with adam instead"


def _ftrl_layer_decay(stage: Any) -> str:
    if stage.layer_decay == 1 or stage.optimizer.name != "ftrl":
        return ""
    return "ftrl recomputes weights from sums, so layer_decay has no effect on it"


def _ftrl_warmup(stage: Any) -> str:
    # one_cycle starts above rate 0, so FTRL can divide by it.
    warm = stage.warmup_epochs and stage.schedule != "one_cycle"
    if not warm or stage.optimizer.name != "ftrl":
        return ""
    return "ftrl divides by the rate, and warmup_epochs starts at rate 0"


def _clipping(stage: Any) -> str:
    if not (stage.optimizer.clipnorm and stage.optimizer.clipvalue):
        return ""
    return "clipnorm and clipvalue both bound the gradients; choose one"


STAGE_RULES: tuple[Rule, ...] = (
    Rule(
        ("warmup_epochs", "schedule"),
        "exponential, step and plateau have no warm-up",
        _warmup_schedule,
        [
            {"stage.warmup_epochs": 0.5, "stage.schedule": name}
            for name in ("exponential", "step", "plateau")
        ],
    ),
    Rule(
        ("warmup_epochs", "epochs"),
        "a warm-up ends within its stage",
        _warmup_length,
        [{"stage.warmup_epochs": 3, "stage.epochs": 2}],
    ),
    Rule(
        ("l2_sp", "unfreeze"),
        "L2-SP pulls unfrozen blocks to their pretrained weights",
        _l2_sp,
        [{"stage.l2_sp": 0.01, "stage.unfreeze": None}],
    ),
    Rule(
        ("carry", "optimizer"),
        "Nadam counts its steps for all blocks at once",
        _carry_nadam,
        [{"stage.carry": True, "stage.optimizer": "nadam"}],
    ),
    Rule(
        ("layer_decay", "optimizer"),
        "FTRL recomputes weights from sums",
        _ftrl_layer_decay,
        [{"stage.layer_decay": 0.7, "stage.optimizer": "ftrl"}],
    ),
    Rule(
        ("warmup_epochs", "optimizer"),
        "FTRL divides by the rate, which is 0 at the start of a warm-up",
        _ftrl_warmup,
        [
            {"stage.optimizer": "ftrl", "stage.warmup_epochs": 0.5, "stage.schedule": name}
            for name in ("constant", "cosine", "staircase")
        ],
    ),
    Rule(
        ("clipnorm", "clipvalue"),
        "both bound the gradients",
        _clipping,
        [{"stage.clipnorm": 1, "stage.clipvalue": 0.5}],
    ),
)

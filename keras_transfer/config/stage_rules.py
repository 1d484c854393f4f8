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


NOT_SOLVED = (
    *("epochs", "learning_rate", "optimizer", "schedule", "warmup_epochs", "decay"),
    *("layer_decay", "average", "carry", "l2_sp", "l2_sp_head", "patience"),
)
"""Settings of a stage that trains by an optimizer."""


def _solver_only(stage: Any) -> str:
    if not stage.solved:
        return ""
    solver = stage.optimizer.solver
    others = {"optimizer": stage.optimizer.model_copy(update={"solver": None})}
    for name in NOT_SOLVED:
        if others.get(name, getattr(stage, name)) != type(stage).model_fields[name].default:
            return (
                f"solver = {solver} has no {name}: it solves the head to convergence. Leave {name} "
                "out, or solver"
            )
    return ""


def _solver_frozen(stage: Any) -> str:
    if not stage.solved or stage.frozen:
        return ""
    return (
        f"solver = {stage.optimizer.solver} solves a head on a frozen backbone. Leave unfreeze "
        "out, and tune in a stage after it"
    )


def _solver_views(stage: Any) -> str:
    if not stage.solved or stage.views != "fresh":
        return ""
    return (
        f"solver = {stage.optimizer.solver} takes all features at once, and views = fresh makes "
        "others in every epoch. Use views = clean, or a number"
    )


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
    Rule(
        ("solver", *NOT_SOLVED),
        "a solver needs no optimizer, rate, schedule or number of epochs",
        _solver_only,
        [
            {"stage.solver": "logistic", "stage.unfreeze": None, **others}
            for others in (
                {"stage.epochs": 3},
                {"stage.learning_rate": 0.1},
                {"stage.optimizer": "sgd"},
                {"stage.ema": 0.9},
                {"stage.patience": 2},
            )
        ],
    ),
    Rule(
        ("solver", "unfreeze"),
        "a solver is for the head on a frozen backbone",
        _solver_frozen,
        [{"stage.solver": "logistic", "stage.unfreeze": "block5"}],
    ),
    Rule(
        ("solver", "views"),
        "a solver takes a fixed set of features",
        _solver_views,
        [{"stage.solver": "logistic", "stage.unfreeze": None, "stage.views": "fresh"}],
    ),
)

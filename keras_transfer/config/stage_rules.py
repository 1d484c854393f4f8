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
    if not stage.tuning.l2_sp or not stage.frozen:
        return ""
    return "l2_sp pulls unfrozen blocks, and this stage has none; see unfreeze"


def _l2_sp_kernels(stage: Any) -> str:
    if not stage.tuning.l2_sp or stage.tuning.weights == "all":
        return ""
    return (
        f"l2_sp pulls kernels that train, and with {_partial(stage)} the backbone's kernels stay "
        "as they are; leave l2_sp out"
    )


def _lora_trainable(stage: Any) -> str:
    if stage.tuning.lora is None or stage.tuning.trainable == "all":
        return ""
    return (
        f"lora trains matrices of its own, and trainable = {stage.tuning.trainable} other weights; "
        "choose one, or use two stages"
    )


def _lora_alpha(stage: Any) -> str:
    if stage.tuning.lora_alpha is None or stage.tuning.lora is not None:
        return ""
    return "lora_alpha scales the matrices of lora, and lora has no rank; set lora, e.g. lora = 8"


def _tuning_frozen(stage: Any) -> str:
    if not stage.frozen or stage.tuning.weights == "all":
        return ""
    return (
        f"unfreeze = none freezes the backbone, and {_partial(stage)} trains part of it; leave one "
        "of them out"
    )


def _tuning_bit(stage: Any) -> str:
    if stage.schedule != "bit" or stage.tuning.weights == "all":
        return ""
    return (
        f"schedule = bit has the rates for tuning all weights, and {_partial(stage)} trains few; "
        "choose another schedule, e.g. cosine"
    )


def _lora_ftrl(stage: Any) -> str:
    if stage.tuning.lora is None or stage.optimizer.name != "ftrl":
        return ""
    return "ftrl sets weights to 0 whose first gradient is 0, as of lora's matrix A; use adam"


def _partial(stage: Any) -> str:
    """The setting that lets only few weights train."""
    tuning = stage.tuning
    return f"lora = {tuning.lora}" if tuning.lora else f"trainable = {tuning.trainable}"


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
    *("layer_decay", "average", "carry", "patience"),
)
"""Settings of a stage that trains by an optimizer."""


def _solver_only(stage: Any) -> str:
    if not stage.solved:
        return ""
    solver = stage.optimizer.solver
    plain = stage.model_copy(
        update={"optimizer": stage.optimizer.model_copy(update={"solver": None})}
    )
    groups = [(plain, NOT_SOLVED), (stage.tuning, type(stage.tuning).model_fields)]
    for group, name in ((group, name) for group, names in groups for name in names):
        if getattr(group, name) != type(group).model_fields[name].default:
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
        ("l2_sp", "lora", "trainable"),
        "L2-SP pulls kernels, and these leave the kernels as they are",
        _l2_sp_kernels,
        [
            {"stage.l2_sp": 0.01, "stage.lora": 2},
            {"stage.l2_sp": 0.01, "stage.unfreeze": "bias"},
            {"stage.l2_sp": 0.01, "stage.unfreeze": "norm"},
        ],
    ),
    Rule(
        ("lora", "trainable"),
        "LoRA trains matrices of its own",
        _lora_trainable,
        [
            {"stage.lora": 2, "stage.trainable": "bias"},
            {"stage.lora": 2, "stage.trainable": "norm"},
        ],
    ),
    Rule(
        ("lora_alpha", "lora"),
        "it scales LoRA's matrices",
        _lora_alpha,
        [{"stage.lora_alpha": 16, "stage.lora": None}],
    ),
    Rule(
        ("lora", "trainable", "unfreeze"),
        "they train part of the backbone, which `none` freezes",
        _tuning_frozen,
        [
            {"stage.lora": 2, "stage.unfreeze": "none"},
            {"stage.trainable": "bias", "stage.unfreeze": "none"},
        ],
    ),
    Rule(
        ("lora", "trainable", "schedule=bit"),
        "BiT-HyperRule has the rates for tuning all weights",
        _tuning_bit,
        [
            {"stage.lora": 2, "stages": 1, "stage.schedule": "bit"},
            {"stage.trainable": "norm", "stages": 1, "stage.schedule": "bit"},
        ],
    ),
    Rule(
        ("lora", "optimizer"),
        "FTRL sets weights to 0 whose first gradient is 0",
        _lora_ftrl,
        [{"stage.lora": 2, "stage.optimizer": "ftrl"}],
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

"""Which settings exclude each other: the only table of it, read by the checks, docs and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from keras_transfer.errors import UnknownName
from keras_transfer.networks.text_backbones import TEXT_BACKBONES

__all__ = ["RECIPE_RULES", "STAGE_RULES", "Rule", "broken", "table"]

MIN_ALPHA = 0.05
"""Below it float32 underflows in the gamma samples of Keras, and proportions become 1/2."""


class Rule(NamedTuple):
    """Settings that exclude each other.

    Attributes:
        settings: Their names, for people.
        why: The reason in a sentence, for the documentation.
        check: Maps a stage or a recipe to what is wrong and what to do; "" where nothing is.
            Raises UnknownName where a name is wrong, which suggests another.
        refused: Values that together are refused, for the tests; ``stage.`` is the last stage.
    """

    settings: tuple[str, ...]
    why: str
    check: Callable[[Any], str]
    refused: Sequence[Mapping[str, Any]]


def broken(rules: Iterable[Rule], subject: Any) -> str:
    """What the first broken rule says of a stage or a recipe; "" if none is broken."""
    return next((reason for rule in rules if (reason := rule.check(subject))), "")


def table() -> str:
    """All rules as a Markdown table, for the documentation."""
    rows = [
        f"| {', '.join(f'`{name}`' for name in rule.settings)} | {rule.why} |"
        for rule in (*STAGE_RULES, *RECIPE_RULES)
    ]
    return "\n".join(["| settings | why they exclude each other |", "|---|---|", *rows])


# One stage.

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
    Rule(("warmup_epochs", "epochs"), "a warm-up ends within its stage", _warmup_length, []),
    Rule(
        ("l2_sp", "unfreeze"),
        "L2-SP pulls unfrozen blocks to their pretrained weights",
        _l2_sp,
        [{"stage.l2_sp": 0.01, "stage.unfreeze": None}],
    ),
    Rule(("carry", "optimizer"), "Nadam counts its steps for all blocks at once", _carry_nadam, []),
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


# A recipe.


def _blends(recipe: Any) -> bool:
    return bool(recipe.batches.mixup or recipe.batches.cutmix)


def _off_epoch(recipe: Any) -> str:
    if not recipe.batches.mixup_off_epoch or _blends(recipe):
        return ""
    return "mixup_off_epoch ends mixup and cutmix, and neither is on."


def _alpha(recipe: Any) -> str:
    for name in ("mixup", "cutmix"):
        alpha = getattr(recipe.batches, name)
        if 0 < alpha < MIN_ALPHA:
            return (
                f"{name} = {alpha:g}: so small an alpha leaves images as they are; 0 turns {name} "
                f"off, {MIN_ALPHA:g} is the smallest value."
            )
    return ""


def _blend_of_one(recipe: Any) -> str:
    if not _blends(recipe) or recipe.batches.batch_size > 1:
        return ""
    return "mixup and cutmix blend images of one batch; batch_size is 1."


def _cutmix_views(recipe: Any) -> str:
    kept = [stage.name for stage in recipe.stages if isinstance(stage.views, int)]
    if not recipe.batches.cutmix or not kept:
        return ""
    return (
        f"The stage {kept[0]!r} keeps features of its images (views), and cutmix makes new images "
        "in every epoch. Choose one of them, or mixup, which blends features too."
    )


def _carry_first(recipe: Any) -> str:
    before = None
    for stage in recipe.stages:
        name = stage.optimizer.name
        if stage.carry and (before is None or before.optimizer.name != name):
            found = "is the first" if before is None else f"comes after {before.optimizer.name}"
            return (
                f"The stage {stage.name!r} {found}, so its {name} has no state to start from; "
                "carry needs a stage before it with the same optimizer."
            )
        before = stage
    return ""


def _layer_decay_frozen(recipe: Any) -> str:
    decays = any(stage.layer_decay < 1 for stage in recipe.stages)
    if not decays or not all(stage.frozen for stage in recipe.stages) or _hyperrule(recipe):
        return ""
    return (
        "layer_decay makes the blocks of the backbone learn slower, and no stage unfreezes any; "
        "see unfreeze, or leave layer_decay out."
    )


def _soup_monitor(recipe: Any) -> str:
    if recipe.monitor.startswith("val_") or not any(s.average.soup for s in recipe.stages):
        return ""
    return (
        f"soup is judged on the validation split, and monitor = {recipe.monitor!r} is not; choose "
        "val_loss or val_accuracy."
    )


def accumulation(recipe: Any) -> str:
    """Why a recipe cannot accumulate gradients over mirrored devices; "" if it does not."""
    for number, stage in enumerate(recipe.stages):
        if stage.optimizer.accumulate > 1:
            return (
                f"stages.{number}.accumulate = {stage.optimizer.accumulate}: Keras does not "
                "accumulate gradients over mirrored devices. Choose a larger batch_size, which is "
                "divided among them, or strategy = one_device."
            )
    return ""


def _mirrored(recipe: Any) -> str:
    return accumulation(recipe) if recipe.runtime.strategy == "mirrored" else ""


def _auto_rate(recipe: Any) -> str:
    later = [stage.name for stage in recipe.stages[1:] if stage.learning_rate == "auto"]
    if not later:
        return ""
    return (
        f"The stage {later[0]!r} has learning_rate = auto; a sweep finds the rate of the first "
        "stage only. Give it a number."
    )


def _classifications(recipe: Any) -> list[Any]:
    return [one for one in recipe.objectives.values() if one.type == "classification"]


def _two_weights(recipe: Any) -> str:
    for objective in _classifications(recipe):
        if objective.class_weight and objective.imbalance in WEIGHTINGS:
            return (
                f"class_weight gives the weights, and imbalance = {objective.imbalance} would "
                "compute them. Leave one of them out."
            )
    return ""


def _zero_weights(recipe: Any) -> str:
    for objective in _classifications(recipe):
        own = objective.class_weight
        if isinstance(own, dict) and own and not any(own.values()):
            return "class_weight has no weight above 0, so nothing would be learnt."
    return ""


def _single_class(recipe: Any) -> bool:
    return len(recipe.objectives) == 1 and bool(_classifications(recipe))


def _for_classes_only(recipe: Any) -> str:
    if _single_class(recipe):
        return ""
    kinds = ", ".join(one.type for one in recipe.objectives.values())
    for what, asked in (
        (f"method = {recipe.method.type}", recipe.method.type == "bagging"),
        ("baselines = boosted_trees", "boosted_trees" in recipe.baselines),
        ("schedule = bit", _hyperrule(recipe)),
    ):
        if asked:
            return f"{what} is for a single classification, and objective is {kinds}. Leave it out."
    for objective in _classifications(recipe):
        if objective.imbalance not in ("auto", "none", *WEIGHTINGS):
            return (
                f"imbalance = {objective.imbalance} draws examples by their class, which several "
                "objectives cannot share. Use imbalance = class_weight."
            )
    return ""


WEIGHTINGS = ("class_weight", "effective_number")

NO_FEATURES = "With engine = none there are none: leave that out."
SMOTE = (
    "The mean of two images is no image, so smote works on the stored features of a frozen "
    "backbone only. "
)


def _smote(recipe: Any) -> str:
    if not _single_class(recipe) or _classifications(recipe)[0].imbalance != "smote":
        return ""
    if recipe.runtime.engine == "none":
        return f"{SMOTE}{NO_FEATURES}"
    for number, stage in enumerate(recipe.stages):
        if not stage.frozen or _hyperrule(recipe):
            return (
                f"{SMOTE}The stage {stage.name!r} {_unfreezes(recipe, number)}. Use stages that "
                "train the head only, e.g. --set 'stages=[{name: head}]', or --imbalance "
                "oversample."
            )
        if stage.views not in ("auto", "clean"):
            return f"{SMOTE}views = {stage.views} shows other images: leave it out."
    if recipe.batches.cutmix:
        return f"{SMOTE}cutmix needs pixels: leave it out, or use mixup."
    if find_spec("imblearn") is None:
        return (
            "imbalance = smote needs imbalanced-learn: pip install 'keras_transfer[smote]', or "
            "use imbalance = oversample."
        )
    return ""


def _bagging(recipe: Any) -> str:
    if recipe.method.type != "bagging":
        return ""
    said = f"method = bagging:{recipe.method.members}"
    if recipe.runtime.engine == "none":
        return f"{said} trains on features that a frozen backbone computes once. {NO_FEATURES}"
    for number, stage in enumerate(recipe.stages):
        if not stage.frozen or _hyperrule(recipe):
            return (
                f"{said}: the heads share one frozen backbone, and the stage {stage.name!r} "
                f"{_unfreezes(recipe, number)}. Use stages that train the head only: "
                "--set 'stages=[{name: head}]'."
            )
    return ""


def _distill(recipe: Any) -> str:
    if recipe.method.type != "distill":
        return ""
    if len(recipe.objectives) > 1:
        return "method = distill has one teacher for one output, and objective names several."
    if _blends(recipe):
        return (
            "method = distill: the teacher has seen each image, not the blends of mixup and "
            "cutmix. Leave them out."
        )
    if getattr(recipe.objective, "imbalance", "") == "smote":
        return "method = distill: the teacher cannot see the features that smote makes up."
    return ""


def _classes_setting(recipe: Any) -> str:
    if not recipe.data.classes or _single_class(recipe):
        return ""
    return "classes keeps some classes of a classification; leave it out for other objectives."


def _is_text(recipe: Any) -> bool:
    return recipe.input.type == "text"


def _modality(recipe: Any) -> str:
    name, text = recipe.backbone.name, recipe.backbone.name in TEXT_BACKBONES
    if text == _is_text(recipe):
        return ""
    wanted = "text" if text else "image"
    return (
        f"backbone = {name} takes {wanted}s, and input = {recipe.input.type}. Use "
        f"--input {wanted}, or another backbone."
    )


def _text_only(recipe: Any) -> str:
    pooling = recipe.head.pooling
    if not _is_text(recipe):
        return "pooling = token is for texts; use avg." if pooling == "token" else ""
    if pooling not in ("avg", "max", "token"):
        return f"pooling = {pooling} is for images; use avg, max or token for texts."
    source = recipe.backbone.weights.partition(":")[0]
    if source not in ("none", "run", "recipe"):
        return (
            f"weights = {recipe.backbone.weights}: there are no published weights of "
            f"{recipe.backbone.name}. Use weights = none or run:DIR."
        )
    if _blends(recipe):
        return "mixup and cutmix blend pixels, and tokens cannot be blended. Leave them out."
    if _hyperrule(recipe):
        return "schedule = bit is a rule for images. Choose another schedule."
    if recipe.method.type != "supervised":
        return f"method = {recipe.method.type} is not there for texts yet; use supervised."
    return ""


def _boosted_trees(recipe: Any) -> str:
    if "boosted_trees" not in recipe.baselines or recipe.runtime.engine != "none":
        return ""
    return (
        "baselines = boosted_trees trains on features that a frozen backbone computes once. "
        f"{NO_FEATURES}"
    )


def _hyperrule(recipe: Any) -> bool:
    return any(stage.schedule == "bit" for stage in recipe.stages)


def _unfreezes(recipe: Any, number: int) -> str:
    if _hyperrule(recipe):
        return "unfreezes all blocks (schedule = bit)"
    return f"unfreezes blocks (stages.{number}.unfreeze)"


def _hyperrule_alone(recipe: Any) -> str:
    if not _hyperrule(recipe) or len(recipe.stages) == 1:
        return ""
    return (
        "schedule = bit trains in one stage. Use --schedule bit, which drops the others, or "
        "--set 'stages=[{name: bit, schedule: bit}]'."
    )


def _monitor(recipe: Any) -> str:
    if len(recipe.objectives) + len(recipe.method.outputs) == 1:
        (objective,) = recipe.objectives.values()
        known = [*objective.monitors]
    else:  # Keras puts the name of the output before that of the metric
        known = ["val_loss", "loss"] + [
            f"{'val_' * name.startswith('val_')}{output}_{name.removeprefix('val_')}"
            for output, objective in recipe.objectives.items()
            for name in objective.monitors
        ]
    if recipe.monitor in known:
        return ""
    raise UnknownName("monitor", recipe.monitor, dict.fromkeys(known))


RECIPE_RULES: tuple[Rule, ...] = (
    Rule(("monitor", "objective"), "an objective has metrics of its own", _monitor, []),
    Rule(
        ("objective", "method", "baselines", "schedule", "imbalance"),
        "bagging, boosted trees, BiT-HyperRule and sampling are for a single classification",
        _for_classes_only,
        [],
    ),
    Rule(
        ("mixup_off_epoch", "mixup", "cutmix"),
        "it ends MixUp and CutMix",
        _off_epoch,
        [{"mixup_off_epoch": 1, "mixup": 0, "cutmix": 0}],
    ),
    Rule(("mixup", "cutmix"), "an alpha below 0.05 has no effect", _alpha, []),
    Rule(
        ("mixup", "cutmix", "batch_size"),
        "they blend images of one batch",
        _blend_of_one,
        [{"mixup": 0.4, "batch_size": 1}, {"cutmix": 1, "batch_size": 1}],
    ),
    Rule(
        ("cutmix", "views"),
        "CutMix makes new images in every epoch, of which no features can be kept",
        _cutmix_views,
        [{"cutmix": 1, "stage.views": 2}],
    ),
    Rule(
        ("carry", "stages", "optimizer"),
        "optimizer state comes from a stage before with the same optimizer",
        _carry_first,
        [
            {"stage.carry": True, "stages": 1},
            *(
                {"stage.carry": True, "stage.optimizer": name}
                for name in ("sgd", "adamw", "ftrl", "muon")
            ),
        ],
    ),
    Rule(
        ("layer_decay", "unfreeze"),
        "the rate of frozen blocks does not matter",
        _layer_decay_frozen,
        [{"stage.layer_decay": 0.7, "stage.unfreeze": None}],
    ),
    Rule(
        ("soup", "monitor"),
        "a soup is judged on the validation split",
        _soup_monitor,
        [{"stage.soup": 2, "monitor": "loss"}],
    ),
    Rule(
        ("accumulate", "strategy"),
        "Keras does not accumulate gradients over mirrored devices",
        _mirrored,
        [{"stage.accumulate": 2, "strategy": "mirrored"}],
    ),
    Rule(("learning_rate", "stages"), "a sweep finds the rate of the first stage", _auto_rate, []),
    Rule(
        ("class_weight", "imbalance"),
        "both give the weights of classes",
        _two_weights,
        [{"class_weight": {"blue": 2, "green": 1, "red": 3}, "imbalance": "class_weight"}],
    ),
    Rule(("class_weight",), "some class must count", _zero_weights, []),
    Rule(
        ("imbalance=smote", "engine", "unfreeze", "views", "cutmix"),
        "SMOTE interpolates stored features of a frozen backbone",
        _smote,
        [
            {"imbalance": "smote", "engine": "none"},
            {"imbalance": "smote", "stage.unfreeze": "block3"},
            {"imbalance": "smote", "stage.unfreeze": "all"},
            {"imbalance": "smote", "stage.views": "fresh"},
            {"imbalance": "smote", "stage.views": 2},
            {"imbalance": "smote", "cutmix": 1},
        ],
    ),
    Rule(
        ("method=bagging", "engine", "unfreeze"),
        "the heads share one frozen backbone and its features",
        _bagging,
        [
            {"method": "bagging:2", "stage.unfreeze": "block3"},
            {"method": "bagging:2", "stage.unfreeze": "all"},
            {"method": "bagging:2", "engine": "none"},
        ],
    ),
    Rule(
        ("method=distill", "objective", "mixup", "cutmix", "imbalance=smote"),
        "the teacher's outputs are known for each image of the data, and for one objective",
        _distill,
        [],
    ),
    Rule(("backbone", "input"), "a network takes images or texts", _modality, []),
    Rule(
        ("input=text", "pooling", "weights", "mixup", "cutmix", "schedule", "method"),
        "some settings are for images only",
        _text_only,
        [{"head.pooling": "token"}],
    ),
    Rule(("classes", "objective"), "only a classification has classes", _classes_setting, []),
    Rule(
        ("baselines=boosted_trees", "engine"),
        "boosted trees learn from stored features",
        _boosted_trees,
        [{"baselines": ["boosted_trees"], "engine": "none"}],
    ),
    Rule(("schedule=bit", "stages"), "BiT-HyperRule is one stage", _hyperrule_alone, []),
)

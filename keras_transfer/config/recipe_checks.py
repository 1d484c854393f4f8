"""Checks of the rules in ``config.rules``: each returns the problem of a recipe, or ""."""

from __future__ import annotations

import re
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

# No import of Keras or TensorFlow here: recipes are checked in `list` and `show` as well.
from keras_transfer.errors import UnknownName

MIN_ALPHA = 0.05
"""Below it float32 underflows in the gamma samples of Keras, and proportions become 1/2."""


def blends(recipe: Any) -> bool:
    return bool(recipe.batches.mixup or recipe.batches.cutmix)


def off_epoch(recipe: Any) -> str:
    if not recipe.batches.mixup_off_epoch or blends(recipe):
        return ""
    return "mixup_off_epoch ends mixup and cutmix, and neither is on."


def alpha(recipe: Any) -> str:
    for name in ("mixup", "cutmix"):
        alpha = getattr(recipe.batches, name)
        if 0 < alpha < MIN_ALPHA:
            return (
                f"{name} = {alpha:g}: an alpha this small has no effect; 0 turns {name} "
                f"off, {MIN_ALPHA:g} is the smallest value."
            )
    return ""


def blend_of_one(recipe: Any) -> str:
    if not blends(recipe) or recipe.batches.batch_size > 1:
        return ""
    return "mixup and cutmix blend images of one batch; batch_size is 1."


def cutmix_views(recipe: Any) -> str:
    kept = [stage.name for stage in recipe.stages if isinstance(stage.views, int)]
    if not recipe.batches.cutmix or not kept:
        return ""
    return (
        f"The stage {kept[0]!r} keeps features of its images (views), and cutmix makes new images "
        "in every epoch. Choose one of them, or mixup, which blends features too."
    )


def carry_first(recipe: Any) -> str:
    before = None
    for stage in recipe.stages:
        name = stage.optimizer.name
        solved = before is not None and before.solved
        if stage.carry and (before is None or solved or before.optimizer.name != name):
            # Only the neighbour counts: each stage builds a new optimizer, and older state is
            # dropped.
            problem = (
                "is the first"
                if before is None
                else f"comes after {before.optimizer.solver if solved else before.optimizer.name}"
            )
            return (
                f"The stage {stage.name!r} {problem}, so its {name} has no state to start from; "
                "carry needs an earlier stage with the same optimizer."
            )
        before = stage
    return ""


def carry_lora(recipe: Any) -> str:
    for before, stage in pairwise(recipe.stages):
        if stage.carry and (stage.tuning.lora or before.tuning.lora):
            name = (stage if stage.tuning.lora else before).name
            return (
                f"The stage {stage.name!r} has carry, and the stage {name!r} has lora, whose "
                "matrices are new in each stage and have no earlier state. Leave carry out."
            )
    return ""


def layer_decay_frozen(recipe: Any) -> str:
    decays = any(stage.layer_decay < 1 for stage in recipe.stages)
    # BiT-HyperRule unfreezes all blocks, whatever `unfreeze` says.
    if not decays or not all(stage.frozen for stage in recipe.stages) or hyperrule(recipe):
        return ""
    return (
        "layer_decay makes the blocks of the backbone learn slower, and no stage unfreezes any; "
        "see unfreeze, or leave layer_decay out."
    )


def soup_monitor(recipe: Any) -> str:
    if recipe.monitor.startswith("val_") or not any(s.average.soup for s in recipe.stages):
        return ""
    return (
        f"soup is judged on the validation split, and monitor = {recipe.monitor!r} is not; choose "
        f"{val_monitors(recipe)}."
    )


def auto_rate(recipe: Any) -> str:
    trained = [stage for stage in recipe.stages if not stage.solved]
    later = [stage.name for stage in trained[1:] if stage.learning_rate == "auto"]
    if not later:
        return ""
    return (
        f"The stage {later[0]!r} has learning_rate = auto; a sweep finds the rate of the first "
        "stage that an optimizer trains only. Give it a number."
    )


def output_names(recipe: Any) -> str:
    # A scope of TensorFlow gets this name, and so do files of the run folder.
    wrong = [name for name in recipe.objectives if not re.fullmatch(r"[A-Za-z0-9_.>-]+", name)]
    if not wrong:
        return ""
    return (
        f"objective: the column {wrong[0]!r} cannot be the name of an output, which has letters "
        "a to z, digits and _ . - only. Rename the column in the data."
    )


def classifications(recipe: Any) -> list[Any]:
    return [
        objective for objective in recipe.objectives.values() if objective.type == "classification"
    ]


def two_weights(recipe: Any) -> str:
    for objective in classifications(recipe):
        if objective.class_weight and objective.imbalance in WEIGHTINGS:
            return (
                f"class_weight gives the weights, and imbalance = {objective.imbalance} would "
                "compute them. Leave one of them out."
            )
    return ""


def zero_weights(recipe: Any) -> str:
    for objective in classifications(recipe):
        class_weight = objective.class_weight
        # An empty mapping means no weights; zeros for some classes are allowed.
        if isinstance(class_weight, dict) and class_weight and not any(class_weight.values()):
            return "class_weight has no weight above 0, so nothing would be learnt."
    return ""


def single_class(recipe: Any) -> bool:
    return len(recipe.objectives) == 1 and bool(classifications(recipe))


def for_classes_only(recipe: Any) -> str:
    if single_class(recipe):
        return ""
    kinds = ", ".join(entry.type for entry in recipe.objectives.values())
    for setting, requested in (
        (f"method = {recipe.method.type}", recipe.method.type == "bagging"),
        ("baselines = boosted_trees", "boosted_trees" in recipe.baselines),
        ("schedule = bit", hyperrule(recipe)),
    ):
        if requested:
            return (
                f"{setting} is for a single classification, and objective is {kinds}. Leave it out."
            )
    for objective in classifications(recipe):
        if objective.imbalance not in ("auto", "none", *WEIGHTINGS):
            return (
                f"imbalance = {objective.imbalance} draws examples by their class, which works "
                "for one objective only. Use imbalance = class_weight."
            )
    return ""


WEIGHTINGS = ("class_weight", "effective_number")

NO_FEATURES = "With engine = none there are none: leave that out."
SMOTE = (
    "The mean of two images is no image, so smote works on the stored features of a frozen "
    "backbone only. "
)


def smote(recipe: Any) -> str:
    if not single_class(recipe) or classifications(recipe)[0].imbalance != "smote":
        return ""
    if recipe.runtime.engine == "none":
        return f"{SMOTE}{NO_FEATURES}"
    for number, stage in enumerate(recipe.stages):
        if not stage.frozen or hyperrule(recipe):
            return (
                f"{SMOTE}The stage {stage.name!r} {unfreezes(recipe, number)}. Use stages that "
                "train the head only, e.g. --set 'stages=[{name: head}]', or --imbalance "
                "oversample."
            )
        if stage.views not in ("auto", "clean"):
            return f"{SMOTE}views = {stage.views} changes the images: leave it out."
    if recipe.batches.cutmix:
        return f"{SMOTE}cutmix needs pixels: leave it out, or use mixup."
    # Looked up, not imported: imbalanced-learn would load scikit-learn and SciPy.
    if find_spec("imblearn") is None:
        return (
            "imbalance = smote needs imbalanced-learn: pip install 'keras_transfer[smote]', or "
            "use imbalance = oversample."
        )
    return ""


def bagging(recipe: Any) -> str:
    if recipe.method.type != "bagging":
        return ""
    prefix = f"method = bagging:{recipe.method.members}"
    if recipe.runtime.engine == "none":
        return f"{prefix} trains on features that a frozen backbone computes once. {NO_FEATURES}"
    for number, stage in enumerate(recipe.stages):
        if not stage.frozen or hyperrule(recipe):
            return (
                f"{prefix}: the heads share one frozen backbone, and the stage {stage.name!r} "
                f"{unfreezes(recipe, number)}. Use stages that train the head only: "
                "--set 'stages=[{name: head}]'."
            )
    return ""


def distill(recipe: Any) -> str:
    if recipe.method.type != "distill":
        return ""
    if len(recipe.objectives) > 1:
        return "method = distill has one teacher for one output, and objective names several."
    # The teacher's outputs are computed once per image; a blend would need a pass in every step.
    if blends(recipe):
        return (
            "method = distill: the teacher has seen each image, not the blends of mixup and "
            "cutmix. Leave them out."
        )
    if getattr(recipe.objective, "imbalance", "") == "smote":
        return "method = distill: the teacher has no outputs for the features that smote creates."
    return ""


def classes_setting(recipe: Any) -> str:
    for name, what in (("classes", "keeps some"), ("relabel", "corrects the")):
        if getattr(recipe.data, name) and not single_class(recipe):
            return f"{name} {what} classes of a classification; leave it out for other objectives."
    return ""


def is_text(recipe: Any) -> bool:
    return bool(recipe.input.text_columns)


def text_only(recipe: Any) -> str:
    pooling = recipe.head.pooling
    if not is_text(recipe):
        return ""
    if pooling not in ("avg", "max", "token"):
        return f"pooling = {pooling} is for images; use avg, max or token for texts."
    # Files are refused as well: embeddings are useless without the vocabulary of their run.
    source = recipe.backbone.weights.partition(":")[0]
    if source not in ("none", "run", "recipe", "preset"):
        return (
            f"weights = {recipe.backbone.weights}: networks for texts take their weights together "
            "with a vocabulary. Use weights = preset (published ones), preset:DIR, run:DIR or none."
        )
    if blends(recipe):
        return "mixup and cutmix blend pixels, and tokens cannot be blended. Leave them out."
    if hyperrule(recipe):
        return "schedule = bit is a rule for images. Choose another schedule."
    if recipe.method.type in ("bagging", "distill"):
        return f"method = {recipe.method.type} does not support texts; use supervised."
    return ""


def boosted_trees(recipe: Any) -> str:
    if "boosted_trees" not in recipe.baselines or recipe.runtime.engine != "none":
        return ""
    return (
        "baselines = boosted_trees trains on features that a frozen backbone computes once. "
        f"{NO_FEATURES}"
    )


def hyperrule(recipe: Any) -> bool:
    return any(stage.schedule == "bit" for stage in recipe.stages)


def unfreezes(recipe: Any, number: int) -> str:
    if hyperrule(recipe):
        return "unfreezes all blocks (schedule = bit)"
    # `lora` alone unfreezes all of them.
    return f"unfreezes blocks (stages.{number}.{'lora' if _lora(recipe, number) else 'unfreeze'})"


def _lora(recipe: Any, number: int) -> bool:
    return recipe.stages[number].tuning.lora is not None


def hyperrule_alone(recipe: Any) -> str:
    if not hyperrule(recipe) or len(recipe.stages) == 1:
        return ""
    return (
        "schedule = bit trains in one stage. Use --schedule bit, which drops the others, or "
        "--set 'stages=[{name: bit, schedule: bit}]'."
    )


def monitors(recipe: Any) -> list[str]:
    """The metrics of an epoch that can choose the best one."""
    if len(recipe.objectives) + len(recipe.method.outputs) == 1:
        (objective,) = recipe.objectives.values()
        return [*objective.monitors]
    # Keras puts the name of the output before that of the metric.
    named = [
        f"{'val_' * name.startswith('val_')}{output}_{name.removeprefix('val_')}"
        for output, objective in recipe.objectives.items()
        for name in objective.monitors
    ]
    return [*dict.fromkeys(["val_loss", "loss", *named])]


def val_monitors(recipe: Any, *, loss: bool = True) -> str:
    """The monitors on the val split, as a message lists them; ``loss``: those of losses too."""
    names = [
        name
        for name in monitors(recipe)
        if name.startswith("val_") and (loss or not name.endswith("loss"))
    ]
    return " or ".join(names)


def monitor(recipe: Any) -> str:
    known = monitors(recipe)
    if recipe.monitor in known:
        return ""
    predicted = ", ".join(objective.type for objective in recipe.objectives.values())
    what = f"metric of {predicted}"
    raise UnknownName(what, recipe.monitor, known, all_names=True).within("monitor")

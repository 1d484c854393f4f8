"""What a pretraining by masked words excludes."""

from __future__ import annotations

from typing import Any

from keras_transfer.config import backbone_checks
from keras_transfer.config import recipe_checks as checks
from keras_transfer.config.rule import Rule
from keras_transfer.errors import UnknownName
from keras_transfer.methods.masked_lm import MONITORS
from keras_transfer.networks.text_backbones import TEXT_BACKBONES

__all__ = ["PRETRAIN_RULES", "only_pretraining"]

WITHOUT_REVERSE = ("distil_bert",)
"""Families whose embedding of tokens is part of another layer, so that it cannot be reversed."""


def only_pretraining(recipe: Any) -> str:
    """A recipe with labels, by the method that has none."""
    if recipe.method.type != "masked_lm":
        return ""
    return (
        "method = masked_lm trains without labels, and this recipe predicts some. Run the recipe "
        "mlm first, then this one with --weights run:DIR of that run."
    )


def _texts(recipe: Any) -> str:
    name = recipe.backbone.name
    having = [key for key, row in TEXT_BACKBONES.items() if _reversible(row)]
    if name in having:
        return ""
    return (
        f"backbone = {name} has no masked words to predict. Those that are pretrained so are "
        f"{', '.join(having)}."
    )


def _reversible(row: Any) -> bool:
    return row.hub is None or row.hub.family not in WITHOUT_REVERSE


def _weights(recipe: Any) -> str:
    weights, name = recipe.backbone.weights, recipe.backbone.name
    source = weights.partition(":")[0]
    if source not in ("none", "run", "recipe", "preset"):
        return (
            f"weights = {weights}: networks for texts take their weights together with a "
            "vocabulary. Use weights = preset (published ones), preset:DIR, run:DIR or none."
        )
    if source == "preset" and TEXT_BACKBONES[name].hub is None:
        return f"weights = {weights}: {name} has no presets. Use none, run:DIR or recipe:NAME."
    return ""


def _labels(recipe: Any) -> str:
    for setting, given in (
        ("classes", recipe.data.classes is not None),
        ("label_column", recipe.data.label_column != "label"),
        ("layout", recipe.data.layout != "auto"),
        ("relabel", recipe.data.relabel is not None),
    ):
        if given:
            return f"{setting}: a pretraining reads texts, and no labels. Leave it out."
    return ""


def _stages(recipe: Any) -> str:
    for stage in recipe.stages:
        if stage.solved:
            return (
                f"The stage {stage.name!r} has a solver, which finds a head from labels. Use an "
                "optimizer."
            )
        if stage.views not in ("auto", "fresh"):
            return (
                f"The stage {stage.name!r} has views = {stage.views}: words are masked otherwise "
                "in each epoch, so that no features are kept. Leave views out."
            )
    if checks.hyperrule(recipe):
        return "schedule = bit is a rule for images. Choose another schedule."
    return ""


def _batches(recipe: Any) -> str:
    if not checks.blends(recipe):
        return checks.off_epoch(recipe)
    return "mixup and cutmix blend pixels, and tokens cannot be blended. Leave them out."


def _engine(recipe: Any) -> str:
    if recipe.runtime.engine in ("auto", "none"):
        return ""
    return (
        f"engine = {recipe.runtime.engine} computes frozen layers once, and words are masked "
        "otherwise in each epoch. Leave engine out."
    )


def _soup(recipe: Any) -> str:
    if recipe.monitor.startswith("val_") or not any(s.average.soup for s in recipe.stages):
        return ""
    return (
        f"soup is judged on the validation split, and monitor = {recipe.monitor!r} is not; choose "
        "val_perplexity."
    )


def _monitor(recipe: Any) -> str:
    if recipe.monitor in MONITORS:
        return ""
    what = "metric of masked_lm"
    raise UnknownName(what, recipe.monitor, [*MONITORS], all_names=True).within("monitor")


PRETRAIN_RULES: tuple[Rule, ...] = (
    Rule(
        ("monitor",),
        "masked words have their own metrics",
        _monitor,
        [{"monitor": "val_macro_f1"}],
    ),
    Rule(
        ("backbone", "input"),
        "masked words are predicted by the reversed embedding of a network for texts",
        _texts,
        [{"backbone": "vgg16"}, {"backbone": "distilbert"}, {"backbone": "auto"}],
    ),
    Rule(
        ("backbone", "weights"),
        "weights of texts come with their vocabulary",
        _weights,
        [{"weights": "imagenet"}, {"weights": "file.h5"}, {"weights": "preset:folder"}],
    ),
    Rule(
        ("classes", "label_column", "layout", "relabel"),
        "no labels are read",
        _labels,
        [
            {"classes": ["a", "b"]},
            {"label_column": "stars"},
            {"layout": "class"},
            {"relabel": "relabel.csv"},
        ],
    ),
    Rule(
        ("solver", "views", "schedule"),
        "words are masked otherwise in each epoch, and there are no labels",
        _stages,
        [{"stage.views": 2}, {"stage.views": "clean"}, {"stage.schedule": "bit"}],
    ),
    Rule(
        ("mixup", "cutmix", "mixup_off_epoch"),
        "tokens cannot be blended",
        _batches,
        [{"mixup": 0.2}, {"cutmix": 1}],
    ),
    Rule(
        ("engine",),
        "no features are kept",
        _engine,
        [{"engine": "openvino"}, {"engine": "keras"}],
    ),
    Rule(
        ("soup", "monitor"),
        "a soup is judged on the validation split",
        _soup,
        [{"stage.soup": 2, "monitor": "loss"}],
    ),
    *(
        Rule(settings, why, check, ())
        for settings, why, check in (
            (("carry", "stages"), "as for other recipes", checks.carry_first),
            (("carry", "lora"), "as for other recipes", checks.carry_lora),
            (("layer_decay", "unfreeze"), "as for other recipes", checks.layer_decay_frozen),
            (("learning_rate", "stages"), "as for other recipes", checks.auto_rate),
            (("features", "preprocessing"), "as for other recipes", backbone_checks.keras_file),
        )
    ),
)

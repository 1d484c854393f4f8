"""Table of settings that exclude each other, for the checks, docs and tests."""

from __future__ import annotations

from keras_transfer.config import backbone_checks
from keras_transfer.config import recipe_checks as checks
from keras_transfer.config.backbone_checks import auto_backbone
from keras_transfer.config.method_rules import METHOD_RULES
from keras_transfer.config.pretrain_rules import only_pretraining
from keras_transfer.config.rule import Rule, broken
from keras_transfer.config.solver_checks import solver, solver_alone
from keras_transfer.config.stage_rules import STAGE_RULES
from keras_transfer.config.text_rules import TEXT_RULES
from keras_transfer.config.threshold_rules import THRESHOLD_RULES

__all__ = ["RECIPE_RULES", "STAGE_RULES", "Rule", "broken", "table"]


def table() -> str:
    """All rules as a Markdown table, for the documentation."""
    rows = [
        f"| {', '.join(f'`{name}`' for name in rule.settings)} | {rule.why} |"
        for rule in (*STAGE_RULES, *RECIPE_RULES)
    ]
    return "\n".join(["| settings | why they exclude each other |", "|---|---|", *rows])


SOLVED = {"stage.unfreeze": None, "stage.epochs": 10}
"""A stage with the settings that a solver accepts."""

RECIPE_RULES: tuple[Rule, ...] = (
    Rule(
        ("method=masked_lm",),
        "pretraining has no labels: it is a recipe of its own, mlm",
        only_pretraining,
        [{"method": "masked_lm"}],
    ),
    Rule(
        ("monitor", "objective"),
        "each objective has its own metrics",
        checks.monitor,
        [{"monitor": "val_mae"}, {"monitor": "val_accuracy", "objective": "regression"}],
    ),
    Rule(
        ("objective",),
        "names of outputs are names in TensorFlow and of files",
        checks.output_names,
        [
            {"objective": {name: {"type": "regression"}, "kind": {"type": "multilabel"}}}
            for name in ("a/b", "größe", "in eur", "a:b")
        ],
    ),
    Rule(
        ("objective", "method", "baselines", "schedule", "imbalance"),
        "bagging, boosted trees, BiT-HyperRule and sampling are for a single classification",
        checks.for_classes_only,
        [
            {"objective": "regression", "method": "bagging:2"},
            {"objective": "multilabel", "baselines": ["boosted_trees"]},
            {"objective": "multilabel", "stages": 1, "stage.schedule": "bit"},
            {
                "objective": {
                    "kind": {"type": "classification", "imbalance": "oversample"},
                    "price": {"type": "regression"},
                }
            },
        ],
    ),
    Rule(
        ("mixup_off_epoch", "mixup", "cutmix"),
        "it ends MixUp and CutMix",
        checks.off_epoch,
        [{"mixup_off_epoch": 1, "mixup": 0, "cutmix": 0}],
    ),
    Rule(
        ("mixup", "cutmix"),
        "an alpha below 0.05 has no effect",
        checks.alpha,
        [{"mixup": 0.01}, {"cutmix": 0.049}],
    ),
    Rule(
        ("mixup", "cutmix", "batch_size"),
        "they blend images of one batch",
        checks.blend_of_one,
        [{"mixup": 0.4, "batch_size": 1}, {"cutmix": 1, "batch_size": 1}],
    ),
    Rule(
        ("cutmix", "views"),
        "CutMix creates new images in every epoch, so their features cannot be cached",
        checks.cutmix_views,
        [{"cutmix": 1, "stage.views": 2}],
    ),
    Rule(
        ("carry", "stages", "optimizer"),
        "optimizer state comes from an earlier stage with the same optimizer",
        checks.carry_first,
        [
            {"stage.carry": True, "stages": 1},
            *(
                {"stage.carry": True, "stage.optimizer": name}
                for name in ("sgd", "adamw", "ftrl", "muon")
            ),
        ],
    ),
    Rule(
        ("carry", "lora", "stages"),
        "LoRA's matrices are new in each stage",
        checks.carry_lora,
        [{"stage.carry": True, "stage.lora": 2}],
    ),
    Rule(
        ("layer_decay", "unfreeze"),
        "frozen blocks have no learning rate",
        checks.layer_decay_frozen,
        [{"stage.layer_decay": 0.7, "stage.unfreeze": None}],
    ),
    Rule(
        ("soup", "monitor"),
        "a soup is judged on the validation split",
        checks.soup_monitor,
        [{"stage.soup": 2, "monitor": "loss"}],
    ),
    Rule(
        ("learning_rate", "stages"),
        "a sweep finds the rate of the first stage that an optimizer trains",
        checks.auto_rate,
        [{"stage.learning_rate": "auto"}],
    ),
    Rule(
        ("class_weight", "imbalance"),
        "both give the weights of classes",
        checks.two_weights,
        [{"class_weight": {"blue": 2, "green": 1, "red": 3}, "imbalance": "class_weight"}],
    ),
    Rule(
        ("class_weight",),
        "at least one class needs a weight above 0",
        checks.zero_weights,
        [{"class_weight": {"cat": 0, "dog": 0}}],
    ),
    Rule(
        ("imbalance=smote", "engine", "unfreeze", "views", "cutmix"),
        "SMOTE interpolates stored features of a frozen backbone",
        checks.smote,
        [
            {"imbalance": "smote", "engine": "none"},
            {"imbalance": "smote", "stage.unfreeze": "block3"},
            *({"imbalance": "smote", "stage.unfreeze": part} for part in ("all", "bias", "norm")),
            {"imbalance": "smote", "stage.lora": 2},
            {"imbalance": "smote", "stage.views": "fresh"},
            {"imbalance": "smote", "stage.views": 2},
            {"imbalance": "smote", "cutmix": 1},
        ],
    ),
    *METHOD_RULES,
    Rule(
        ("solver", "units", "engine", "objective", "method", "imbalance"),
        "a solver finds the linear head of a classification from stored features and labels",
        solver,
        [
            {"stage.solver": "logistic", **SOLVED, **others}
            for others in (
                {"units": (8,)},
                {"engine": "none"},
                {"objective": "multilabel"},
                {"method": "distill:run:teacher"},
                {"imbalance": "focal"},
                {"imbalance": "smote"},
            )
        ],
    ),
    Rule(
        ("solver", "dropout", "l1", "l2", "mixup", "cutmix", "label_smoothing"),
        "these change how an optimizer trains, so a stage must have one",
        solver_alone,
        [
            {"stage.solver": "logistic", "stages": 1, **SOLVED, **others}
            for others in (
                {"dropout": 0.2},
                {"l2": 0.1},
                {"mixup": 0.2},
                {"label_smoothing": 0.1},
            )
        ],
    ),
    Rule(
        ("backbone", "input"),
        "a network takes images or texts",
        backbone_checks.modality,
        [{"backbone": "transformer_tiny", "input": "image"}, {"input": "text"}],
    ),
    Rule(
        ("backbone", "features", "preprocessing", "variant", "weights"),
        "a FILE.keras has settings that other networks do not have, and the other way round",
        backbone_checks.keras_file,
        [
            {"backbone": "net.keras", "preprocessing": "none", "variant": {"alpha": 0.5}},
            {"features": "conv5"},
            {"preprocessing": "tf"},
            {"weights": "file"},
        ],
    ),
    Rule(
        ("backbone", "preprocessing"),
        "the preprocessing of a FILE.keras is not in the file, and a wrong one would not show",
        backbone_checks.stated_preprocessing,
        [{"backbone": "net.keras"}],
    ),
    Rule(
        ("backbone", "pooling"),
        "only vision transformers have a class token",
        backbone_checks.token_pooling,
        [{"pooling": "token"}],
    ),
    Rule(
        ("backbone", "weights"),
        "presets are of networks of KerasHub",
        backbone_checks.preset_weights,
        [
            {"weights": "preset:folder"},
            {"weights": "preset"},
            {"input": "text", "backbone": "transformer_tiny", "weights": "preset"},
        ],
    ),
    *TEXT_RULES,
    *THRESHOLD_RULES,
    Rule(
        ("backbone=auto", "min_images_per_s", "variant", "objective", "engine", "unfreeze"),
        "the best backbone is found by features of images with one label each",
        auto_backbone,
        [
            {"min_images_per_s": 10},
            {"backbone": "auto", "stage.unfreeze": 0.2, "variant": {"alpha": 0.35}},
            {"backbone": "auto", "stage.unfreeze": 0.2, "objective": "multilabel"},
            {"backbone": "auto", "stage.unfreeze": 0.2, "engine": "none"},
            {"backbone": "auto"},
        ],
    ),
    Rule(
        ("classes", "relabel", "objective"),
        "only a classification has classes",
        checks.classes_setting,
        [
            {"classes": ["cat", "dog"], "objective": "regression"},
            {"relabel": "relabel.csv", "objective": "multilabel"},
        ],
    ),
    Rule(
        ("baselines=boosted_trees", "engine"),
        "boosted trees learn from stored features",
        checks.boosted_trees,
        [{"baselines": ["boosted_trees"], "engine": "none"}],
    ),
    Rule(
        ("schedule=bit", "stages"),
        "BiT-HyperRule is one stage",
        checks.hyperrule_alone,
        [{"stage.schedule": "bit"}],
    ),
)

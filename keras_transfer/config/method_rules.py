"""Settings that methods exclude; a part of the table in ``rules``."""

from __future__ import annotations

from keras_transfer.config import recipe_checks as checks
from keras_transfer.config.adaptation_checks import (
    adapted_batches,
    adapted_features,
    adapted_monitor,
    adapted_objective,
)
from keras_transfer.config.learner_checks import needs_learner
from keras_transfer.config.rule import Rule
from keras_transfer.config.setfit_checks import setfit_batches, setfit_head, setfit_stages

__all__ = ["METHOD_RULES"]

SETFIT = {"method": "setfit", "stage.unfreeze": "all", "units": (), "dropout": 0}
"""A recipe with the settings that SetFit accepts."""

METHOD_RULES: tuple[Rule, ...] = (
    Rule(
        ("method=bagging", "engine", "unfreeze"),
        "the heads share one frozen backbone and its features",
        checks.bagging,
        [
            {"method": "bagging:2", "stage.unfreeze": "block3"},
            *({"method": "bagging:2", "stage.unfreeze": part} for part in ("all", "bias", "norm")),
            {"method": "bagging:2", "stage.lora": 2},
            {"method": "bagging:2", "engine": "none"},
        ],
    ),
    Rule(
        ("method=distill", "objective", "mixup", "cutmix", "imbalance=smote"),
        "the teacher's outputs are known for each image of the data, and for one objective",
        checks.distill,
        [
            {"method": "distill:run:teacher", "mixup": 0.2},
            {"method": "distill:run:teacher", "cutmix": 1},
            {"method": "distill:run:teacher", "imbalance": "smote"},
            {
                "method": "distill:run:teacher",
                "objective": {"kind": {"type": "classification"}, "price": {"type": "regression"}},
            },
        ],
    ),
    Rule(
        ("method", "objective"),
        "domain adaptation is for a single classification",
        adapted_objective,
        [{"method": "deep_coral", "units": (8,), "objective": "multilabel"}],
    ),
    Rule(
        ("method", "batch_size", "mixup", "cutmix", "schedule", "imbalance=smote"),
        "in domain adaptation batches are half source and half target",
        adapted_batches,
        [
            {"method": "deep_coral", "units": (8,), **others}
            for others in (
                {"mixup": 0.2},
                {"batch_size": 7},
                {"batch_size": 2},
                {"imbalance": "smote"},
                {"stages": 1, "stage.schedule": "bit"},
            )
        ],
    ),
    Rule(
        ("method", "units", "unfreeze"),
        "domain adaptation of features needs layers before the last that train",
        adapted_features,
        [{"method": "deep_coral", "units": (), "stage.unfreeze": None}],
    ),
    Rule(
        ("method", "monitor", "soup"),
        "in domain adaptation choose_by chooses the best epoch",
        adapted_monitor,
        [
            {"method": "deep_coral", "units": (8,), **others}
            for others in ({"monitor": "val_label_accuracy"}, {"stage.soup": 2})
        ],
    ),
    Rule(
        ("method",),
        "some methods adapt frozen features, which a classical learner is fitted to",
        needs_learner,
        [{"method": name} for name in ("tca", "coral", "kmm")],
    ),
    Rule(
        ("method=setfit", "objective", "units", "dropout", "l1", "l2", "label_smoothing", "engine"),
        "SetFit solves the linear head of a classification",
        setfit_head,
        [
            {**SETFIT, **others}
            for others in (
                {"objective": "multilabel"},
                {"units": (8,)},
                {"dropout": 0.2},
                {"label_smoothing": 0.1},
                {"engine": "none"},
            )
        ],
    ),
    Rule(
        ("method=setfit", "batch_size", "mixup", "cutmix", "schedule", "imbalance"),
        "SetFit compares the examples of batches that it draws itself",
        setfit_batches,
        [
            {**SETFIT, **others}
            for others in (
                {"mixup": 0.2},
                {"stages": 1, "stage.schedule": "bit"},
                {"imbalance": "oversample"},
                {"batch_size": 4},
            )
        ],
    ),
    Rule(
        ("method=setfit", "unfreeze", "soup", "ema", "l2_sp_head"),
        "SetFit trains the backbone, and solves the head after each epoch",
        setfit_stages,
        [
            {**SETFIT, **others}
            for others in (
                {"stage.unfreeze": None},
                {"stage.soup": 2},
                {"stage.ema": 0.9},
                {"stage.l2_sp": 0.1, "stage.l2_sp_head": 0.1},
            )
        ],
    ),
)

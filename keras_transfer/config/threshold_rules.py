"""Settings that the threshold of a class excludes; a part of the table in ``rules``."""

from __future__ import annotations

from typing import Any

from keras_transfer.config.rule import Rule
from keras_transfer.errors import UnknownName
from keras_transfer.methods.adaptation import Adaptation
from keras_transfer.objectives.operating import Threshold

__all__ = ["THRESHOLD_RULES"]

RECALL = {"threshold": {"recall": 0.95, "positive": "dog"}}


def _wanted(recipe: Any) -> list[tuple[Any, Threshold]]:
    """Objectives with a threshold that is to be chosen."""
    rows = [(one, getattr(one, "threshold", None)) for one in recipe.objectives.values()]
    return [(objective, found) for objective, found in rows if found is not None and found.wanted]


def _said(threshold: Threshold) -> str:
    return ", ".join(f"threshold.{name} = {value:g}" for name, value in threshold.asked.items())


def _unknown(recipe: Any) -> str:
    for objective, threshold in _wanted(recipe):
        reject = getattr(objective, "reject", None)
        if reject is not None and reject.wanted:
            return (
                f"{_said(threshold)} is that of all examples, and reject answers some of them by "
                "unknown, which are then found as neither class. Leave out threshold or reject."
            )
    return ""


def _domain(recipe: Any) -> str:
    if not isinstance(recipe.method, Adaptation):
        return ""
    return next(
        (
            f"{_said(threshold)} would be chosen on val, which is of the source; on the target "
            f"that method = {recipe.method.type} adapts to, the threshold may mean anything. Leave "
            "threshold out, or label some of the target and train on these."
            for _, threshold in _wanted(recipe)
        ),
        "",
    )


def _two_classes(recipe: Any) -> str:
    classes = recipe.data.classes
    for _, threshold in _wanted(recipe):
        if classes is None or threshold.positive is None:
            continue
        if len(classes) != 2:
            return (
                f"{_said(threshold)} is for two classes, and classes names {len(classes)}. Name "
                "two, or make each class a label of its own: objective = multilabel."
            )
        if threshold.positive not in classes:
            raise UnknownName("class", threshold.positive, classes).within("threshold.positive")
    return ""


THRESHOLD_RULES: tuple[Rule, ...] = (
    Rule(
        ("threshold", "reject"),
        "a recall or precision is that of all examples, and unknown leaves some out",
        _unknown,
        [{**RECALL, "reject": 0.9}],
    ),
    Rule(
        ("threshold", "method"),
        "a threshold is chosen on val, which is not of the target domain",
        _domain,
        [{**RECALL, "method": "deep_coral", "units": (8,)}],
    ),
    Rule(
        ("threshold", "classes"),
        "the threshold of a class is for one of two",
        _two_classes,
        [{**RECALL, "classes": ["cat", "dog", "fox"]}, {**RECALL, "classes": ["cat", "fox"]}],
    ),
)

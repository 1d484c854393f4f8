"""Runs that were pretrained by masked words: what they can say, and what they cannot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_transfer.evaluation.masked_words import masked_headline, masked_summary

__all__ = ["is_pretraining", "pretraining_report", "without_outputs"]

TITLES = {"before_training": "before training", "unigram": "unigram"}


def is_pretraining(settings: Mapping[str, Any]) -> bool:
    """Whether stored settings are those of a pretraining."""
    method = settings.get("method")
    return isinstance(method, Mapping) and method.get("type") == "masked_lm"


def without_outputs(folder: Path) -> str:
    """The message where outputs are asked for."""
    return (
        f"The run in {folder} is a pretraining: it predicts masked words, and has no classes or "
        f"values. Train a recipe for texts on its network, by --weights run:{folder}; `kt-recipe "
        f'predict {folder} "a film to [MASK] twice"` gives the likeliest words.'
    )


def pretraining_report(folder: Path, metrics: Mapping[str, Any]) -> str:
    """The metrics on the test split and of the baselines, as text."""
    lines = [f"Test split of {folder}, the same words masked in all of them"]
    lines += [masked_summary(metrics["test"]), "Baselines"]
    for name, values in metrics["baselines"].items():
        lines.append(f"  {TITLES.get(name, name)}: {masked_headline(values)}")
    return "\n".join(lines)

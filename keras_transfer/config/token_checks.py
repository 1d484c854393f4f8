"""Checks of rules about labels of words: each returns the problem of a recipe, or ""."""

from __future__ import annotations

from typing import Any

__all__ = ["labels_of_words"]


def labels_of_words(recipe: Any) -> str:
    """Labels of words of other than single texts, with other objectives, or pooled."""
    objectives = [*recipe.objectives.values()]
    if not any(objective.per_token for objective in objectives):
        return ""
    if len(objectives) > 1:
        return "objective = tokens labels the words of a text; it cannot be one of several."
    if len(recipe.input.text_columns) != 1:
        return (
            "objective = tokens labels the words of single texts, and input is "
            f"{recipe.input.type}. Use --input text and a network for texts, e.g. minilm."
        )
    if recipe.head.pooling != "avg":
        return (
            f"pooling = {recipe.head.pooling}: with objective = tokens each token has an output, "
            "and nothing is pooled. Leave pooling out."
        )
    return ""

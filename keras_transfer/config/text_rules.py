"""Rules about texts: part of the table of settings that exclude each other."""

from __future__ import annotations

from keras_transfer.config import recipe_checks as checks
from keras_transfer.config.rule import Rule
from keras_transfer.config.token_checks import labels_of_words

__all__ = ["TEXT_RULES"]

TEXT_RULES: tuple[Rule, ...] = (
    Rule(
        ("input=text", "pooling", "weights", "mixup", "cutmix", "schedule", "method"),
        "some settings are for images only",
        checks.text_only,
        [
            *(
                {"input": "text", "backbone": "transformer_tiny", "weights": "none", **more}
                for more in (
                    {"pooling": "flatten"},
                    {"weights": "imagenet"},
                    {"mixup": 0.2},
                    {"method": "distill:run:teacher"},
                    {"stages": 1, "stage.schedule": "bit"},
                )
            ),
        ],
    ),
    Rule(
        ("objective=tokens", "input", "pooling"),
        "words have labels in single texts, and their outputs are not pooled",
        labels_of_words,
        [
            {"objective": "tokens"},
            *(
                {"input": "text", "backbone": "transformer_tiny", "weights": "none", **more}
                for more in (
                    {"objective": "tokens", "pooling": "max"},
                    {"objective": "tokens", "pooling": "token"},
                    {"objective": {"a": {"type": "tokens"}, "b": {"type": "regression"}}},
                )
            ),
        ],
    ),
)

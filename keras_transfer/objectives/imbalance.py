"""Types of the settings that balance classes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from keras_transfer.errors import BadConfiguration

__all__ = ["Imbalance", "OwnWeights"]


def _own_weights(text: str) -> Any:
    raise BadConfiguration(
        f"class_weight = {text!r} should be {{class: weight}}; weights that balance the classes "
        "are imbalance = class_weight, none at all are imbalance = none."
    )


# Scikit-learn users write class_weight="balanced"; a type error would not help them.
OwnWeights = Annotated[str, AfterValidator(_own_weights)]
"""Refuses all, and says what to say instead; makes an option of the mapping that it stands by."""

Imbalance = Literal[
    "auto",
    "none",
    "class_weight",
    "effective_number",
    "oversample",
    "undersample",
    "balanced_batches",
    "focal",
    "smote",
]

"""Whether an export answers as the model does, and the gate that it must pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.errors import CheckFailed

__all__ = ["LIMITS", "TIE", "Limits", "compare", "gate"]

TIE = 1e-4
"""Probabilities nearer than that are equal: which of two such classes comes first is rounding."""


class Limits(NamedTuple):
    """How far an export may be from its model.

    Attributes:
        changed: Largest share of images with another best class.
        difference: Largest difference of a probability.
    """

    changed: float
    difference: float


LIMITS: Mapping[str, Limits] = {
    "none": Limits(0.0, 1e-3),
    "float16": Limits(0.01, 0.05),
    "dynamic": Limits(0.03, 1.0),
    "int8": Limits(0.05, 1.0),
}
"""By quantization. One image far from the others' noise says little of an int8 network, so its
probabilities are told, not judged."""


def compare(model: np.ndarray, export: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    """Hold the answers of an export against those of its model.

    Args:
        model: (n, classes) probabilities by Keras.
        export: (n, classes) probabilities by the export, of the same images.
        true: (n,) labels.

    Returns:
        JSON-ready: "images"; "changed", how many have another best class, ties (``TIE``) aside;
        "largest_difference" of a probability; "accuracy" and "model_accuracy".
    """
    rows, best = np.arange(len(model)), export.argmax(axis=1)
    changed = model.max(axis=1) - model[rows, best] > TIE
    return {
        "images": len(model),
        "changed": int(changed.sum()),
        "largest_difference": float(np.abs(model - export).max()),
        "accuracy": float(np.mean(best == true)),
        "model_accuracy": float(np.mean(model.argmax(axis=1) == true)),
    }


def gate(found: Mapping[str, Any], limits: Limits) -> None:
    """Let an export through that is near enough.

    Args:
        found: As ``compare`` gives it.
        limits: How near that is.

    Raises:
        CheckFailed: It is not.
    """
    changed, difference = found["changed"] / found["images"], found["largest_difference"]
    if changed <= limits.changed and difference <= limits.difference:  # false for NaN
        return
    raise CheckFailed(
        f"The export does not answer as the model does: another class for {found['changed']} of "
        f"{found['images']} images (limit {limits.changed:.1%}), probabilities up to "
        f"{difference:.2g} apart (limit {limits.difference:.2g}), accuracy {found['accuracy']:.4f} "
        f"instead of {found['model_accuracy']:.4f}. Nothing was written. Allow more by "
        "--max-changed or --max-difference, or quantize less."
    )

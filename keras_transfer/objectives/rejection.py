"""The answer "unknown": settings, and what a score of it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from keras_transfer.group import Group, Share

__all__ = [
    "KNOWN_SCORES",
    "LIMIT",
    "UNKNOWN",
    "Reject",
    "rejected",
    "unknown_of",
    "with_reject_metrics",
]

UNKNOWN = "unknown"
"""The name that is answered where an example is rejected."""

LIMIT = 0.5
"""Scores of ``unknown`` above it reject the example."""

KNOWN_SCORES = ("max_probability", "entropy", "energy", "knn", "mahalanobis")
"""What says whether an example is like those of training; see ``networks.rejection``."""


class Reject(Group):
    """When to answer "unknown". ``Reject(0.99)`` is ``Reject(accuracy=0.99)``."""

    primary: ClassVar[str] = "accuracy"
    section: ClassVar[str] = "Training"

    accuracy: Share | None = Field(
        None, description="answer unknown, so that this share of the other answers is right on val"
    )
    coverage: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="answer unknown, but for this share of val",
        json_schema_extra={"section": ""},
    )
    score: Literal["auto", "max_probability", "entropy", "energy", "knn", "mahalanobis"] = Field(
        "auto",
        description="what tells unknown examples; auto: the best of all",
        json_schema_extra={"section": ""},
    )
    unknown_data: str | None = Field(
        None, description="DIR of examples that should be answered by unknown"
    )

    @classmethod
    def nest(cls, given: Any) -> Any:
        """Also a number as the accuracy; a file of settings has numbers, not texts."""
        return super().nest(str(given) if isinstance(given, float) else given)

    @model_validator(mode="after")
    def _one_target(self) -> Reject:
        if self.accuracy is not None and self.coverage is not None:
            raise ValueError("give accuracy or coverage: each decides the threshold")
        if self.score != "auto" and not self.wanted:
            raise ValueError("score without accuracy, coverage or unknown_data rejects nothing")
        return self

    @property
    def wanted(self) -> bool:
        """Whether unknown is an answer."""
        return any(one is not None for one in (self.accuracy, self.coverage, self.unknown_data))

    def __str__(self) -> str:
        return "none" if self.accuracy is None else str(self.accuracy)


def unknown_of(output: str) -> str:
    """Name of the network's output that has the score of unknown for another output."""
    return f"{output}_{UNKNOWN}"


def rejected(scores: Mapping[str, np.ndarray], output: str) -> np.ndarray | None:
    """(n,) bool by the scores of a network; None where unknown is no answer.

    Args:
        scores: (n, units) by output; of ``unknown_of(output)`` (n, 1).
        output: Name of the output.
    """
    found = scores.get(unknown_of(output))
    return None if found is None else np.asarray(found)[..., 0] > LIMIT


def with_reject_metrics(
    metrics: Mapping[str, dict[str, Any]],
    true: Mapping[str, np.ndarray],
    scores: Mapping[str, np.ndarray],
    families: np.ndarray,
) -> dict[str, dict[str, Any]]:
    """Metrics by output, with coverage and accuracy of what is not rejected as "reject".

    Args:
        metrics: By output.
        true: (n,) int classes by output, -1 where not known; of other objectives their values.
        scores: As for ``rejected``.
        families: (n,) copies of an example have the same value.
    """
    from keras_transfer.evaluation.rejection import accepted_metrics  # it needs scikit-learn

    found = dict(metrics)
    for name, values in true.items():
        unknown = rejected(scores, name)
        if unknown is not None and (known := np.asarray(values) >= 0).any():
            right = scores[name].argmax(axis=1) == values
            parts = (array[known] for array in (right, unknown, families))
            found[name] = {**metrics[name], "reject": accepted_metrics(*parts)}
    return found

"""Operating points: the recall or precision that a threshold is chosen for, on the val split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from keras_transfer.errors import UnknownName
from keras_transfer.evaluation.thresholds import at_precision, at_recall, reached
from keras_transfer.group import ClassName, Group

__all__ = ["Threshold", "decided_class", "positive_place"]

Target = Annotated[float, Field(gt=0, le=1)]


class Threshold(Group):
    """What the threshold of a class or of each label is chosen for.

    ``Threshold(recall=0.95, positive="ill")`` of a classification with two classes;
    ``Threshold(precision=0.9)`` of several labels.
    """

    section: ClassVar[str] = "Training"

    # No options of their own: --precision is that of training steps.
    recall: Target | None = Field(
        None,
        description="recall on val that the threshold reaches, with the highest precision",
        json_schema_extra={"section": ""},
    )
    precision: Target | None = Field(
        None,
        description="precision on val that the threshold reaches, with the highest recall",
        json_schema_extra={"section": ""},
    )
    positive: ClassName | None = Field(
        None,
        description="the class whose recall or precision is meant, of two",
        json_schema_extra={"section": ""},
    )

    @model_validator(mode="after")
    def _one_target(self) -> Threshold:
        if self.recall is not None and self.precision is not None:
            raise ValueError("give recall or precision: each decides the threshold")
        if self.positive is not None and not self.wanted:
            raise ValueError("positive without recall or precision chooses no threshold")
        return self

    @property
    def wanted(self) -> bool:
        """Whether a threshold is to be chosen."""
        return self.recall is not None or self.precision is not None

    @property
    def asked(self) -> dict[str, float]:
        """The metric that is asked for, with its value."""
        both = {"recall": self.recall, "precision": self.precision}
        return {name: value for name, value in both.items() if value is not None}

    def choose(self, true: np.ndarray, scores: np.ndarray) -> float | None:
        """The threshold for (n,) bool true values and (n,) scores; None: none reaches it.

        See ``evaluation.thresholds``.
        """
        if self.recall is not None:
            return at_recall(true, scores, self.recall)
        assert self.precision is not None, "a threshold is wanted"
        return at_precision(true, scores, self.precision)


def positive_place(threshold: Threshold, names: Sequence[str]) -> int:
    """The place of the positive class among the two of a classification.

    Raises:
        UnknownName: There is no such class; suggests another.
    """
    name = str(threshold.positive)
    if name not in names:
        raise UnknownName("class", name, names)
    return [*names].index(name)


def decided_class(scores: np.ndarray, decision: Mapping[str, Any]) -> np.ndarray:
    """(n,) int64 class by the threshold of the positive one of two.

    Args:
        scores: (n, 2) float probabilities.
        decision: "threshold", and "positive": the place of that class.
    """
    positive = int(decision["positive"])
    found = reached(np.asarray(scores)[:, positive], decision["threshold"])
    return np.where(found, positive, 1 - positive)

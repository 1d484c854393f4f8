"""Distillation: a student learns from labels and from a teacher's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from keras_transfer.errors import BadConfiguration
from keras_transfer.group import Positive
from keras_transfer.methods.base import Method

__all__ = ["Distill"]


class Distill(Method):
    """Train a student on a teacher's outputs and the labels.

    Hinton, Vinyals and Dean 2015, arXiv:1503.02531. With the teacher's logits t, the student's
    logits s and temperature T, the loss of a classification is
    ``(1 - alpha) CE(y, s) + alpha T^2 KL(softmax(t / T) || softmax(s / T))``; of several labels the
    same with sigmoids; of a regression ``(1 - alpha) loss(y, s) + alpha loss(t, s)``.
    The teacher sees each image without augmentation, once; its outputs are cached.
    """

    outputs: ClassVar[Sequence[str]] = ("teacher",)
    baseline_name: ClassVar[str] = "without_teacher"
    example: ClassVar[str] = "distill:run:DIR"
    section: ClassVar[str] = "Training"

    type: Literal["distill"] = "distill"
    teacher: str = Field(pattern="^run:.+", description="run:DIR of a finished run")
    temperature: Positive = Field(4.0, description="softens the outputs of teacher and student")
    alpha: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.5,
        description="share of the teacher's term in the loss",
        json_schema_extra={"section": ""},  # --alpha would be taken for that of a MobileNet
    )

    @property
    def label_weight(self) -> float:
        """The share that the teacher leaves."""
        return 1 - self.alpha

    @classmethod
    def from_word(cls, more: str) -> dict[str, Any]:
        """The teacher."""
        if not more.startswith("run:"):
            raise BadConfiguration(
                f"method = {f'distill:{more}'!r}: distill needs a teacher, e.g. "
                "distill:run:runs/resnet50/3."
            )
        return {"teacher": more}

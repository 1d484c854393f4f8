"""SetFit: a backbone learns from pairs of examples which belong together, then a head is solved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from keras_transfer.group import Count
from keras_transfer.methods.base import ExtraTerm, HeadTensors, Method

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.samples import Samples
    from keras_transfer.objectives.base import Labels, Objective

__all__ = ["EMBEDDING", "SetFit"]

EMBEDDING = "embedding"
"""Name of the output with the pooled features of the backbone."""


class SetFit(Method):
    """Fine-tune the backbone on pairs of few labelled examples, and solve a logistic head.

    Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts", arXiv:2209.11055. The
    cosine of the embeddings of two examples is to be 1 if they are of one class, else 0; the loss
    is the squared error. Here all pairs of a batch count, which needs one pass of the network for
    each example and not for each pair; pairs of one class weigh as much as those of two. After
    each epoch a logistic regression on the embeddings of the train split becomes the head.
    """

    outputs: ClassVar[Sequence[str]] = (EMBEDDING,)
    baseline_name: ClassVar[str] = "frozen"
    section: ClassVar[str] = "Training"

    type: Literal["setfit"] = "setfit"
    iterations: Count = Field(
        20,
        description="times that an epoch draws each example (SetFit's num_iterations)",
        json_schema_extra={"section": ""},
    )

    @property
    def label_weight(self) -> float:
        """The head is solved, so no gradient of the labels' own term is wanted."""
        return 0.0

    @property
    def plain_settings(self) -> dict[str, Any]:
        """The same head on the frozen backbone."""
        stage = {"name": "head", "optimizer": {"solver": "logistic"}}
        return {**super().plain_settings, "stages": [stage]}

    def extra_outputs(self, head: HeadTensors) -> dict[str, keras.KerasTensor]:
        """The pooled features."""
        return {EMBEDDING: head.pooled}

    def extra_terms(
        self, output: str, objective: Objective, train: Labels
    ) -> tuple[ExtraTerm, ...]:
        """The term of the pairs; see ``Method.extra_terms``."""
        from keras_transfer.methods.graph.similarity import PairSimilarity

        return (ExtraTerm(EMBEDDING, PairSimilarity(), 1.0, _classes),)


def _classes(samples: Samples) -> np.ndarray:
    """(n, 1) float32 numbers of the classes."""
    return samples.labels.astype("float32")[:, None]

"""Domain adaptation: what its methods have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from keras_transfer.data.samples import DOMAIN
from keras_transfer.domains.criterion_names import CRITERION_NAMES, CriterionName
from keras_transfer.group import NonNegative
from keras_transfer.methods.base import ExtraTerm, Method

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.samples import Samples
    from keras_transfer.objectives.base import Labels, Objective

__all__ = [
    "HEAD_FEATURES",
    "Adaptation",
    "DeepAdaptation",
    "NetworkAdaptation",
    "domain_ids",
    "weight_field",
]

HEAD_FEATURES = "head_features"
"""Name of an output of every network that adapts: what the last layer of the head takes."""


class Adaptation(Method):
    """Use unlabelled examples of the target domain, where the model is to work.

    The data of the recipe are the source domain, with labels.
    """

    baseline_name: ClassVar[str] = "source_only"
    section: ClassVar[str] = "Domain adaptation"

    target_data: str | None = Field(
        None, description="examples of the target domain; their labels are not used"
    )
    target_labels: Annotated[int, Field(ge=0)] = Field(
        0, description="labelled target examples per class, which are used; 0: none"
    )
    choose_by: CriterionName = Field(
        "information_maximization",
        description="chooses epoch and model without labels of the target: "
        + ", ".join(CRITERION_NAMES),
    )
    keep: Literal["better", "adapted"] = Field(
        "better",
        description="better: the model without adaptation is kept if choose_by prefers it; "
        "adapted: it never is",
    )


class NetworkAdaptation(Adaptation):
    """Adapt a network, which is compared with one that was trained on the source alone."""


def weight_field(default: float, of: str) -> Any:
    """The setting ``weight`` of a method."""
    return Field(
        default,
        description=f"factor of the {of} in the loss; the labels have 1",
        json_schema_extra={"section": ""},  # --weight would be taken for that of an objective
    )


class DeepAdaptation(NetworkAdaptation):
    """Train on batches that are half source and half target.

    A subclass says what its outputs are and which loss the first one has. Targets of its terms are
    ``domain_ids``. Losses take (batch, 1) ids and (batch, ...) outputs, also where one of the
    domains is missing in a batch.

    Attributes:
        adapts: What the terms read: "features" that the last layer takes, or "logits".
    """

    adapts: ClassVar[Literal["features", "logits"]] = "features"

    weight: NonNegative = weight_field(1.0, "adaptation's term")

    def loss(self, classes: int) -> keras.losses.Loss:
        """The loss of the first output.

        Args:
            classes: Number of classes.
        """
        raise NotImplementedError

    def extra_terms(
        self, output: str, objective: Objective, train: Labels
    ) -> tuple[ExtraTerm, ...]:
        """The term of the first output; see ``Method.extra_terms``."""
        loss = self.loss(objective.units(train.names))
        return (ExtraTerm(self.outputs[0], loss, self.weight, domain_ids),)


def domain_ids(samples: Samples) -> np.ndarray:
    """(n, 1) float32 of joined samples: 0 for the source and 1 for the target domain."""
    return np.asarray(samples.cells[DOMAIN], "float32")[:, None]

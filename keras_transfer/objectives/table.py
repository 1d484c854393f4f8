"""All objectives by name, and the type of a setting that is one of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from keras_transfer.errors import BadConfiguration
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.regression import Regression
from keras_transfer.tables import Table

__all__ = ["OBJECTIVES", "AnyObjective"]

OBJECTIVES: Table[type[Objective]] = Table(
    "objective",
    {"classification": Classification, "multilabel": MultiLabel, "regression": Regression},
)


def _named(value: Any) -> Any:
    """Take "regression" for {"type": "regression"}; a wrong name raises with a near miss."""
    value = {"type": value} if isinstance(value, str) else value
    if isinstance(value, dict):
        if "type" not in value:
            raise BadConfiguration(
                f"An objective needs a type, one of {', '.join(OBJECTIVES)}; found {value}."
            )
        assert OBJECTIVES[value["type"]]
    return value


AnyObjective = Annotated[
    Classification | MultiLabel | Regression, Field(discriminator="type"), BeforeValidator(_named)
]
"""One of the objectives; its name alone is enough."""

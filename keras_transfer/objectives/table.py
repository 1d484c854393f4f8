"""All objectives by name, and the type of a setting that is one of them, or one per column."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError

from keras_transfer.errors import BadConfiguration, in_setting
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.multilabel import MultiLabel
from keras_transfer.objectives.regression import Regression
from keras_transfer.objectives.tokens import TokenClassification
from keras_transfer.tables import Table

__all__ = ["OBJECTIVES", "AnyObjective", "read_objective", "several"]

OBJECTIVES: Table[type[Objective]] = Table(
    "objective",
    {
        "classification": Classification,
        "multilabel": MultiLabel,
        "regression": Regression,
        "tokens": TokenClassification,
    },
)

OWN_MAPPINGS = ("class_weight", "reject", "threshold")
"""Settings of an objective that are mappings themselves."""


def read_objective(value: Any) -> Any:
    """Read an objective, or several by the column that each predicts.

    ``"regression"`` and ``{"type": "regression", ...}`` are one objective; ``{"color":
    "multilabel", "price": {"type": "regression"}}`` are two. Without a type it is a classification.

    Raises:
        UnknownName: There is no such objective.
        BadConfiguration: There are no objectives in a mapping.
    """
    if isinstance(value, Objective):
        return value
    if isinstance(value, str):
        return OBJECTIVES[value]()
    if not isinstance(value, Mapping):
        return value
    # First: a column may be called like a setting.
    if several(value):
        return {str(column): _of_column(str(column), inner) for column, inner in value.items()}
    settings = dict(value)
    return OBJECTIVES[settings.pop("type", "classification")](**settings)


def _of_column(column: str, value: Any) -> Any:
    """Read one of several objectives; errors name its column."""
    try:
        with in_setting(f"objective.{column}"):
            return read_objective(value)
    except ValidationError as error:
        details: list[Any] = [
            {
                "type": PydanticCustomError(
                    row["type"], "{text}", {**row.get("ctx", {}), "text": row["msg"]}
                ),
                "loc": (column, *row["loc"]),
                "input": row["input"],
            }
            for row in error.errors()
        ]
        raise ValidationError.from_exception_data(error.title, details) from None


def several(value: Mapping[str, Any]) -> bool:
    """Whether a mapping has objectives by their column, instead of the settings of one.

    Raises:
        BadConfiguration: It is empty.
    """
    if not value:
        raise BadConfiguration("objective = {}: name a column and what is predicted of it.")
    # A column that is called like a setting is told apart by what it maps to.
    known = set().union(*(row.model_fields for row in OBJECTIVES.values()))
    inner = [x for x in value.values() if isinstance(x, Mapping | Objective)]
    if len(inner) == len(value):
        return not set(value) <= set(OWN_MAPPINGS)
    names = [x for x in value.values() if isinstance(x, str)]
    if len(inner) + len(names) < len(value) or set(value) <= known:
        return False
    right = len(inner) + sum(name in OBJECTIVES for name in names)
    # Where some are right a wrong name is a column's; beside a type it is a setting's.
    return right == len(value) or (right > 0 and "type" not in value)


# Type checkers cannot follow a union that is built from a table.
if TYPE_CHECKING:
    AnyObjective = Objective | dict[str, Objective]
else:
    _One = reduce(or_, OBJECTIVES.values())
    # Read before validation: pydantic would try every type and report the failures of all.
    AnyObjective = Annotated[_One | dict[str, _One], BeforeValidator(read_objective)]
    """One objective, whose name alone is enough; or several by column."""

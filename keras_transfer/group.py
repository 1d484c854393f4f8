"""What groups of settings are made of: the frozen base class and the types of their fields."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "ClassName",
    "Count",
    "Decay",
    "Group",
    "NonNegative",
    "Portion",
    "Positive",
    "Share",
    "row_of",
]

Share = Annotated[float, Field(gt=0, lt=1)]
Portion = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]


class Group(BaseModel):
    """A frozen set of settings that rejects those it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _class_name(value: Any) -> Any:
    """Take 5 for "5", as YAML reads the name of a class; refuse yes and no, whose text is lost."""
    if isinstance(value, bool):
        raise ValueError("should be the name of a class; put yes, no, true and false in quotes")
    return str(value) if isinstance(value, int | float) else value


ClassName = Annotated[str, BeforeValidator(_class_name)]


def row_of(table: Any) -> AfterValidator:
    """Accept the names of a table's rows; a wrong one raises UnknownName with a near miss."""

    def check(name: str) -> str:
        table[name]
        return name

    return AfterValidator(check)

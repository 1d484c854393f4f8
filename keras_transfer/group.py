"""Base class of groups of settings, and types of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

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
    """A frozen group of settings that rejects unknown ones.

    Attributes:
        primary: The setting that the first positional argument, or a plain string, stands for.
        lifted: Fields that are groups, whose settings may be given without the group.
        old_names: Names of settings in version 1, with the current names.
        section: Heading under which the command line lists the settings; "": it does not.
    """

    # Infinity and NaN are refused: the JSON files of a run cannot hold them.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    primary: ClassVar[str] = ""
    lifted: ClassVar[tuple[str, ...]] = ()
    old_names: ClassVar[Mapping[str, str]] = {}
    section: ClassVar[str] = ""

    def __init__(self, *values: Any, **settings: Any):
        if len(values) > 1 or (values and not self.primary):
            raise TypeError(f"{type(self).__name__} takes settings by name.")
        if values:
            settings[self.primary] = values[0]
        super().__init__(**settings)

    @model_validator(mode="before")
    @classmethod
    def _in_groups(cls, given: Any) -> Any:
        return cls.nest(given)

    @classmethod
    def nest(cls, given: Any) -> Any:
        """Use a string as the primary setting, and nest lifted settings in their groups."""
        # mode="before": pydantic would refuse a plain string for a model before fields are read.
        if isinstance(given, str) and cls.primary:
            return {cls.primary: given}
        if not isinstance(given, Mapping):
            return given
        result = dict(given)
        for old, new in cls.old_names.items():
            if old in result:
                result[new] = result.pop(old)
        for name in cls.lifted:
            group: Any = cls.model_fields[name].annotation
            # A name that both have, such as `name`, means the outer one.
            group_settings = set(group.model_fields) - set(cls.model_fields)
            inner = {key: result.pop(key) for key in [*result] if key in group_settings}
            if inner:
                # Settings given directly win over those of the group.
                result[name] = {**_plain(result.get(name), group), **inner}
        return result


def _plain(value: Any, group: type[Group]) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        return value.model_dump()
    return {group.primary: value} if isinstance(value, str) else dict(value or {})


def _class_name(value: Any) -> Any:
    """Convert 5 to "5", as YAML reads class names; refuse yes and no, whose text is lost."""
    # bool before int: True is an int in Python, and would become the class "True".
    if isinstance(value, bool):
        raise ValueError("should be the name of a class; put yes, no, true and false in quotes")
    return str(value) if isinstance(value, int | float) else value


ClassName = Annotated[str, BeforeValidator(_class_name)]


def row_of(table: Any) -> AfterValidator:
    """Accept the names of a table's rows; a wrong one is an UnknownName with a near miss.

    It goes by way of pydantic, which knows the setting that the name stands in.
    """

    def check(name: str) -> str:
        try:
            table[name]
        except KeyError as error:  # an UnknownName
            # Pydantic does not catch a KeyError, so it would surface without the setting's name.
            raise PydanticCustomError("unknown_name", "{error}", {"error": error}) from None
        return name

    return AfterValidator(check)

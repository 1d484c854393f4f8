"""All methods by name, and the type of a setting that is one of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.methods.bagging import MAX_MEMBERS, MIN_MEMBERS, Bagging
from keras_transfer.methods.base import Method
from keras_transfer.methods.distill import Distill
from keras_transfer.methods.supervised import Supervised
from keras_transfer.tables import Table

__all__ = ["METHODS", "AnyMethod", "from_text"]

METHODS: Table[type[Method]] = Table(
    "method", {"supervised": Supervised, "bagging": Bagging, "distill": Distill}
)


def from_text(text: str) -> dict[str, Any]:
    """Read a method from a string: ``supervised``, ``bagging:10`` or ``distill:run:DIR``.

    Raises:
        UnknownName: There is no such method.
        BadConfiguration: What follows the colon is missing or wrong.
    """
    name, _, more = text.partition(":")
    if name not in METHODS:
        raise UnknownName("method", text, ("supervised", "bagging:10", "distill:run:DIR"))
    if name == "bagging":
        if not more.isdecimal() or not MIN_MEMBERS <= int(more) <= MAX_MEMBERS:
            raise BadConfiguration(
                f"method = {text!r}: bagging needs the number of heads, {MIN_MEMBERS} to "
                f"{MAX_MEMBERS}, e.g. bagging:10."
            )
        return {"type": name, "members": int(more)}
    if name == "distill":
        if not more.startswith("run:"):
            raise BadConfiguration(
                f"method = {text!r}: distill needs a teacher, e.g. distill:run:runs/resnet50/3."
            )
        return {"type": name, "teacher": more}
    if more:
        raise BadConfiguration(f"method = {text!r}: nothing follows {name}.")
    return {"type": name}


def _read(value: Any) -> Any:
    value = from_text(value) if isinstance(value, str) else value
    if isinstance(value, dict) and "type" in value:
        assert METHODS[value["type"]]
    return value


AnyMethod = Annotated[
    Supervised | Bagging | Distill, Field(discriminator="type"), BeforeValidator(_read)
]
"""One of the methods; the name is enough for most."""

"""All inputs by name, and the type of a setting that is one of them."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from keras_transfer.inputs.base import Input
from keras_transfer.inputs.image import Image
from keras_transfer.inputs.text import Text
from keras_transfer.inputs.text_pair import TextPair
from keras_transfer.tables import Table

__all__ = ["INPUTS", "AnyInput", "read_input"]

INPUTS: Table[type[Input]] = Table("input", {"image": Image, "text": Text, "text_pair": TextPair})


def _typed(value: Any) -> Any:
    """Without a type it is an image; a wrong one raises with a near miss."""
    if isinstance(value, str):
        value = {"type": value}
    if isinstance(value, dict):
        value = {"type": "image", **value}
        assert INPUTS[value["type"]]
    return value


def read_input(settings: dict[str, Any]) -> Input:
    """The input of stored settings."""
    typed = dict(_typed(settings))
    return INPUTS[typed["type"]](**typed)


if TYPE_CHECKING:
    AnyInput = Image | Text | TextPair
else:
    AnyInput = Annotated[
        reduce(or_, INPUTS.values()), Field(discriminator="type"), BeforeValidator(_typed)
    ]
    """One of the inputs; its name alone is enough."""

"""What every method has in common."""

from __future__ import annotations

from typing import Any

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.group import Group

__all__ = ["MAX_MEMBERS", "MIN_MEMBERS", "Method", "from_text"]


MIN_MEMBERS, MAX_MEMBERS = 2, 100
"""How many heads bagging averages."""


class Method(Group):
    """A way to train: base of all methods. ``type`` is its name in YAML."""


def from_text(text: str) -> dict[str, Any]:
    """Read a method from the command line: ``supervised`` or ``bagging:10``.

    Raises:
        UnknownName: There is no such method.
        BadConfiguration: The number of heads is missing, is no number, or is out of range.
    """
    name, colon, count = text.partition(":")
    if name == "bagging":
        if not count.isdecimal() or not MIN_MEMBERS <= int(count) <= MAX_MEMBERS:
            raise BadConfiguration(
                f"method = {text!r}: bagging needs the number of heads, {MIN_MEMBERS} to "
                f"{MAX_MEMBERS}, e.g. bagging:10."
            )
        return {"type": "bagging", "members": int(count)}
    if colon or name != "supervised":
        raise UnknownName("method", text, ("supervised", "bagging:10"))
    return {"type": "supervised"}

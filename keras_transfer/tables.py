"""A dictionary whose missing keys suggest near misses."""

from typing import TypeVar

from keras_transfer.errors import UnknownName

__all__ = ["Table"]

Row = TypeVar("Row")


class Table(dict[str, Row]):
    """Named rows of one type: backbones, sources, optimizers, ...

    Args:
        what: The type of item in the table, singular, for messages.
        rows: The rows by name.

    Raises:
        UnknownName: On ``table[name]`` where no row has that name.
    """

    def __init__(self, what: str, rows: dict[str, Row]):
        super().__init__(rows)
        self.what = what

    def __missing__(self, name: str) -> Row:
        # dict.get and `in` do not call __missing__, so they still work for unknown names.
        raise UnknownName(self.what, name, self)

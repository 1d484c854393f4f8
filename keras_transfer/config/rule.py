"""Rules between settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Rule", "broken"]


# Data, not code in a validator: checks, documentation and tests read the same table.
class Rule(NamedTuple):
    """Settings that exclude each other.

    Attributes:
        settings: Their names, for people.
        why: The reason in a sentence, for the documentation.
        check: Maps a stage or a recipe to what is wrong and what to do; "" where nothing is.
            Raises UnknownName where a name is wrong, which suggests another.
        refused: Values that together are refused, for the tests; ``stage.`` is the last stage.
    """

    settings: tuple[str, ...]
    why: str
    check: Callable[[Any], str]
    refused: Sequence[Mapping[str, Any]]


def broken(rules: Iterable[Rule], subject: Any) -> str:
    """Message of the first broken rule for a stage or recipe; "" if none is broken."""
    return next((reason for rule in rules if (reason := rule.check(subject))), "")

"""Translate pydantic's errors into messages for users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from keras_transfer.config.shorthand import SHORTHAND
from keras_transfer.config.tree import leaves
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.group import Group

__all__ = ["readable"]

TYPES = ("bool", "dict", "float", "int", "list", "none", "str", "tuple")
"""Pydantic's names of the branches of a union of plain types."""


def readable(error: ValidationError, model: type[BaseModel]) -> BadConfiguration:
    """The first invalid setting of a pydantic error, as an error with a remedy.

    Args:
        error: As pydantic raised it.
        model: The model that was validated.
    """
    # Names before values; of the branches of a union, the one that came nearest.
    first = max(
        error.errors(), key=lambda found: (found["type"] == "extra_forbidden", len(found["loc"]))
    )
    path, groups = _followed(model, first["loc"])
    where = ".".join(map(str, path))
    error_type, context = first["type"], first.get("ctx", {})
    # Pydantic's own text suggests no near miss.
    if error_type == "extra_forbidden":
        others = _types_with(model, path)
        # The name is right but for another type, so a near miss would mislead.
        if others:
            return BadConfiguration(
                f"{where} = {first['input']!r}: only the {path[0]} {' or '.join(others)} has a "
                f"setting {path[-1]!r}. Give that too, such as --{path[0]} {others[0]}."
            )
        names = [name for group in groups for name in _names_beside(model, group, path)]
        return UnknownName("setting", where, dict.fromkeys(names))
    if error_type == "unknown_name":
        return context["error"].within(where)
    if error_type == "literal_error":
        return UnknownName(f"value of {where}", first["input"], _listed(context["expected"]))
    if error_type == "union_tag_invalid":
        return UnknownName(
            f"value of {where}.type", context["tag"], _listed(context["expected_tags"])
        )
    # Pydantic calls these "model" and "tag", words that no user knows.
    if error_type in ("union_tag_not_found", "model_type", "model_attributes_type"):
        return BadConfiguration(f"{where} = {first['input']!r}: {_wanted(groups)}.")
    if error_type == "missing":
        return BadConfiguration(f"The setting {where} is required and has no default.")
    if error_type == "value_error":
        return BadConfiguration(f"{where or model.__name__}: {context['error']}.")
    return BadConfiguration(f"{where} = {first['input']!r}: {first['msg'].lower()}.")


def _listed(text: str) -> list[str]:
    """The words in "'a', 'b' or 'c'"."""
    return text.replace("'", "").replace(" or ", ", ").split(", ")


def _wanted(groups: Sequence[type[BaseModel]]) -> str:
    """Text for a group of settings, or for one of several groups."""
    tags = [tag for tag in map(_tag, groups) if tag]
    if tags:
        return f"should be a mapping with a type, which is {' or '.join(tags)}"
    primary = getattr(groups[0], "primary", "")
    return "should be a mapping of settings" + (f", or the {primary} alone" if primary else "")


def _followed(
    model: type[BaseModel], nodes: Sequence[str | int]
) -> tuple[list[str | int], list[type[BaseModel]]]:
    """The user's path of a setting, and the groups at its end; none for a plain value."""
    path: list[str | int] = []
    inside = [model]
    # loc mixes fields with names of types and validators inside unions, which no user has written.
    for node in nodes:
        holder = next((group for group in inside if node in group.model_fields), None)
        tagged = next((group for group in inside if node == _tag(group)), None)
        if holder is not None:
            path.append(node)
            inside = [*_groups_below(holder.model_fields[str(node)].annotation)]
        elif tagged is not None:
            inside = [tagged]
        # Nodes such as "function-before[...]" are no identifiers.
        elif not path or isinstance(node, int) or (node.isidentifier() and node not in TYPES):
            path.append(node)
    return path, inside


def _tag(group: type[BaseModel]) -> str:
    """The name of a group in a union, such as "bagging" of the methods."""
    field = group.model_fields.get("type")
    return "" if field is None else str(field.default)


def _types_with(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The types of a group that have a setting, that the type in use does not have."""
    field = model.model_fields.get(str(path[0])) if len(path) == 2 else None
    if field is None:
        return []
    found = {_tag(g): None for g in _groups_below(field.annotation) if path[1] in g.model_fields}
    return [tag for tag in found if tag]


def _groups_below(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    # Annotated, Optional, tuple and union all keep their parts in __args__.
    for part in getattr(annotation, "__args__", ()):
        yield from _groups_below(part)


def _lifted(group: type[BaseModel]) -> list[str]:
    """Settings that may be given without their group."""
    fields = [group.model_fields[name] for name in getattr(group, "lifted", ())]
    inner = [names for field in fields for names in _groups_below(field.annotation)]
    return [name for names in inner for name in names.model_fields]


def _names_beside(
    model: type[BaseModel], group: type[BaseModel], path: Sequence[str | int]
) -> list[str]:
    """Valid names in place of a path's last part, with the path before them."""
    before = "".join(f"{part}." for part in path[:-1])
    own = [before + name for name in (*group.model_fields, *_lifted(group))]
    # At the top a leaf or a shorthand is valid too; inside a group it is not.
    if len(path) > 1 or not issubclass(model, Group):
        return own
    return [*own, *SHORTHAND, *leaves(model)]

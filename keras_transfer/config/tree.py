"""Settings as nested mappings: find, merge and change them by name or dotted path.

A setting of a group may be given without its group where the name is unique: ``image_size=96`` is
``input={"image_size": 96}``, and ``backbone="vgg16"`` is ``backbone={"name": "vgg16"}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from keras_transfer.config.shorthand import SHORTHAND
from keras_transfer.config.yaml_values import DEPTH, load_yaml
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.group import Group
from keras_transfer.methods.table import from_text
from keras_transfer.objectives.table import several

__all__ = [
    "Leaf",
    "differences",
    "full_path",
    "groups_in",
    "leaves",
    "merged",
    "nested",
    "read_options",
    "with_setting",
]

USER_NAMES = ("class_weight", "parameters", "variant")
"""Settings that map user-defined names; a new mapping replaces the old one."""


class Leaf(NamedTuple):
    """A setting inside a group.

    Attributes:
        path: From the recipe, such as ("input", "augment", "zoom_range").
        field: Its type, default and description.
        section: Heading under which the command line lists it.
    """

    path: tuple[str, ...]
    field: FieldInfo
    section: str


def groups_in(annotation: Any) -> list[type[Group]]:
    """The groups that a field may hold: a single one, or those of a union; none for a tuple."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Group) else []
    # A tuple of groups (stages) has no fixed leaves; its items are addressed by number.
    if getattr(annotation, "__origin__", None) in (tuple, dict, list):
        return []
    return [group for part in getattr(annotation, "__args__", ()) for group in groups_in(part)]


# Every recipe that is created asks for it, and a class's fields never change.
@cache
def leaves(model: type[Group]) -> dict[str, Leaf]:
    """Settings of a model's groups by name; those of a group without a section are left out."""
    result: dict[str, Leaf] = {}
    for name, field in model.model_fields.items():
        for group in groups_in(field.annotation):
            if group.section:
                result |= _leaves_of(group, (name,))
    return result


def _leaves_of(group: type[Group], path: tuple[str, ...]) -> dict[str, Leaf]:
    result: dict[str, Leaf] = {}
    for name, field in group.model_fields.items():
        # `type` and the primary setting are given by the group's own name, as in --backbone vgg16.
        if name in ("type", group.primary):
            continue
        more = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        section = str(more.get("section", group.section))
        if not section:  # for files of settings only
            continue
        result[name] = Leaf((*path, name), field, section)
        for inner in groups_in(field.annotation):
            if inner.section:
                result |= _leaves_of(inner, (*path, name))
    return result


def nested(model: type[Group], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nest settings in their groups.

    Args:
        model: The recipe's class.
        settings: By name; groups as mappings or models.

    Raises:
        BadConfiguration: A setting is given twice, in its group and without it.
    """
    result: dict[str, Any] = {}
    known = leaves(model)
    for name, value in settings.items():
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        # Unknown names pass: pydantic reports them with the valid ones.
        if name in model.model_fields or name not in known:
            value = _as_mapping(model, name, value)
            result[name] = _joined(result.get(name), value, name)
            continue
        *path, last = known[name].path
        inner = groups_in(known[name].field.annotation)
        if inner and inner[0].primary and not isinstance(value, Mapping | None):
            value = {inner[0].primary: value}
        value = {last: value}
        for part in reversed(path[1:]):
            value = {part: value}
        result[path[0]] = _joined(result.get(path[0]), value, name)
    return result


def _as_mapping(model: type[Group], name: str, value: Any) -> Any:
    """``"vgg16"`` as ``{"name": "vgg16"}``, for a group that one word can say."""
    if name == "method" and isinstance(value, str):
        return from_text(value)
    field = model.model_fields.get(name)
    groups = groups_in(field.annotation) if field else []
    if isinstance(value, str | Path) and groups and groups[0].primary:
        return {groups[0].primary: str(value)}
    return value


def _joined(first: Any, second: Any, name: str) -> Any:
    if first is None:
        return second
    # Silently taking one of two values would hide a mistake.
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        raise BadConfiguration(
            f"{name} is given twice, in its group and without it. Give it in one place; a group "
            "such as Image(...) holds all of its settings."
        )
    result = dict(first)
    for key, value in second.items():
        result[key] = _joined(result.get(key), value, key)
    return result


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """All settings with some changed; of a group that is given in part the others stay.

    Args:
        settings: All of them, nested.
        changes: New values, nested likewise; unchecked. A group of another ``type`` replaces the
            old one, and so do several objectives by name.
    """
    result = dict(settings)
    for name, value in changes.items():
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        old = result.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and name not in USER_NAMES:
            # Settings of another type must not survive: those of bagging would be refused in
            # distill.
            replaces = name == "objective" and "type" not in value and several(value)
            value = merged(old, value) if not replaces and _same_type(old, value) else value
        result[name] = value
    return result


def _same_type(old: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """Whether a mapping changes some settings of a group instead of replacing it."""
    if "type" not in old:
        return "type" not in value
    return value.get("type", old["type"]) == old["type"]


def differences(one: Any, other: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Differences of two nested settings: dotted path, first value, second value."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return [
            result
            for key in {**one, **other}
            for result in differences(one.get(key), other.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if one == other else [(path, one, other)]


def with_setting(settings: dict[str, Any], assignment: str) -> dict[str, Any]:
    """Apply one ``path=value`` of the command line, such as ``stages.0.epochs=3``.

    Args:
        settings: All settings, nested; not changed.
        assignment: A dotted path to a setting, ``=``, and a value in YAML; ``*`` in the path means
            all items of a list, as in ``stages.*.ema=0.99``. The name of a group may be left out.

    Raises:
        BadConfiguration: There is no ``=``, or the value is not YAML.
        UnknownName: There is no such setting.
    """
    path, equals, text = assignment.partition("=")
    if not equals:
        raise BadConfiguration(f"--set {assignment}: should be KEY=VALUE, e.g. head.dropout=0.5.")
    try:
        # YAML, so that numbers, lists and null need no rule of their own.
        value = load_yaml(text)
    except yaml.YAMLError as error:
        raise BadConfiguration(f"--set {assignment:.100}: the value is not YAML: {error}") from None
    if path.count(".") > DEPTH:
        raise BadConfiguration(f"--set {assignment:.100}: no setting has more than {DEPTH} levels.")
    # Shorthand is applied later, to all stages at once.
    if path.strip() in SHORTHAND:
        return {**settings, path.strip(): value}
    return _placed(settings, path.strip().split("."), value, assignment)


def _placed(tree: Any, path: list[str], value: Any, assignment: str) -> Any:
    """A copy of the tree with another value at a path."""
    if not path:
        return value
    first, *rest = path
    if isinstance(tree, list):
        names = ["*", *(str(i) for i in range(len(tree)))]
        if first not in names:
            raise UnknownName("setting", assignment.partition("=")[0], names)
        return [
            _placed(item, rest, value, assignment) if first in ("*", str(i)) else item
            for i, item in enumerate(tree)
        ]
    if not isinstance(tree, dict):
        tree = {}  # such as class_weight.cat=2 where there was none; the type is checked later
    # An empty mapping, such as class_weight, may get any name.
    if tree and first not in tree:
        hidden = _find(tree, first)
        if hidden:
            return _placed(tree, [*hidden, *rest], value, assignment)
        if rest:
            raise UnknownName("setting", first, tree)
    return {**tree, first: _placed(tree.get(first), rest, value, assignment)}


def full_path(settings: Mapping[str, Any], path: str) -> list[str]:
    """The parts of a dotted path, groups that were left out included.

    Args:
        settings: All settings, nested.
        path: As in ``--set``; unknown names stay as they are.
    """
    first, *others = path.split(".")
    if first in settings:
        tree: Any = settings[first]
        if isinstance(tree, list) and len(others) > 1:
            item, name, *rest = others
            inner = [] if not tree or name in tree[0] else _find(tree[0], name)
            return [first, item, *(inner or [name]), *rest]
        return [first, *others]
    return [*(_find(settings, first) or [first]), *others]


def _find(tree: Mapping[str, Any], name: str) -> list[str]:
    """Path to a setting inside the groups of a tree; empty where there is none."""
    for key, value in tree.items():
        # Names that users choose are no settings; those of Split keep their group, as in `leaves`.
        if isinstance(value, dict) and key not in (*USER_NAMES, "split"):
            if name in value:
                return [key, name]
            inner = _find(value, name)
            if inner:
                return [key, *inner]
    return []


def read_options(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings; groups may be nested, as ``show`` prints them.

    Raises:
        BadConfiguration: The file cannot be read, or is not a YAML mapping.
    """
    try:
        options = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path} is not YAML: {error}") from None
    # YAML reads `on:` and `1:` as a bool and a number.
    if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
        raise BadConfiguration(
            f"{path} should hold `setting: value` lines, as `kt-recipe show` prints."
        )
    return options

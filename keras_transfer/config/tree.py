"""Settings as nested mappings: find, merge and change them by name or dotted path.

A setting of a group may be given without its group where the name is unique: ``image_size=96`` is
``input={"image_size": 96}``, and ``backbone="vgg16"`` is ``backbone={"name": "vgg16"}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    "completed_types",
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
    return {leaf.path[-1]: leaf for leaf in _all_leaves(model)}


@cache
def _inner_groups(model: type[Group]) -> dict[str, Leaf]:
    """Those leaves that are groups, which a plain setting of another group may be called like."""
    leaves = [leaf for leaf in _all_leaves(model) if groups_in(leaf.field.annotation)]
    return {leaf.path[-1]: leaf for leaf in leaves}


def _all_leaves(model: type[Group]) -> Iterator[Leaf]:
    for name, field in model.model_fields.items():
        for group in groups_in(field.annotation):
            if group.section:
                yield from _leaves_of(group, (name,))


def _leaves_of(group: type[Group], path: tuple[str, ...]) -> Iterator[Leaf]:
    for name, field in group.model_fields.items():
        # `type` and the primary setting are given by the group's own name, as in --backbone vgg16.
        if name in ("type", group.primary):
            continue
        more = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        section = str(more.get("section", group.section))
        if not section:  # for files of settings only
            continue
        yield Leaf((*path, name), field, section)
        for inner in groups_in(field.annotation):
            if inner.section:
                yield from _leaves_of(inner, (*path, name))


def nested(model: type[Group], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nest settings in their groups.

    Args:
        model: The recipe's class.
        settings: By name; groups as mappings or models.

    Raises:
        BadConfiguration: A setting is given twice, in its group and without it.
    """
    result: dict[str, Any] = {}
    every, groups = leaves(model), _inner_groups(model)
    for name, value in settings.items():
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        known = {**every, **groups} if isinstance(value, Mapping) else every
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


def completed_types(model: type[Group], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which a group that names its type has the defaults of what it leaves out.

    Args:
        model: The recipe's class.
        settings: By name, nested; unchecked.
    """
    result = dict(settings)
    for name, value in settings.items():
        field = model.model_fields.get(name)
        if field is None or not isinstance(value, Mapping) or "type" not in value:
            continue
        for group in groups_in(field.annotation):
            kind = group.model_fields.get("type")
            if kind is not None and kind.default == value["type"]:
                result[name] = {**_defaults(group), **value}
    return result


def _defaults(group: type[Group]) -> dict[str, Any]:
    fields = {n: field for n, field in group.model_fields.items() if not field.is_required()}
    values = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
    return {
        n: v.model_dump(mode="json") if isinstance(v, BaseModel) else v for n, v in values.items()
    }


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
        hidden = _find(tree, first, group=bool(rest))
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
            inner = [] if not tree or name in tree[0] else _find(tree[0], name, bool(rest))
            return [first, item, *(inner or [name]), *rest]
        return [first, *others]
    return [*(_find(settings, first, bool(others)) or [first]), *others]


def _find(tree: Mapping[str, Any], name: str, group: bool = False) -> list[str]:
    """Path to a setting inside the groups of a tree; empty where there is none.

    Args:
        tree: Settings.
        name: Of the setting.
        group: Whether a setting of it is meant, as in ``threshold.recall``.
    """
    if not (found := _places(tree, name)):
        return []
    # The nearest one: `precision` is that of the runtime, not of objective.threshold.
    return min(found, key=lambda row: (isinstance(row[1], dict) != group, len(row[0])))[0]


def _places(tree: Mapping[str, Any], name: str) -> list[tuple[list[str], Any]]:
    """All paths to settings of a name inside groups, each with the setting's value."""
    # Names that users choose are no settings; those of Split keep their group, as in `leaves`.
    groups = {
        key: value
        for key, value in tree.items()
        if isinstance(value, dict) and key not in (*USER_NAMES, "split")
    }
    found = [([key, name], value[name]) for key, value in groups.items() if name in value]
    for key, value in groups.items():
        found += [([key, *path], inner) for path, inner in _places(value, name)]
    return found


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

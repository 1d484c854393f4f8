"""What every kind of recipe shares: frozen settings, changed copies, and the way into a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError
from typing_extensions import Self

from keras_transfer import catalog, runs
from keras_transfer.data import sources
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.group import Group

__all__ = ["Recipe", "merged", "read_options", "with_setting"]


class Recipe(Group):
    """A frozen value that says what to train; base of all kinds.

    A kind adds its settings as fields and tells the story of its run in ``train``.
    """

    data: str = Field(description="DIR, FILE.csv, FILE.npz, tfds:NAME or sklearn:digits")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of everything that is drawn")

    def __init__(self, **settings: Any):
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise readable(error, type(self)) from None

    def changed(self, **settings: Any) -> Self:
        """A copy with other values of some settings.

        Args:
            settings: New values by name. A mapping for a group (``head={"dropout": 0.2}``)
                changes those it names and leaves the others of the group.

        Raises:
            UnknownName: No setting is called so.
            BadConfiguration: A value that its setting does not take.
        """
        return type(self)(**merged(self.settings(), settings))

    def settings(self) -> dict[str, Any]:
        """All settings with their values, in plain JSON types."""
        return self.model_dump(mode="json")

    def run(
        self,
        data: Any = None,
        *,
        out: str | Path | None = None,
        resume: bool = False,
        name: str | None = None,
        **settings: Any,
    ) -> runs.Run:
        """Train what the recipe says, with some settings changed, in a new run folder.

        Args:
            data: A spec as in the setting ``data``, or arrays ``(x, y)``; the recipe's own if None.
            out: The run folder; ``runs/<recipe>/<n>`` if None.
            resume: Go on with an interrupted run: that of ``out``, or the last one of this
                recipe. Its stored settings hold.
            name: Of the recipe, in the path of its run folder; its module's if None.
            settings: Changed for this run.

        Returns:
            The finished run.

        Raises:
            TransferError: Of the kind that says what to mend; see ``keras_transfer.errors``.
        """
        if data is not None:
            settings["data"] = sources.describe(data)
        name = name or catalog.name_of(self)
        if resume:
            folder = runs.interrupted(name, out)
            changed = self.stored_in(folder)
            changed._check_same(changed.changed(**settings))
        else:
            changed = self.changed(**settings)
            folder = runs.new_folder(name, out, not_inside=changed.data)
        changed.run_in(folder, name, changed.data if data is None else data)
        return runs.Run(folder)

    def stored_in(self, folder: Path) -> Self:
        """The recipe that the run in a folder was started with."""
        return self.changed(**runs.stored_settings(folder))

    def _check_same(self, asked: Self) -> None:
        """Refuse to go on with other settings than the run began with."""
        began, now = self.settings(), asked.settings()
        differing = [
            f"{setting} = {began[setting]!r}, not {now[setting]!r}"
            for setting in now
            if began[setting] != now[setting]
        ]
        if differing:
            raise BadConfiguration(
                f"The interrupted run has {', '.join(differing)}. Resume it without these options, "
                "or start a new run without --resume."
            )

    def run_in(self, folder: Path, name: str, source: Any) -> None:
        """Run in this folder, which holds nothing or an interrupted run of the same recipe."""
        with runs.recording(folder, name, type(self).__name__, self.settings()) as metadata:
            metadata.update(self.train(folder, source))

    def train(self, folder: Path, source: Any) -> dict[str, Any]:
        """Tell the story of the run: check, read, train, evaluate, write.

        Args:
            folder: Where everything goes that the run writes.
            source: The data: a spec string or arrays.

        Returns:
            What ``run.json`` says of the run beside settings and versions: "seconds", "data".
        """
        raise NotImplementedError


FREE = ("class_weight", "variant")
"""Settings that are mappings of the user's own names; a new one replaces the old one whole."""


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """All settings with some changed; of a group that is named in part the others stay.

    Args:
        settings: As ``Recipe.settings`` gives them.
        changes: New values, nested likewise; unchecked.
    """
    found = dict(settings)
    for name, value in changes.items():
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        known = found.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping) and name not in FREE:
            value = merged(known, value)
        found[name] = value
    return found


def readable(error: ValidationError, kind: type[BaseModel]) -> BadConfiguration:
    """The first thing that pydantic minds, in our words."""
    # Names before values; of the branches of a union, the one that came nearest.
    first = max(error.errors(), key=lambda one: (one["type"] == "extra_forbidden", len(one["loc"])))
    path = [part for part in first["loc"] if isinstance(part, int) or part.isidentifier()]
    where = ".".join(map(str, path))
    if first["type"] == "extra_forbidden":
        return UnknownName("setting", where, _setting_names(kind, path[:-1]))
    if first["type"] == "literal_error":
        allowed = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return UnknownName(f"value of {where}", first["input"], allowed)
    if first["type"] == "missing":
        return BadConfiguration(f"The setting {where} is not given, and has no default.")
    if first["type"] == "value_error":
        return BadConfiguration(f"{where or kind.__name__}: {first['ctx']['error']}.")
    return BadConfiguration(f"{where} = {first['input']!r}: {first['msg'].lower()}.")


def _setting_names(kind: type[BaseModel], path: list[Any]) -> list[str]:
    """Names beside the last part of a path, with the path before them."""
    before = "".join(f"{part}." for part in path)
    group = _group_at(kind, [part for part in path if isinstance(part, str)])
    return [before + name for name in group.model_fields]


def _group_at(kind: type[BaseModel], names: list[str]) -> type[BaseModel]:
    for name in names:
        inner = [one for one in _types_in(kind.model_fields[name].annotation)]
        kind = next(one for one in inner if isinstance(one, type) and issubclass(one, BaseModel))
    return kind


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for one in getattr(annotation, "__args__", ()):
        yield from _types_in(one)


def read_options(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings; groups may be nested, as ``show`` prints them.

    Raises:
        BadConfiguration: The file is not there, or is no YAML mapping.
    """
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path} is not YAML: {error}") from None
    if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
        raise BadConfiguration(
            f"{path} should hold `setting: value` lines, as `kt-recipe show` prints."
        )
    return options


def with_setting(settings: dict[str, Any], assignment: str) -> dict[str, Any]:
    """Apply one ``path=value`` of the command line, such as ``stages.0.epochs=3``.

    Args:
        settings: All settings, nested, as ``Recipe.settings`` gives them; stays as it is.
        assignment: A dotted path to a setting, ``=``, and a value in YAML; ``*`` in the path stands
            for all of a list, as in ``stages.*.ema=0.99``.

    Raises:
        BadConfiguration: There is no ``=``, or the value is no YAML.
        UnknownName: The path leads nowhere.
    """
    path, equals, text = assignment.partition("=")
    if not equals:
        raise BadConfiguration(
            f"--set {assignment}: should be KEY=VALUE, such as head.dropout=0.5."
        )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadConfiguration(f"--set {assignment}: the value is not YAML: {error}") from None
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
            _placed(one, rest, value, assignment) if first in ("*", str(i)) else one
            for i, one in enumerate(tree)
        ]
    if not isinstance(tree, dict):
        tree = {}  # such as class_weight.cat=2 where it was "auto"; its type is checked later
    if rest and tree and first not in tree:
        raise UnknownName("setting", first, tree)
    return {**tree, first: _placed(tree.get(first), rest, value, assignment)}

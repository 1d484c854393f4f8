"""``kt-recipe run NAME``: options are the recipe's own settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import click
import yaml
from click.shell_completion import CompletionItem

from keras_transfer import catalog
from keras_transfer.cli.completion import values
from keras_transfer.cli.dry_run import print_dry_run
from keras_transfer.cli.seeds import over_seeds
from keras_transfer.config.shorthand import SHORTHAND
from keras_transfer.config.tree import (
    completed_types,
    groups_in,
    leaves,
    merged,
    nested,
    read_options,
    with_setting,
)
from keras_transfer.config.upgrade import upgraded
from keras_transfer.config.yaml_values import load_yaml
from keras_transfer.errors import BadConfiguration
from keras_transfer.group import Group
from keras_transfer.runs import interrupted
from keras_transfer.runs.series import interrupted_series
from keras_transfer.workflows.recipe import Recipe

__all__ = [
    "Recipes",
    "SectionedCommand",
    "SettingOption",
    "chosen",
    "run",
    "run_options",
    "setting_options",
]


class Recipes(click.Group):
    """One subcommand a recipe; it is imported only when it is asked for.

    Args:
        make: Makes the subcommand from the recipe's name and module; that of ``run`` if None.
        attrs: As click's groups take them.
    """

    def __init__(
        self, *, make: Callable[[str, ModuleType], click.Command] | None = None, **attrs: Any
    ):
        super().__init__(**attrs)
        self.make = make

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all installed recipes."""
        return list(catalog.loadable())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Make the subcommand of a recipe, or of a recipe's file.

        Raises:
            UnknownName: There is no such recipe.
        """
        # The stem of a file names its runs, as the module's name does for an installed recipe.
        return (self.make or _command)(Path(cmd_name).stem, catalog.find(cmd_name))


@click.group(cls=Recipes, subcommand_metavar="NAME [OPTIONS]")
def run() -> None:
    """Train a recipe, by its name or its .py file; `run NAME --help` lists its options.

    A .py file is a program, and all of it is run: read the files of others before.
    """


def _command(name: str, module: ModuleType) -> click.Command:
    def act(**given: Any) -> None:
        _run(name, module.recipe, given)

    seeds = click.Option(
        ["--seeds"], type=int, help="repeat by so many seeds on one split; see docs/comparing.md"
    )
    dry = click.Option(
        ["--dry-run"], is_flag=True, help="check, and say what a run would do, without training"
    )
    return SectionedCommand(
        name,
        callback=act,
        params=[seeds, dry, _track(), *run_options(), *setting_options(module.recipe)],
        help=module.__doc__,
        short_help=catalog.summary(module),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _track() -> click.Option:
    return SettingOption(
        ["--track"],
        multiple=True,
        metavar="mlflow|wandb|tensorboard|none",
        help="tell a tracker of the run; several by a comma; see docs/tracking.md",
    )


def run_options() -> list[click.Parameter]:
    """Options that say how to run, not what."""
    return [
        click.Option(["--out"], type=click.Path(), help="run folder  [runs/<recipe>/<n>]"),
        click.Option(["--resume"], is_flag=True, help="go on with an interrupted run"),
        click.Option(
            ["-c", "--config"], type=click.Path(), help="YAML file of settings; other options win"
        ),
        click.Option(
            ["--set", "assignments"],
            multiple=True,
            metavar="KEY=VALUE",
            help="any setting, such as head.dropout=0.5 or stages.0.epochs=3; `show` lists them",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="print one JSON document"),
    ]


def setting_options(recipe: Recipe) -> list[click.Parameter]:
    """An option for each setting that one word can say; the others are for --set and -c."""
    model = type(recipe)
    options = [_main_option(name, recipe) for name in model.model_fields]
    options += [
        _option(name, row.type, row.description, "Training") for name, row in SHORTHAND.items()
    ]
    for name, leaf in leaves(model).items():
        owner: Any = recipe
        for part in leaf.path[:-1]:
            owner = getattr(owner, part, None)
        # Alternatives, such as objectives, may mean different things by one name.
        field = getattr(type(owner), "model_fields", {}).get(name, leaf.field)
        # Help shows the recipe's own values: the defaults of the class may differ.
        default = "required" if leaf.field.is_required() else leaf.field.default
        described = field.description or name.replace("_", " ")
        text = f"{described}  [{_shown(getattr(owner, name, default))}]"
        options.append(_option(name, field.annotation, text, leaf.section))
    return [option for option in options if option is not None]


def _main_option(name: str, recipe: Recipe) -> click.Option | None:
    """Of a setting of the recipe itself: a plain one, or the main one of a group."""
    field, value = type(recipe).model_fields[name], getattr(recipe, name)
    annotation: Any = field.annotation
    main = getattr(value, "primary", "")
    if main:
        section, alternatives = value.section, groups_in(annotation)
        inner = type(value).model_fields[main]
        text, value, annotation = inner.description, getattr(value, main), inner.annotation
        if main == "type":
            # By type all alternatives can be chosen, not just the one that the recipe has.
            names = tuple(group.model_fields["type"].default for group in alternatives)
            text, annotation = field.description, Literal[names]
    else:
        more = field.json_schema_extra
        section = str(more["section"]) if isinstance(more, dict) and "section" in more else ""
        text = field.description
        if name in WORDS:
            annotation, value = str, WORDS[name](value)
    if not section:
        return None
    return _option(name, annotation, f"{text}  [{_shown(value)}]", section)


WORDS: dict[str, Callable[[Any], str]] = {
    "method": lambda value: (
        ":".join(str(said) for _, said in value) if value.example else value.type
    ),
    "baselines": lambda value: ",".join(value) or "none",
    "fuse": lambda value: ",".join(value) or "none",
}
"""Settings that are more than a word, but may be given in one."""


class SettingOption(click.Option):
    """An option that is listed under a heading.

    Args:
        section: The heading.
        given: What click's option takes.
    """

    def __init__(self, *given: Any, section: str = "Output", **more: Any):
        super().__init__(*given, **more)
        self.section = section

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The values that can follow, for ``kt-recipe completion``."""
        return values(self, incomplete)


def _option(name: str, annotation: Any, text: str | None, section: str) -> click.Option | None:
    flag = "--" + name.replace("_", "-")
    if annotation in (bool, bool | None):
        # default=None: an option that is not given must not override a file of settings.
        return SettingOption([f"{flag}/--no-{flag[2:]}"], default=None, help=text, section=section)
    metavar = _metavar(annotation)
    if not metavar:
        return None
    # No click type: values stay text, which pydantic reads, so options and files are checked alike.
    return SettingOption([flag], metavar=metavar, help=text, section=section)


SECTIONS = (
    *("Data", "Network", "Training", "Domain adaptation"),
    *("Augmentation", "Imbalance", "Runtime", "Output"),
)


class SectionedCommand(click.Command):
    """A command whose help lists its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list of options for each section."""
        rows: dict[str, list[tuple[str, str]]] = {name: [] for name in SECTIONS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                rows[getattr(parameter, "section", "Output")].append(record)
        for name, records in rows.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return json.dumps(value) if isinstance(value, dict | tuple | list) else str(value)


def _metavar(annotation: Any) -> str:
    """What an option's value looks like; empty for settings that are more than a word."""
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Group) and annotation.primary:
        return _metavar(annotation.model_fields[annotation.primary].annotation)
    words = {str: "TEXT", int: "INT", float: "FLOAT", bool: "FLAG"}
    if annotation in words:
        return words[annotation]
    origin = get_origin(annotation)
    if origin is tuple or origin is dict:
        return ""
    found = [word for part in get_args(annotation) if (word := _metavar(part))]
    if "FLOAT" in found:  # other numbers are numbers of that type too
        found = [word for word in found if word != "INT" and not word.isdecimal()]
    return "|".join(dict.fromkeys(found))


def chosen(base: Recipe, given: dict[str, Any]) -> Recipe:
    """The recipe with what the command line says of its settings: file, options, --set, in turn.

    What they say is put together before any of it is checked.
    """
    config, assignments = given.pop("config"), given.pop("assignments")
    said = {setting: _value(text) for setting, text in given.items() if text is not None}
    baselines = getattr(base, "baselines", ())
    file = upgraded(read_options(Path(config)), baselines) if config else {}
    # All together first: two settings may only be valid with each other.
    settings = {**base.settings(), **_short(file)}
    for changes in (file, said):
        settings = merged(settings, nested(type(base), _long(changes)))
        settings |= _short(changes)
    if assignments:  # a setting inside a group of another type than the recipe's
        settings = completed_types(type(base), settings)
    for assignment in assignments:
        settings = with_setting(settings, assignment)
    return base.changed(**settings)


def _short(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that stand for one of every stage."""
    return {name: value for name, value in settings.items() if name in SHORTHAND}


def _long(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in SHORTHAND}


def _run(name: str, recipe: Recipe, given: dict[str, Any]) -> None:
    out, resume, as_json, seeds = (given.pop(key) for key in ("out", "resume", "as_json", "seeds"))
    how = {"out": out, "resume": resume, "track": given.pop("track")}
    if given.pop("dry_run"):
        if resume or seeds is not None:
            raise BadConfiguration("--dry-run is for a new run: leave --resume and --seeds out.")
        print_dry_run(name, chosen(recipe, given), out=out, track=how["track"], as_json=as_json)
        return
    if seeds is not None:
        base = recipe.stored_in(interrupted_series(name, "seeds", out)) if resume else recipe
        over_seeds(name, chosen(base, given), seeds, as_json=as_json, **how)
        return
    # The stored settings are the base: options that are not repeated keep their values.
    base = recipe.stored_in(interrupted(name, out)) if resume else recipe
    settings = chosen(base, given).settings()
    done = recipe.run(name=name, **how, **settings)
    if as_json:
        splits = {split: done.metrics[split] for split in ("test", "val")}
        document: dict[str, Any] = {
            "recipe": name,
            "run": str(done.folder),
            "metrics": splits,
            "baselines": done.metrics["baselines"],
            "seconds": done.metadata["seconds"],
        }
        if "adaptation" in done.metrics:
            document["adaptation"] = done.metrics["adaptation"]
        json.dump(document, sys.stdout, ensure_ascii=False)
        click.echo()
    else:
        click.echo(done.report())


def _value(text: Any) -> Any:
    """A mapping where the text is one, such as {cat: 2}; the text itself otherwise."""
    if not isinstance(text, str) or not text.startswith("{"):
        return text
    try:
        # BaseLoader keeps texts: a class called "no" must not become a bool.
        return load_yaml(text, yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise BadConfiguration(
            f"{text:.100} is not a mapping such as {{cat: 2}}: {error}"
        ) from None

"""``kt-recipe run NAME``: options are the recipe's own knobs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import click
import yaml

from keras_transfer import catalog
from keras_transfer.errors import BadConfiguration
from keras_transfer.kinds.recipe import Recipe, read_options, with_setting
from keras_transfer.runs import interrupted

__all__ = ["run"]


class Recipes(click.Group):
    """One subcommand a recipe; it is imported only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all installed recipes."""
        return list(catalog.loadable())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Make the subcommand of a recipe, or of a recipe's file.

        Raises:
            UnknownName: There is no such recipe.
        """
        return _command(Path(cmd_name).stem, catalog.find(cmd_name))


@click.group(cls=Recipes, subcommand_metavar="NAME [OPTIONS]")
def run() -> None:
    """Train a recipe, by its name or its .py file; `run NAME --help` lists its options."""


def _command(name: str, module: ModuleType) -> click.Command:
    def act(**given: Any) -> None:
        _run(name, module.recipe, given)

    return click.Command(
        name,
        callback=act,
        params=[*_run_options(), *_knob_options(module.recipe)],
        help=module.__doc__,
        short_help=catalog.summary(module),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _run_options() -> list[click.Parameter]:
    """Options that say how to run, not what."""
    return [
        click.Option(["--out"], type=click.Path(), help="run folder  [runs/<recipe>/<n>]"),
        click.Option(["--resume"], is_flag=True, help="go on with an interrupted run"),
        click.Option(
            ["-c", "--config"], type=click.Path(), help="YAML file of knobs; other options win"
        ),
        click.Option(
            ["--set", "settings"],
            multiple=True,
            metavar="KEY=VALUE",
            help="any knob, such as head.dropout=0.5 or stages.0.epochs=3; `show` lists them",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="print one JSON document"),
    ]


def _knob_options(recipe: Recipe) -> list[click.Parameter]:
    """An option for each knob that one word can say; the others are for --set and -c."""
    return [
        _option(name, field.annotation, f"{field.description}  [{_shown(getattr(recipe, name))}]")
        for name, field in type(recipe).model_fields.items()
        if _metavar(field.annotation)
    ]


def _option(name: str, annotation: Any, text: str) -> click.Option:
    flag = "--" + name.replace("_", "-")
    if annotation is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}"], default=None, help=text)
    return click.Option([flag], metavar=_metavar(annotation), help=text)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _metavar(annotation: Any) -> str:
    """What an option's value looks like; empty for knobs that are more than a word."""
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    words = {str: "TEXT", int: "INT", float: "FLOAT", bool: "FLAG"}
    if annotation in words:
        return words[annotation]
    origin = get_origin(annotation)
    if origin is tuple or origin is dict:
        return ""
    return next((found for one in get_args(annotation) if (found := _metavar(one))), "")


def _run(name: str, recipe: Recipe, given: dict[str, Any]) -> None:
    out, resume, config, settings, as_json = (
        given.pop(key) for key in ("out", "resume", "config", "settings", "as_json")
    )
    base = recipe.stored_in(interrupted(name, out)) if resume else recipe
    said = {knob: _value(text) for knob, text in given.items() if text is not None}
    knobs = base.changed(**read_options(Path(config)) if config else {}).changed(**said).knobs()
    for setting in settings:
        knobs = with_setting(knobs, setting)
    knobs = base.changed(**knobs).knobs()
    done = recipe.run(out=out, resume=resume, name=name, **knobs)
    if as_json:
        parts = {part: done.metrics[part] for part in ("test", "val")}
        document = {
            "recipe": name,
            "run": str(done.folder),
            "metrics": parts,
            "baselines": done.metrics["baselines"],
            "seconds": done.about["seconds"],
        }
        json.dump(document, sys.stdout, ensure_ascii=False)
        click.echo()
    else:
        click.echo(done.report())


def _value(text: Any) -> Any:
    """A mapping where the text is one, such as {cat: 2}; the text itself otherwise."""
    if not isinstance(text, str) or not text.startswith("{"):
        return text
    try:
        return yaml.load(text, yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise BadConfiguration(f"{text} is not a mapping such as {{cat: 2}}: {error}") from None

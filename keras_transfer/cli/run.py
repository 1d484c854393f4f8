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

from keras_transfer import catalog
from keras_transfer.config.recipe import Recipe, merged, read_options, with_setting
from keras_transfer.errors import BadConfiguration
from keras_transfer.runs import interrupted

__all__ = ["Recipes", "chosen", "run", "run_options", "setting_options"]


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
        return (self.make or _command)(Path(cmd_name).stem, catalog.find(cmd_name))


@click.group(cls=Recipes, subcommand_metavar="NAME [OPTIONS]")
def run() -> None:
    """Train a recipe, by its name or its .py file; `run NAME --help` lists its options."""


def _command(name: str, module: ModuleType) -> click.Command:
    def act(**given: Any) -> None:
        _run(name, module.recipe, given)

    seeds = click.Option(
        ["--seeds"], type=int, help="repeat by so many seeds on one split; see docs/comparing.md"
    )
    return click.Command(
        name,
        callback=act,
        params=[seeds, *run_options(), *setting_options(module.recipe)],
        help=module.__doc__,
        short_help=catalog.summary(module),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
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
    """What an option's value looks like; empty for settings that are more than a word."""
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    words = {str: "TEXT", int: "INT", float: "FLOAT", bool: "FLAG"}
    if annotation in words:
        return words[annotation]
    origin = get_origin(annotation)
    if origin is tuple or origin is dict:
        return ""
    return next((found for one in get_args(annotation) if (found := _metavar(one))), "")


def chosen(base: Recipe, given: dict[str, Any]) -> Recipe:
    """The recipe with what the command line says of its settings: file, options, --set, in turn.

    What they say is put together before any of it is checked.
    """
    config, assignments = given.pop("config"), given.pop("assignments")
    said = {setting: _value(text) for setting, text in given.items() if text is not None}
    settings = merged(base.settings(), read_options(Path(config)) if config else {})
    settings = merged(settings, said)
    for assignment in assignments:
        settings = with_setting(settings, assignment)
    return base.changed(**settings)


def _run(name: str, recipe: Recipe, given: dict[str, Any]) -> None:
    out, resume, as_json, seeds = (given.pop(key) for key in ("out", "resume", "as_json", "seeds"))
    if seeds is not None:
        _repeat(name, recipe, given, seeds, out=out, resume=resume, as_json=as_json)
        return
    base = recipe.stored_in(interrupted(name, out)) if resume else recipe
    settings = chosen(base, given).settings()
    done = recipe.run(out=out, resume=resume, name=name, **settings)
    if as_json:
        splits = {split: done.metrics[split] for split in ("test", "val")}
        document = {
            "recipe": name,
            "run": str(done.folder),
            "metrics": splits,
            "baselines": done.metrics["baselines"],
            "seconds": done.metadata["seconds"],
        }
        json.dump(document, sys.stdout, ensure_ascii=False)
        click.echo()
    else:
        click.echo(done.report())


def _repeat(
    name: str,
    recipe: Recipe,
    given: dict[str, Any],
    seeds: int,
    *,
    out: str | None,
    resume: bool,
    as_json: bool,
) -> None:
    from keras_transfer.runs.series import interrupted_series
    from keras_transfer.studies.series import repeat

    base = recipe.stored_in(interrupted_series(name, "seeds", out)) if resume else recipe
    asked: Any = chosen(base, given)
    folder = repeat(asked, seeds, out=out, resume=resume, name=name)
    metadata = json.loads((folder / "series.json").read_text(encoding="utf-8"))
    if as_json:
        document = {
            "recipe": name,
            "run": str(folder),
            "runs": metadata["runs"],
            "metrics": {"test": metadata["metrics"]},
        }
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    click.echo(f"Test part by {seeds} seeds in {folder}")
    for metric, found in metadata["metrics"].items():
        low, high = found["interval"]
        click.echo(
            f"{metric.replace('_', ' '):<18} {found['mean']:.4f}  (standard deviation "
            f"{found['std']:.4f}, 95 % interval of the mean {low:.4f} to {high:.4f})"
        )


def _value(text: Any) -> Any:
    """A mapping where the text is one, such as {cat: 2}; the text itself otherwise."""
    if not isinstance(text, str) or not text.startswith("{"):
        return text
    try:
        return yaml.load(text, yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise BadConfiguration(f"{text} is not a mapping such as {{cat: 2}}: {error}") from None

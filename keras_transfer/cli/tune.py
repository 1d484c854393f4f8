"""``kt-recipe tune NAME``: search for the best values of some settings."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from keras_transfer import catalog
from keras_transfer.cli.run import Recipes, SectionedCommand, chosen, run_options, setting_options
from keras_transfer.csv_cells import read_cells
from keras_transfer.errors import BadConfiguration

__all__ = ["tune"]

SECONDS = {"s": 1, "m": 60, "h": 3600}


def _command(name: str, module: ModuleType) -> click.Command:
    def act(**given: Any) -> None:
        _tune(name, module.recipe, given)

    shared = [option for option in run_options() if option.name not in ("out", "resume")]
    return SectionedCommand(
        name,
        callback=act,
        params=[*_options(name), *shared, *setting_options(module.recipe)],
        help=f"Search for good settings of the recipe.\n\n{module.__doc__ or ''}",
        short_help=catalog.summary(module),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


@click.group(cls=Recipes, make=_command, subcommand_metavar="NAME [OPTIONS]")
def tune() -> None:
    """Search for good settings; the same command resumes an interrupted search."""


def _options(name: str) -> list[click.Parameter]:
    return [
        click.Option(
            ["--trials"],
            type=int,
            default=20,
            help="total number of trials, including earlier calls  [20]",
        ),
        click.Option(["--budget"], help="start no trial after this time, e.g. 90s, 10m or 2h"),
        click.Option(
            ["--search"],
            multiple=True,
            metavar="KEY=RANGE",
            help="LOW:HIGH, log:LOW:HIGH or A,B for any setting of --set  [lr, head.dropout "
            "and label_smoothing]",
        ),
        click.Option(["--out"], help=f"folder of the search  [runs/{name}/tune]"),
    ]


def _tune(name: str, base: Any, given: dict[str, Any]) -> None:
    from keras_transfer.studies.search import Search
    from keras_transfer.studies.spaces import read_space

    out, as_json, trials, budget, texts = (
        given.pop(key) for key in ("out", "as_json", "trials", "budget", "search")
    )
    if trials < 1:
        raise BadConfiguration(f"--trials {trials}: should be 1 or more.")
    seconds = _seconds(budget)
    recipe: Any = chosen(base, given)
    recipe.check_labelled("tune")
    # Only those that the user adds: the recipe's own are skipped by every trial anyway.
    if set(recipe.baselines) - set(base.baselines):
        raise BadConfiguration("baselines: trials train none for comparison, so leave it out.")
    # The folder has no number, because the same command resumes the search.
    search = Search(recipe, name, read_space(texts, recipe, base), Path(out or f"runs/{name}/tune"))
    best = search.run(trials, seconds)
    metrics = {"trial": best.number, search.monitor: best.value, "settings": best.values}
    if as_json:
        document = {"recipe": name, "folder": str(search.folder), "best": metrics}
        click.echo(json.dumps({**document, "trials": len(search.record.over)}, ensure_ascii=False))
        return
    click.echo(_table(search.folder / "trials.csv"))
    click.echo(f"\nThe best is trial {best.number}, a run in {search.folder / str(best.number)}.")
    called = str(click.get_current_context().info_name)  # the recipe's name, or its file
    command = ["kt-recipe", "run", called, "-c", str(search.folder / "best.yaml")]
    click.echo(f"Run it again: {shlex.join(command)}")


def _table(path: Path) -> str:
    """The table of trials in columns, without their reasons."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [[_short(cell) for cell in row[:-1]] for row in read_cells(file)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _short(cell: str) -> str:
    # Whole numbers, such as epochs, stay as they are.
    return f"{float(cell):.4g}" if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", cell) else cell


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match or float(match[1]) == 0:
        raise BadConfiguration(f"--budget {text}: should be a time such as 90s, 10m or 2h.")
    return float(match[1]) * SECONDS[match[2] or "s"]

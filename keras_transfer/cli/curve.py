"""``kt-recipe curve NAME``: learning curve over the number of examples, with extrapolation."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from keras_transfer import catalog
from keras_transfer.cli.run import Recipes, SectionedCommand, chosen, run_options, setting_options
from keras_transfer.errors import BadConfiguration

__all__ = ["curve"]

DEFAULT = "5%,10%,20%,50%"


def _command(name: str, module: ModuleType) -> click.Command:
    def act(**given: Any) -> None:
        _curve(name, module.recipe, given)

    own = [
        click.Option(
            ["--sizes"],
            default=DEFAULT,
            help=f"shares of the train split (5%), or examples of each class (20)  [{DEFAULT}]",
        ),
        click.Option(["--seeds"], type=int, default=1, help="runs of each size  [1]"),
    ]
    return SectionedCommand(
        name,
        callback=act,
        params=[*own, *run_options(), *setting_options(module.recipe)],
        help=f"Learning curve of the recipe.\n\n{module.__doc__ or ''}",
        short_help=catalog.summary(module),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


@click.group(cls=Recipes, make=_command, subcommand_metavar="NAME [OPTIONS]")
def curve() -> None:
    """Train on balanced subsets of several sizes and on all; the test split is the same."""


def _curve(name: str, recipe: Any, given: dict[str, Any]) -> None:
    from keras_transfer.studies.curves import learning_curve

    sizes, seeds, out, resume, as_json = (
        given.pop(key) for key in ("sizes", "seeds", "out", "resume", "as_json")
    )
    values = [_size(size.strip()) for size in sizes.split(",")]
    # Resumed from what is stored, so options need not be given again; others are refused.
    recipe = chosen(_stored(name, recipe, out) if resume else recipe, given)
    folder = learning_curve(recipe, values, seeds=seeds, out=out, resume=resume, name=name)
    metadata = json.loads((folder / "series.json").read_text(encoding="utf-8"))
    if as_json:
        keys = ("recipe", "outputs", "points", "baselines", "doubling")
        shown = {key: metadata[key] for key in keys if key in metadata}
        click.echo(json.dumps({**shown, "curve": str(folder)}, ensure_ascii=False))
    else:
        click.echo(_report(folder, metadata))


def _stored(name: str, recipe: Any, out: str | None) -> Any:
    from keras_transfer.runs.series import interrupted_series

    return recipe.stored_in(interrupted_series(name, "curve", out))


def _size(text: str) -> float | int:
    """0.05 for "5%", 20 for "20"."""
    try:
        # The type tells them apart: 1.0 is all images, 1 is one of each class.
        return float(text[:-1]) / 100 if text.endswith("%") else int(text)
    except ValueError:
        raise BadConfiguration(
            f"--sizes: {text!r} is not a size; 5% is a share of the train split, 20 are "
            "examples of each class."
        ) from None


def _report(folder: Path, metadata: dict[str, Any]) -> str:
    lines = [f"Learning curve in {folder}"]
    for name, found in metadata.get("outputs", {"": metadata}).items():
        lines += [f"\nOutput {name}"] * bool(name)
        lines += [_table(found), _doubling(found["doubling"])]
    return "\n".join(lines)


def _table(found: dict[str, Any]) -> str:
    """A row for each size and one for the baseline; of the first metric also the interval."""
    from keras_transfer.evaluation.layout import aligned, metric_text, title

    points = found["points"]
    first, *others = [
        name for name in points[0] if name != "examples" and not name.endswith("_interval")
    ]
    rows = [["examples", title(first), "95 % interval", *map(title, others)]]
    for point in points:
        bounds = point[f"{first}_interval"]
        interval = "-" if bounds is None else " to ".join(metric_text(first, b) for b in bounds)
        beside = [metric_text(name, point[name]) for name in others]
        number = f"{point['examples']:,}"
        rows.append([number, metric_text(first, point[first]), interval, *beside])
    for name, metrics in found["baselines"].items():
        value, *beside = (metric_text(key, metrics.get(key)) for key in (first, *others))
        rows.append([f"baseline ({name})", value, "", *beside])
    return aligned(rows)


def _doubling(doubling: dict[str, Any]) -> str:
    if "refused" in doubling:
        return f"No estimate for twice the examples: {doubling['refused']}."
    low, high = doubling["interval"]
    return (
        f"Twice the examples would add {doubling['gain']:.3f} (95 % interval {low:.3f} to "
        f"{high:.3f}) to the accuracy, if the power law still holds there."
    )

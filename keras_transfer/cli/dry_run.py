"""``kt-recipe run NAME --dry-run``: print what a run would do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from keras_transfer.runs.directory import check_free
from keras_transfer.tracking.table import chosen

__all__ = ["print_dry_run"]

UNITS = ((3600, "h"), (60, "min"), (1, "s"))


def print_dry_run(
    name: str, recipe: Any, *, out: str | None, track: Sequence[str], as_json: bool
) -> None:
    """Do what a run does before it trains, and print what would follow.

    Args:
        name: Name of the recipe.
        recipe: With the settings of the command line.
        out: The run directory that is asked for, or None; it is not made.
        track: Trackers of the run; nothing is sent to them.
        as_json: Whether to print one JSON document.
    """
    from keras_transfer.workflows.dry_run import dry_run

    check_free(out, recipe.data.source)
    chosen(track)
    document = dry_run(recipe, name)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    for line in _lines(document):
        click.echo(line)


def _lines(document: dict[str, Any]) -> Iterator[str]:
    from keras_transfer.evaluation.layout import aligned

    yield f"Dry run of {document['recipe']} on {document['data']}: nothing was trained or written"
    yield f"\n{aligned(_examples(document))}"
    yield f"\n{aligned(_stages(document['stages']))}"
    for stage in document["stages"]:
        if found := stage["features"]:
            yield (
                f"{stage['name']}: features up to {found['boundary']!r} by {found['engine']}; "
                f"{found['cached']:,} in the cache, {found['missing']:,} to compute "
                f"({_seconds(found['seconds'])})"
            )
    disk = document["disk"]
    yield (
        f"\nDisk: up to {_megabytes(disk['run'])} for the run, {_megabytes(disk['features'])} of "
        "features in the cache"
    )
    yield f"Time: {_seconds(document['seconds'])} on this machine"
    if document["not_counted"]:
        yield f"Not counted: {'; '.join(document['not_counted'])}"


def _examples(document: dict[str, Any]) -> list[list[str]]:
    """Numbers of examples by split, in all and of each class."""
    splits = document["examples"]
    rows = [["", *splits], ["examples", *(f"{n:,}" for n in splits.values())]]
    names: dict[str, int] = next(iter(document["classes"].values()), {})
    for name in names:
        rows.append([f"  {name}", *(f"{document['classes'][split][name]:,}" for split in splits)])
    return rows


def _stages(stages: Sequence[dict[str, Any]]) -> list[list[str]]:
    rows = [["stage", "epochs", "steps per epoch", "trainable", "frozen", "s per step", "time"]]
    for stage in stages:
        numbers = (stage[key] for key in ("epochs", "steps_per_epoch", "trainable", "frozen"))
        step, seconds = stage["seconds_per_step"], stage["seconds"]
        rows.append(
            [
                stage["name"],
                *("-" if number is None else f"{number:,}" for number in numbers),
                "-" if step is None else f"{step:.3g}",
                "-" if seconds is None else _seconds(seconds),
            ]
        )
    return rows


def _seconds(bounds: Sequence[float]) -> str:
    low, high = bounds
    size, unit = next((row for row in UNITS if high >= 2 * row[0]), UNITS[-1])
    return f"{_rounded(low / size)} to {_rounded(high / size)} {unit}"


def _rounded(value: float) -> str:
    """Two digits: an estimate has no more."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"

"""``kt-recipe rank``: which pretrained backbone suits the data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from keras_transfer import catalog
from keras_transfer.cli.run import (
    SectionedCommand,
    SettingOption,
    chosen,
    run_options,
    setting_options,
)
from keras_transfer.errors import BadConfiguration

__all__ = ["rank"]

OPTIONS = (
    *("data", "data_dir", "layout", "limit", "on_bad", "strict"),
    *("image_size", "resize", "seed", "engine", "engine_error", "cache"),
)
"""Options of the recipe that change a ranking."""

COLUMNS = {
    "log_me": "LogME",
    "regularized_h_score": "H-score",
    "leep": "LEEP",
    "nce": "NCE",
}


class RankCommand(SectionedCommand):
    """Options of the recipe are added when they are needed: making them imports the recipe."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """All options."""
        recipe = catalog.find(catalog.AUTO).recipe
        kept = [option for option in setting_options(recipe) if option.name in OPTIONS]
        plain = [option for option in run_options() if option.name != "resume"]
        return [*super().get_params(ctx)[:-1], *plain, *kept, super().get_params(ctx)[-1]]


@click.command(
    cls=RankCommand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--backbones",
    cls=SettingOption,
    section="Network",
    metavar="A,B,...",
    help="backbones, such as vgg16,mobilenet_v2:alpha=0.35",
)
@click.option(
    "--all-local",
    cls=SettingOption,
    section="Network",
    is_flag=True,
    help="all whose ImageNet weights are here  [default]",
)
@click.option(
    "--weights",
    cls=SettingOption,
    section="Network",
    multiple=True,
    metavar="NAME=FILE",
    help="a backbone with other weights, such as mobilenet_v2:alpha=0.35=FILE; may be repeated",
)
@click.option(
    "--sample",
    cls=SettingOption,
    section="Data",
    type=int,
    metavar="N",
    help="training images of each class  [2000 over all classes]",
)
@click.option(
    "--min-images-per-s",
    cls=SettingOption,
    section="Network",
    type=float,
    default=0.0,
    help="recommend none that is slower  [0]",
)
def rank(**given: Any) -> None:
    """Rank pretrained backbones on your images, without training them.

    The features of a class-balanced sample of the train split are computed once and kept for later
    runs. A logistic regression on them is cross-validated; val and test are not used.
    """
    from keras_transfer.studies.ranking import rank_backbones

    names = ("backbones", "all_local", "weights", "sample", "min_images_per_s", "out", "as_json")
    backbones, every, weights, sample, least, out, as_json = (given.pop(name) for name in names)
    if given["data"] is None and given["config"] is None:
        raise BadConfiguration("rank needs --data: a folder, a manifest, or another source.")
    named = [*filter(None, (name.strip() for name in (backbones or "").split(","))), *weights]
    if every and named:
        raise BadConfiguration("--all-local ranks all backbones; leave out --backbones, --weights.")
    recipe: Any = chosen(catalog.find(catalog.AUTO).recipe, given)
    folder, document = rank_backbones(recipe, named, per_class=sample, least_rate=least, out=out)
    if as_json:
        click.echo(json.dumps({"ranking": str(folder), **document}))
        return
    click.echo("\n".join(_report(folder, document, document["command"])))


def _report(folder: Path, document: Mapping[str, Any], train: str | None) -> Iterator[str]:
    rows = document["backbones"]
    yield (
        f"Linear probe, cross-validated on {document['examples']:,} training images of "
        f"{document['classes']} classes; intervals by the bootstrap over images"
    )
    yield ""
    yield _table(rows)
    yield ""
    if any(row["pareto"] for row in rows):
        yield "* no other is both more accurate and faster"
    yield "H-score: with shrinkage. MB: float32 weights, estimated. images/s: on this machine, now."
    yield from _verdict(document)
    yield f"The table and a plot are in {folder}."
    if train:
        yield f"\nTrain it:\n  {train}"


def _table(rows: list[Mapping[str, Any]]) -> str:
    from keras_transfer.evaluation.layout import aligned, shown

    header = ["", "accuracy", "95 % interval", *COLUMNS.values(), "images/s", "parameters", "MB"]
    table = [header]
    for row in rows:
        interval = " to ".join(map(shown, row["interval"])) if row["interval"] else "-"
        table.append(
            [
                ("* " if row["pareto"] else "  ") + row["backbone"],
                shown(row["accuracy"]),
                interval,
                *(shown(row[name]) for name in COLUMNS),
                f"{row['images_per_second']:.0f}",
                f"{row['parameters']:,}",
                f"{row['estimated_megabytes']:.0f}",
            ]
        )
    return aligned(table)


def _verdict(document: Mapping[str, Any]) -> Iterator[str]:
    """What is recommended, and which others may be as good."""
    rows, best = document["backbones"], document["recommended"]
    if best is None:
        fastest = max(row["images_per_second"] for row in rows)
        yield (
            f"None reaches {document['least_images_per_second']:g} images/s; the fastest has "
            f"{fastest:g}."
        )
        return
    yield f"Recommended: {best}"
    speed = {row["backbone"]: row["images_per_second"] for row in rows}
    for row in rows:
        if row.get("within_noise"):
            low, high = row["difference_interval"]
            factor = row["images_per_second"] / max(speed[best], 0.1)
            yield (
                f"The difference between {row['backbone']} and {best} is within noise: "
                f"{row['difference']:+.3f} (95 % interval {low:+.3f} to {high:+.3f}); it computes "
                f"{factor:.2g} times as many images/s."
            )

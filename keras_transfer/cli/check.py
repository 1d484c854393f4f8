"""``kt-recipe check``: what is wrong with labelled data, before anybody trains on them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from keras_transfer.cli.run import (
    SectionedCommand,
    SettingOption,
    chosen,
    run_options,
    setting_options,
)
from keras_transfer.data.samples import SPLITS
from keras_transfer.errors import BadConfiguration
from keras_transfer.workflows.finetune import Classify

__all__ = ["check"]

DEFAULT = "mobilenet_v2"
"""Backbone, unless another is named."""

OPTIONS = (
    *(
        "data",
        "data_dir",
        "layout",
        "label_column",
        "limit",
        "on_bad",
        "strict",
        "groups",
        "relabel",
    ),
    *("weights", "preprocessing", "input", "image_size", "resize", "column"),
    *("batch_size", "seed", "engine", "engine_error", "cache"),
)
"""Options of a recipe that change what is found."""


class CheckCommand(SectionedCommand):
    """Options of a recipe are added when they are needed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """All options."""
        kept = [option for option in setting_options(_base()) if option.name in OPTIONS]
        plain = [option for option in run_options() if option.name != "resume"]
        own = super().get_params(ctx)
        return [*own[:-1], *plain, *kept, own[-1]]


def _base() -> Classify:
    """Settings of a check, unless others are given."""
    return Classify(data="DATA", backbone=DEFAULT)


@click.command(
    cls=CheckCommand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--label-errors",
    cls=SettingOption,
    section="Data",
    is_flag=True,
    help="list examples whose label is probably wrong, in relabel.csv",
)
@click.option(
    "--split",
    "splits",
    cls=SettingOption,
    section="Data",
    multiple=True,
    metavar="|".join(SPLITS),
    help="check the labels of this split; may be repeated  [train and val]",
)
@click.option(
    "--twins",
    cls=SettingOption,
    section="Data",
    is_flag=True,
    help="list pairs of examples that are almost the same, in twins.csv; with --strict, fail if "
    "one lies in two splits of the data",
)
@click.option(
    "--twin-cosine",
    cls=SettingOption,
    section="Data",
    type=float,
    metavar="FLOAT",
    help="cosine of features from which two examples are twins  [by the mean of all pairs]",
)
@click.option(
    "--run",
    "run_folder",
    cls=SettingOption,
    section="Data",
    metavar="RUN",
    help="with --twins: test accuracy of this run with and without twins of train",
)
@click.option(
    "--backbone",
    cls=SettingOption,
    section="Network",
    metavar="NAME",
    help=f"the pretrained network whose features are compared, or FILE.keras  [{DEFAULT}]",
)
def check(**given: Any) -> None:
    """Check labelled data before training: bad files, copies, twins, likely label errors.

    Nothing is changed. Twins and label errors are found by features of a pretrained network, which
    go into the cache: a run with the same frozen network does not compute them.
    """
    from keras_transfer.studies.data_check import LABELLED, check_data

    own = ("label_errors", "splits", "twins", "twin_cosine", "run_folder", "out", "as_json")
    label_errors, splits, twins, threshold, run, out, as_json = (given.pop(name) for name in own)
    if given["data"] is None and given["config"] is None:
        raise BadConfiguration("check needs --data: a folder, a manifest, or another source.")
    if splits and not label_errors:
        raise BadConfiguration("--split is for --label-errors.")
    for name, value in (("--twin-cosine", threshold), ("--run", run)):
        if value is not None and not twins:
            raise BadConfiguration(f"{name} is for --twins.")
    recipe: Any = chosen(_base(), given)
    how: dict[str, Any] = {"splits": splits or LABELLED, "twins": twins, "threshold": threshold}
    folder, document = check_data(recipe, label_errors=label_errors, run=run, out=out, **how)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **document}, ensure_ascii=False))
        return
    click.echo("\n".join(_report(folder, document, recipe)))


def _report(folder: Path, document: Mapping[str, Any], recipe: Any) -> Iterator[str]:
    counts = ", ".join(f"{n:,} {name}" for name, n in document["examples"].items() if n)
    left_out = (folder / "bad_files.csv").exists()
    usable = f"others are in {folder / 'bad_files.csv'}" if left_out else "all can be used"
    yield f"{document['data']}: {counts}; {usable}"
    if pairs := document.get("twins"):
        yield from _twins(folder, pairs, recipe)
    if accuracy := document.get("run"):
        yield _accuracy(accuracy)
    if found := document.get("label_errors"):
        yield from _label_errors(folder, found, recipe)
    page = ", with images in check.html" if (folder / "check.html").exists() else ""
    yield f"\nEverything is in {folder}{page}."


def _twins(folder: Path, found: Mapping[str, Any], recipe: Any) -> Iterator[str]:
    sizes = found["examples_by_split"]
    yield (
        f"\nTwins: {found['pairs']:,} pairs with a cosine of {found['threshold']:.3f} or more, by "
        f"features of {recipe.backbone.name} (mean of all pairs: {found['mean_cosine']:.3f})"
    )
    for split in ("test", "val"):
        if count := found[f"{split}_with_twin_in_train"]:
            yield f"{count:,} of {sizes[split]:,} {split} examples have a twin in train."
    if found["different_labels"]:
        yield f"{found['different_labels']:,} pairs have different labels."
    drawn = found["across_splits"] - found["across_own_splits"]
    if found["across_own_splits"]:
        yield f"{found['across_own_splits']:,} pairs lie in two splits of the data."
    if drawn:
        yield (
            f"{drawn:,} pairs are divided by the splits as they are drawn. To keep them together: "
            f"--groups {folder / 'groups.csv'}"
        )


def _accuracy(found: Mapping[str, Any]) -> str:
    def shown(part: str) -> str:
        accuracy, bounds = found[part]["accuracy"], found[part]["accuracy_interval"]
        if accuracy is None:
            return "-"
        return f"{accuracy:.4f} ({bounds[0]:.4f} to {bounds[1]:.4f})"

    return (
        f"Test accuracy of the run: {shown('all')}; without the {found['twins']['n']:,} examples "
        f"that have a twin in its train split: {shown('without_twins')}; of these: {shown('twins')}"
    )


def _label_errors(folder: Path, found: Mapping[str, Any], recipe: Any) -> Iterator[str]:
    yield (
        f"\nLikely label errors: {found['suspects']:,} of {found['examples']:,} examples, by a "
        f"classifier on features of {recipe.backbone.name}"
    )
    yield (
        f"It agrees with {found['agreement']:.1%} of the labels of examples that it has not seen. "
        "The lower that is, the more of the list are its own mistakes."
    )
    if not found["suspects"]:
        return
    file = folder / "relabel.csv"
    yield f"{file} lists them, the most probable first."
    yield (
        "Look at them: delete the rows whose label is right, correct new_label where it is not, "
        "then train with"
    )
    yield f"  --data {recipe.data.source} --relabel {file}"

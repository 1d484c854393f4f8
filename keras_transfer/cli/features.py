"""``kt-recipe features``: features of examples by a frozen network, in a file."""

from __future__ import annotations

import json
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
from keras_transfer.config.groups import AUTO
from keras_transfer.data.samples import SPLITS
from keras_transfer.errors import BadConfiguration
from keras_transfer.workflows.finetune import Classify

__all__ = ["features"]

OPTIONS = (
    *("data", "data_dir", "layout", "limit", "on_bad", "strict", "column"),
    *("weights", "preprocessing", "objective", "input", "image_size", "resize"),
    *("length", "lowercase", "vocabulary_size", "batch_size", "seed"),
    *("engine", "engine_error", "cache"),
)
"""Options of a recipe that change features."""


class FeaturesCommand(SectionedCommand):
    """Options of a recipe are added when they are needed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """All options."""
        kept = [option for option in setting_options(_base()) if option.name in OPTIONS]
        plain = [option for option in run_options() if option.name not in ("resume", "out")]
        own = super().get_params(ctx)
        return [*own[:-1], *plain, *kept, own[-1]]


def _base() -> Classify:
    """Settings of features, unless others are given."""
    return Classify(data="DATA", backbone=AUTO)


@click.command(
    cls=FeaturesCommand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--to", type=click.Path(path_type=Path), help="new file: .npz or .parquet")
@click.option(
    "--backbone",
    cls=SettingOption,
    section="Network",
    metavar="NAME",
    help="the pretrained network, or FILE.keras",
)
@click.option("--layer", cls=SettingOption, section="Network", help="block or layer  [the output]")
@click.option(
    "--pooling",
    cls=SettingOption,
    section="Network",
    metavar="avg|max|avgmax|flatten|token|none",
    help="how maps become vectors; none keeps them  [avg]",
)
@click.option(
    "--split",
    "splits",
    cls=SettingOption,
    section="Data",
    multiple=True,
    metavar="|".join(SPLITS),
    help="this split only; may be repeated  [all]",
)
@click.option(
    "--no-labels",
    "unlabelled",
    cls=SettingOption,
    section="Data",
    is_flag=True,
    help="the data are images, or a table of texts, without labels and splits",
)
def features(**given: Any) -> None:
    """Write features of examples by a pretrained network to a file, without training.

    Keys, labels and splits of the examples are in the file too. Features come from the cache as far
    as they are there, and go into it: a run with the same frozen network does not compute them.
    """
    from keras_transfer.workflows.feature_files import check_target

    own = ("to", "layer", "pooling", "splits", "unlabelled", "as_json")
    to, layer, pooling, splits, unlabelled, as_json = (given.pop(name) for name in own)
    if given["data"] is None and given["config"] is None:
        raise BadConfiguration("features needs --data: a folder, a manifest, or another source.")
    if to is None:
        raise BadConfiguration("features needs --to: a new file that ends in .npz or .parquet.")
    recipe: Any = chosen(_base(), given)
    if recipe.backbone.name == AUTO:
        raise BadConfiguration(
            "features needs --backbone: the name of a network. `kt-recipe rank --data DATA` finds "
            "the best."
        )
    file = check_target(to)
    found = recipe.features(layer=layer, pooling=pooling, splits=splits, labelled=not unlabelled)
    found.write(file)
    if as_json:
        shape = list(found.values.shape)
        document = {"file": str(file), "shape": shape, **found.metadata, **found.report}
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    size, report = " x ".join(f"{n:,}" for n in found.values.shape), found.report
    click.echo(
        f"{file}  {size} features of {recipe.backbone.name}; {report['computed']:,} computed, "
        f"{report['cached']:,} from the cache"
    )

"""What commands on a finished run, or on an export of it, take and open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from keras_transfer.data.text_tables import TABLES
from keras_transfer.exports import Export
from keras_transfer.inputs.table import read_input
from keras_transfer.runs import Run

__all__ = ["RUN", "TRUST", "TTA", "given_examples", "opened"]

TTA = click.option(
    "--tta",
    metavar="flip|N",
    help="Test-time augmentation: average over the image and its mirror image, or over N views "
    "by the run's own augmentation.",
)
RUN = click.argument("run", type=click.Path(path_type=Path), metavar="RUN_OR_EXPORT")

TRUST = click.option(
    "--trust",
    is_flag=True,
    help="Load an export with operators that no export of kt-recipe has, such as those that read "
    "and write files.",
)


def opened(folder: Path, trust: bool) -> Run | Export:
    """A run folder holds run.json; an export does not."""
    return Run(folder) if (folder / "run.json").exists() else Export(folder, trust=trust)


def given_examples(done: Run | Export, paths: Sequence[str]) -> list[str | Path]:
    """For texts, files of tables as paths: any other word is a text."""
    if not read_input(done.settings["input"]).text_columns:
        return list(paths)
    tables = {path for path in paths if path.lower().endswith(TABLES)}
    return [Path(path) if path in tables and Path(path).is_file() else path for path in paths]

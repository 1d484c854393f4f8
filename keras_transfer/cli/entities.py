"""Print the entities of texts, for ``kt-recipe predict``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import click

from keras_transfer.csv_cells import write_cells
from keras_transfer.runs import Prediction
from keras_transfer.tables import Table

__all__ = ["ENTITY_FORMATS"]

COLUMNS = ("text", "type", "start", "end", "score")


def _table(predictions: list[Prediction]) -> None:
    for one in predictions:
        click.echo(one.path if not one.error else f"{one.path}  error: {one.error}")
        for entity in one.label or ():
            place = f"{entity['start']}-{entity['end']}"
            said = f"  {entity['type']:<8} {place:>9}  {entity['score']:.4f}  {entity['text']}"
            click.echo(said)
        if not one.error and not one.label:
            click.echo("  (no entity)")


def _csv(predictions: list[Prediction]) -> None:
    rows: list[list[object]] = [["path", "error", *COLUMNS]]
    for one in predictions:
        rows += [[one.path, "", *(entity[name] for name in COLUMNS)] for entity in one.label or ()]
        if one.error:
            rows.append([one.path, one.error, *[""] * len(COLUMNS)])
    write_cells(sys.stdout, rows, lineterminator="\n")


def _jsonl(predictions: list[Prediction]) -> None:
    for one in predictions:
        found = {"error": one.error} if one.error else {"entities": one.label}
        click.echo(json.dumps({"path": one.path, **found}, ensure_ascii=False))


ENTITY_FORMATS: Table[Callable[[list[Prediction]], None]] = Table(
    "format", {"table": _table, "csv": _csv, "jsonl": _jsonl}
)

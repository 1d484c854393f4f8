"""What trackers are told, read from the files of a run."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from keras_transfer.csv_cells import read_cells
from keras_transfer.runs.records import RUN, SERIES, read_json, stored_settings
from keras_transfer.runs.split_table import fingerprint
from keras_transfer.tracking.base import Plain, TrackedRun

__all__ = ["epochs", "files", "parameters", "test_metrics", "tracked_run"]

FILES = ("metrics.json", "history.csv", "recipe.yaml", "report.html", "README.md")
TABLES = ("predictions*.csv", "pr_curves*.csv")
"""What is kept of a run. Models are not: they are large, and lie in the run directory."""

LEFT_OUT = ("per_class", "confusion_matrix", "bins")
"""Entries of ``metrics.json`` that are tables; the file itself is kept."""

WITH_INTERVALS = ("test", "val")

Value = TypeVar("Value")

MAX_NAME = 250
"""Length of a name; MLflow refuses longer ones."""


def tracked_run(folder: Path) -> TrackedRun:
    """What is known of a run when its training begins."""
    record = read_json(folder / RUN, dict)
    tags = {"kind": record["kind"], "run_folder": str(folder.resolve())}
    tags |= {f"version.{name}": found for name, found in record.get("versions", {}).items()}
    split = folder / "split.csv"
    if split.exists():
        tags |= {f"sha256.{name}": found for name, found in fingerprint(split).items()}
    settings = stored_settings(folder) or {}
    around = folder.resolve().parent
    series = f"{around.parent.name}/{around.name}" if (around / SERIES).exists() else ""
    return TrackedRun(record["recipe"], folder, parameters(settings), tags, series)


def parameters(settings: Mapping[str, Any]) -> dict[str, Plain]:
    """Settings by path; a list of plain values is JSON, and what is not set is "none".

    Names of classes are among the names; what a tracker does not take is "_" in them.
    """
    return _named((".".join(map(_clean, path)), value) for path, value in _leaves(settings, ()))


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Plain]]:
    groups = isinstance(value, list) and any(isinstance(item, Mapping) for item in value)
    if isinstance(value, Mapping) or groups:
        items = enumerate(value) if groups else value.items()
        for name, inner in items:
            yield from _leaves(inner, (*path, str(name)))
    elif isinstance(value, Plain):
        yield path, value
    else:
        yield path, "none" if value is None else json.dumps(value, ensure_ascii=False)


def epochs(folder: Path) -> list[dict[str, float]]:
    """Metrics of the epochs so far, from ``history.csv``; "stage" counts the stages from 1.

    Empty cells and what is not finite are left out.
    """
    path = folder / "history.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = read_cells(file)
    rows = [dict(zip(header, line, strict=True)) for line in lines if line]
    stages = [*dict.fromkeys(row["stage"] for row in rows)]
    columns = _named((_clean(name), name) for name in header if name not in ("stage", "epoch"))
    return [
        {"stage": float(1 + stages.index(row["stage"])), **_finite(row, columns)} for row in rows
    ]


def _finite(row: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, float]:
    values = {name: float(row[column] or "nan") for name, column in columns.items()}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def test_metrics(folder: Path) -> dict[str, float]:
    """The numbers of ``metrics.json`` by path, such as "test/accuracy"; without tables.

    Bounds of an interval get names of their own: "test/accuracy_interval/low" and "/high".
    """
    numbers = _numbers(read_json(folder / "metrics.json", dict), ())
    return _named(("/".join(map(_clean, path)), value) for path, value in numbers)


def _numbers(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in LEFT_OUT:
                yield from _numbers(inner, (*path, str(name)))
    elif isinstance(value, list):
        if path[0] in WITH_INTERVALS and path[-1].endswith("_interval") and len(value) == 2:
            for name, bound in zip(("low", "high"), value, strict=True):
                yield from _numbers(bound, (*path, name))
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        yield path, float(value)


def _clean(name: str) -> str:
    """A name as all trackers take it: "/" separates, and MLflow allows few other characters."""
    return re.sub(r"[^\w\-. ]", "_", name).strip(". ") or "_"


def _named(rows: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Values by name, where two names may differ only in what a tracker does not take."""
    found: dict[str, Value] = {}
    for name, value in rows:
        name = _shortened(name)
        while name in found:
            name = _shortened(f"{name}_")
        found[name] = value
    return found


def _shortened(name: str) -> str:
    """A name of at most ``MAX_NAME`` characters; a hash keeps long ones apart."""
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: MAX_NAME - 13]}_{digest}"


def files(folder: Path) -> list[Path]:
    """Files of a finished run to keep, in the order of the tables above."""
    named = [folder / name for name in FILES]
    return [path for path in named if path.exists()] + [
        path for pattern in TABLES for path in sorted(folder.glob(pattern))
    ]

"""With what the runs of a comparison were trained, and how long they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_transfer.config.tree import differences
from keras_transfer.reports.study import Section
from keras_transfer.reports.wording import short, table
from keras_transfer.runs.run import Run

__all__ = ["settings_section", "time_section"]


def settings_section(names: Sequence[str], models: Sequence[Sequence[Run]]) -> Section:
    """Settings in which a model differs from the first."""
    settings = [runs[0].settings for runs in models]
    paths = dict.fromkeys(
        path for other in settings[1:] for path, _, _ in differences(settings[0], other)
    )
    rows = [[path, *(short(_at(one, path), 60) for one in settings)] for path in paths]
    note = "" if rows else "All settings are the same."
    tables = [("", table(["setting", *names], rows))] if rows else []
    return Section("settings", "Settings that differ", note, tables=tables)


def _at(settings: Any, path: str) -> str:
    for name in path.split("."):
        settings = settings.get(name) if isinstance(settings, Mapping) else None
    return "-" if settings is None else str(settings)


def time_section(names: Sequence[str], models: Sequence[Sequence[Run]]) -> Section:
    """Seconds by step, means over the runs of a series; versions."""
    seconds = [[run.metadata.get("seconds", {}) for run in runs] for runs in models]
    steps = dict.fromkeys(step for runs in seconds for run in runs for step in run)
    order = sorted(steps, key=lambda step: step != "total")
    rows = []
    for step in order:
        means = [np.mean([run.get(step, 0.0) for run in runs]) for runs in seconds]
        rows.append([step.replace("_", " "), *(f"{mean:.1f}" for mean in means)])
    facts = [
        ["recipe", *(short(runs[0].metadata["recipe"], 40) for runs in models)],
        ["runs", *(str(len(runs)) for runs in models)],
        ["started", *(str(runs[0].metadata.get("started", "-")) for runs in models)],
    ]
    for package in ("keras_transfer", "keras", "tensorflow"):
        versions = [runs[0].metadata.get("versions", {}).get(package, "-") for runs in models]
        facts.append([package, *versions])
    tables = [
        ("Seconds", table(["step", *names], rows)),
        ("", table(["", *names], facts)),
    ]
    note = "Seconds depend on the machine, and on what the feature cache held."
    return Section("time", "Time and versions", note, tables=tables)

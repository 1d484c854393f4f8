"""How a run was trained: curves, stages, time, versions, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from keras_transfer.evaluation.inline_plots import plot_epochs
from keras_transfer.evaluation.layout import title
from keras_transfer.reports.classification import Plot
from keras_transfer.reports.wording import Table, short, table
from keras_transfer.runs.run import Run
from keras_transfer.training.monitors import better

__all__ = ["Training", "training"]

MAX_PLOTS = 4


class Training(NamedTuple):
    """The training of a run.

    Attributes:
        rows: Of ``history.csv``.
        monitor: The metric that chose the epoch; empty if it is not among the rows.
        chosen: Place of the chosen epoch in ``rows``; None: not known, or one for each member.
        kept: Which epoch is kept, as a sentence.
        ends: Number of epochs up to the end of each stage.
        trained: Whether there were epochs; a classical learner is fitted at once.
        plots: Curves.
        stages: A row for each stage.
    """

    rows: list[dict[str, Any]]
    monitor: str
    chosen: int | None
    kept: str
    ends: list[int]
    trained: bool
    plots: list[Plot]
    stages: Table

    def value(self, name: str) -> float | None:
        """A metric in the chosen epoch."""
        return None if self.chosen is None else self.rows[self.chosen].get(name)


def training(run: Run) -> Training:
    """Read the history of a run and its record."""
    rows, settings = run.history, run.settings
    monitor = _monitor(settings, rows)
    members = _members(settings)
    chosen = None if members else _chosen(rows, monitor)
    groups = [(stage, [*group]) for stage, group in groupby(rows, key=lambda row: row["stage"])]
    ends = [sum(len(group) for _, group in groups[: place + 1]) for place in range(len(groups))]
    trained = "learner" not in settings
    plots = _plots(rows, chosen, ends, monitor) if trained else []
    stages = _stages(groups, chosen, run.metadata)
    who = "Each member keeps its" if members else "The run keeps the"
    soup = any(stage.get("average", {}).get("soup") for stage in settings.get("stages", ()))
    average = ", or the average of several epochs if that is better" if soup else ""
    kept = f"{who} epoch with the best {monitor}{average}." if monitor else ""
    return Training(rows, monitor, chosen, kept, ends, trained, plots, stages)


def _members(settings: Mapping[str, Any]) -> bool:
    """Whether several heads were trained, each with epochs of its own."""
    method = settings.get("method")
    return isinstance(method, dict) and method.get("type") == "bagging"


def _monitor(settings: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The metric that chose the epoch: of an adaptation its criterion."""
    method = settings.get("method")
    criterion = method.get("choose_by") if isinstance(method, dict) else None
    for name in (f"val_{criterion}", settings.get("monitor"), "val_loss"):
        if name in rows[0]:
            return str(name)
    return ""


def _chosen(rows: Sequence[Mapping[str, Any]], monitor: str) -> int | None:
    """As training chooses: the first of the best epochs of all stages."""
    if not monitor:
        return None
    chosen, best = None, None
    for place, row in enumerate(rows):
        if better(monitor, row[monitor], best):
            chosen, best = place, row[monitor]
    return chosen


def _plots(
    rows: Sequence[Mapping[str, Any]], chosen: int | None, ends: Sequence[int], monitor: str
) -> list[Plot]:
    names = [name for name in rows[0] if name not in ("stage", "epoch", "learning_rate")]
    metrics = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    main = monitor.removeprefix("val_")
    metrics.sort(key=lambda name: name not in ("loss", "accuracy", main))
    return [_plot(rows, name, chosen, ends) for name in metrics[:MAX_PLOTS]]


def _plot(
    rows: Sequence[Mapping[str, Any]], name: str, chosen: int | None, ends: Sequence[int]
) -> Plot:
    train, val = ([row[key] for row in rows if key in row] for key in (name, f"val_{name}"))
    svg = plot_epochs(train, val, chosen=chosen, ends=ends, label="")
    text = ""
    if chosen is not None:
        row = rows[chosen]
        text = f"The circle is the chosen epoch: {short(row['stage'])} {row['epoch']}."
    header = ["stage", "epoch", "train", "val"]
    cells = [
        [short(row["stage"]), row["epoch"], _number(row.get(name)), _number(row.get(f"val_{name}"))]
        for row in rows
    ]
    return Plot(short(title(name)), svg, text, table(header, cells), ("train", "val"))


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _stages(
    groups: Sequence[tuple[str, list[Any]]], chosen: int | None, metadata: Mapping[str, Any]
) -> Table:
    """Epochs, parameters and features of each stage; names may repeat in old runs."""
    rows, before = [], 0
    for stage, group in groups:
        parameters = metadata.get("parameters", {}).get(stage, {})
        features = metadata.get("features", {}).get(stage, {})
        inside = chosen is not None and before <= chosen < before + len(group)
        best = chosen - before + 1 if chosen is not None and inside else None
        cells = [short(stage), len(group), best, _count(parameters.get("trainable"))]
        rows.append([*cells, *_computed(features)])
        before += len(group)
    known = {stage for stage, _ in groups}
    for name, features in metadata.get("features", {}).items():  # of learners by backbone
        if name not in known:
            rows.append([short(name), None, None, None, *_computed(features)])
    header = ["stage", "epochs", "chosen epoch", "trained parameters", "frozen part"]
    more = ["examples/s", "computed", "from the cache", "seconds for features"]
    return table([*header, *more], rows)


def _computed(features: Mapping[str, Any]) -> list[Any]:
    """What the engine did."""
    counts = (_count(features.get(name)) for name in ("images_per_second", "computed", "cached"))
    return [_engine(features), *counts, features.get("seconds")]


def _engine(features: Mapping[str, Any]) -> str | None:
    if not features:
        return None
    return f"up to {short(features.get('boundary', '?'), 30)} by {features.get('engine', '?')}"


def _count(value: float | None) -> str | None:
    return None if value is None else f"{round(value):,}"

"""The page of a series over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_transfer.data.samples import LABEL
from keras_transfer.evaluation.layout import is_better, metric_text, title
from keras_transfer.evaluation.study_plots import Point, plot_intervals
from keras_transfer.reports.classification import Plot
from keras_transfer.reports.commands import Command, command
from keras_transfer.reports.studies.pairing import mean_interval
from keras_transfer.reports.study import Section, StudyPage, Tile
from keras_transfer.reports.wording import Table, short, table
from keras_transfer.runs.records import SERIES, read_record
from keras_transfer.runs.run import Run

__all__ = ["page"]

FEW = 5
"""Seeds below which the interval of the mean is wide."""


def page(folder: Path) -> StudyPage:
    """What the page of a finished series says; its numbers are those of ``series.json``."""
    series = read_record(folder / SERIES, {"recipe": str, "runs": list})
    outputs = series.get("outputs", {LABEL: series})
    runs = [Run(folder / place) for place in series["runs"]]
    several = len(outputs) > 1
    sections = []
    for number, (name, found) in enumerate(outputs.items()):
        of = f" of {short(name)}" if several else ""
        sections.append(
            Section(
                f"o{number}",
                f"Metrics{of}",
                "All runs have the same splits, so what varies is training alone.",
                [_plot(found["metrics"], found["baselines"], series["runs"])],
                [("Mean, standard deviation and interval of the mean", _metrics(found))],
            )
        )
    if target := series.get("target"):
        sections.append(_target(target))
    sections.append(_runs(series["runs"], runs))
    output, first = next(iter(outputs.items()))
    metric, spread = next(iter(first["metrics"].items()))
    sentences, fine = _verdict(
        metric, spread, first["baselines"], mean_interval(runs, output, metric)
    )
    tiles = [
        Tile(
            metric_text(metric, spread["mean"]),
            f"mean {title(metric)}",
            _bounds(metric, spread["interval"]),
        ),
        Tile(metric_text(metric, spread["std"]), "standard deviation", "over the seeds"),
        Tile(str(len(runs)), "seeds"),
    ]
    return StudyPage(
        "Series over seeds",
        series["recipe"],
        str(folder),
        sentences,
        fine,
        _commands(folder, series["runs"], _best(runs, output, metric)),
        tiles,
        sections,
    )


def _best(runs: Sequence[Run], output: str, metric: str) -> int | None:
    """Which run is the best on val: its value on test would be too good if that chose it."""
    values = [_on_val(run, output).get(metric) for run in runs]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    pick = max if is_better(metric) == "higher" else min
    return values.index(pick(known))


def _on_val(run: Run, output: str) -> Mapping[str, Any]:
    metrics = run.metrics["val"]
    return metrics if [*run.outputs] == [LABEL] else metrics.get(output, {})


def _commands(folder: Path, places: Sequence[str], best: int | None) -> list[Command]:
    purpose = "Export one of them" if best is None else "Export the one that is best on val"
    return [
        Command("Look at where a run fails", command("report", folder / places[0])),
        Command("Compare with another series", command("report", folder, "OTHER_SERIES")),
        Command(purpose, command("export", folder / places[best or 0])),
    ]


def _verdict(
    metric: str,
    spread: Mapping[str, Any],
    baselines: Mapping[str, Mapping[str, Any]],
    wide: Sequence[float] | None,
) -> tuple[list[str], bool]:
    """What the runs reached; ``wide`` is the interval over test examples and seeds."""
    n = len(spread["values"])
    first = (
        f"Over {n} seeds on this test split the mean {title(metric)} is "
        f"{metric_text(metric, spread['mean'])} (95 % interval of the mean over seeds "
        f"{_bounds(metric, spread['interval'])}), with a standard deviation of "
        f"{metric_text(metric, spread['std'])}."
    )
    ((name, values),) = baselines.items()
    base = values.get(metric)
    sentences, clear = [first], True
    if base is not None:
        # Equal runs have no spread over seeds, however few the test examples are.
        clear = wide is not None and all(
            _beats(metric, bounds, base) for bounds in (spread["interval"], wide)
        )
        over = "not known" if wide is None else _bounds(metric, wide)
        how = "clearly better than" if clear else "not clearly better than"
        sentences.append(
            f"The 95 % interval over test examples and seeds is {over}: {how} the baseline {name}, "
            f"{metric_text(metric, base)}."
        )
    if not clear:
        sentences.append(
            "The model may have learnt nothing (check labels and learning rate), or the test split "
            "is too small to tell."
        )
    elif n < FEW:
        sentences.append(f"{n} seeds are few, so the interval is wide; {FEW} or more are better.")
    else:
        sentences.append(
            "A difference between two recipes that is smaller than the standard deviation says "
            "little."
        )
    return sentences, clear and n >= FEW


def _beats(metric: str, interval: Sequence[float], base: float) -> bool:
    low, high = interval
    return low > base if is_better(metric) == "higher" else high < base


def _bounds(metric: str, interval: Sequence[float]) -> str:
    return " to ".join(metric_text(metric, bound) for bound in interval)


def _plot(
    metrics: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]], places: list[str]
) -> Plot:
    """The main metric of each run, and its mean."""
    metric, spread = next(iter(metrics.items()))
    points = [Point(spread["mean"], spread["interval"], 1)]
    points += [Point(value) for value in spread["values"]]
    rows = [["1", "mean", metric_text(metric, spread["mean"])]]
    rows += [
        [str(number), place, metric_text(metric, value)]
        for number, (place, value) in enumerate(zip(places, spread["values"], strict=True), start=2)
    ]
    ((_, values),) = baselines.items()
    base = values.get(metric)
    near = base is not None and abs(base - spread["mean"]) < 5 * max(spread["std"], 1e-9)
    text = "1 is the mean with its 95 % t interval, the others are the runs."
    if near:
        text += " Dashed: the baseline."
    svg = plot_intervals(points, label=title(metric), reference=base if near else None)
    heading = f"{title(metric)[0].upper()}{title(metric)[1:]} by seed"
    return Plot(heading, svg, text, table(["", "run", title(metric)], rows))


def _metrics(found: Mapping[str, Any]) -> Table:
    ((name, baseline),) = found["baselines"].items()
    rows = []
    for metric, spread in found["metrics"].items():
        low, high = (metric_text(metric, bound) for bound in spread["interval"])
        mean, std = (metric_text(metric, spread[key]) for key in ("mean", "std"))
        row = [
            title(metric),
            mean,
            std,
            f"{low} to {high}",
            metric_text(metric, baseline.get(metric)),
        ]
        rows.append(row)
    header = [
        "metric",
        "mean",
        "standard deviation",
        "95 % interval",
        f"baseline {short(name, 30)}",
    ]
    return table(header, rows)


def _target(target: Mapping[str, Any]) -> Section:
    """Of an adaptation: metrics on the target domain, by model."""
    rows = []
    for metric, models in target["metrics"].items():
        for name, spread in models.items():
            sign = "+" if name == "difference" else ""
            low, high = (metric_text(metric, bound, sign=sign) for bound in spread["interval"])
            mean = metric_text(metric, spread["mean"], sign=sign)
            std = metric_text(metric, spread["std"])
            rows.append([title(metric), name.replace("_", " "), mean, std, f"{low} to {high}"])
    header = ["metric", "model", "mean", "standard deviation", "95 % interval"]
    kept = f"{target['adapted_kept']} of {target['runs']} runs kept the adapted model."
    return Section("target", "Target domain", kept, tables=[("", table(header, rows))])


def _runs(places: list[str], runs: list[Run]) -> Section:
    rows = []
    for place, run in zip(places, runs, strict=True):
        seconds = run.metadata.get("seconds", {}).get("total")
        rows.append(
            [place, run.settings.get("seed", "-"), "-" if seconds is None else f"{seconds:.1f}"]
        )
    note = "Each is a run like any other, with a report of its own."
    tables = [("", table(["run", "random seed", "seconds"], rows))]
    return Section("runs", "Runs", note, tables=tables)

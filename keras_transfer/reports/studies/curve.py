"""The page of a learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_transfer.data.samples import LABEL
from keras_transfer.evaluation.layout import metric_text, title
from keras_transfer.evaluation.study_plots import Line, plot_lines
from keras_transfer.reports.classification import Plot
from keras_transfer.reports.commands import Command, command
from keras_transfer.reports.studies.pairing import Difference, difference
from keras_transfer.reports.study import Section, StudyPage, Tile
from keras_transfer.reports.wording import Table, short, table
from keras_transfer.runs.records import SERIES, read_record, stored_settings

__all__ = ["page"]

WORTH = 0.005
"""Expected gain in accuracy from which twice the examples are worth to be labelled."""


def page(folder: Path) -> StudyPage:
    """What the page of a finished curve says; its numbers are those of ``series.json``."""
    series = read_record(folder / SERIES, {"recipe": str, "runs": list})
    outputs = series.get("outputs", {LABEL: series})
    several = len(outputs) > 1
    sections = [
        Section(
            f"o{number}",
            f"Metrics by number of training examples{f' of {short(name)}' if several else ''}",
            "The same val and test examples at each size. Smaller sizes have more epochs.",
            _plots(found),
            [("95 % intervals, over test examples and runs, in brackets", _points(found))],
        )
        for number, (name, found) in enumerate(outputs.items())
    ]
    output, first = next(iter(outputs.items()))
    metrics = _metrics(first["points"])
    last, fewest = first["points"][-1], first["points"][0]
    tiles = [
        Tile(
            metric_text(metrics[0], point[metrics[0]]),
            f"{title(metrics[0])} with {point['examples']:,}",
            _bounds(metrics[0], point[f"{metrics[0]}_interval"]),
        )
        for point in ((last, fewest) if last is not fewest else (last,))
    ]
    doubling = first["doubling"]
    if "gain" in doubling:
        low, high = doubling["interval"]
        remark = f"expected; {low:+.3f} to {high:+.3f}"
        tiles.append(Tile(f"{doubling['gain']:+.3f}", "by twice the examples", remark))
    sentences, fine = _verdict(
        metrics[0], first, _last_step(folder, series, first["points"], output)
    )
    commands = _commands(folder, series, fine)
    return StudyPage(
        "Learning curve", series["recipe"], str(folder), sentences, fine, commands, tiles, sections
    )


def _metrics(points: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in points[0] if name != "examples" and not name.endswith("_interval")]


def _verdict(
    metric: str, found: Mapping[str, Any], step: Difference | None
) -> tuple[list[str], bool]:
    points, doubling = found["points"], found["doubling"]
    last = points[-1]
    said = f"{title(metric)[0].upper()}{title(metric)[1:]}"
    first = (
        f"{said} is {metric_text(metric, last[metric])} with all {last['examples']:,} training "
        f"examples (95 % interval {_bounds(metric, last[f'{metric}_interval'])})"
    )
    if len(points) > 1 and step is not None:
        first += f"; the last step, from {points[-2]['examples']:,}, changed it by {step.text()}"
    if "refused" in doubling:
        return [f"{first}.", f"No estimate for twice the examples: {doubling['refused']}."], False
    low, high = doubling["interval"]
    second = (
        f"Twice the examples would add {doubling['gain']:.3f} (95 % interval {low:.3f} to "
        f"{high:.3f}) to the accuracy, if the power law still holds there."
    )
    if low >= WORTH:
        return [f"{first}.", second, "More examples are worth their labels."], True
    third = (
        "More examples would bring little: try another backbone, or correct labels."
        if high < WORTH
        else "Whether more examples are worth their labels cannot be told: add sizes or seeds."
    )
    return [f"{first}.", second, third], False


def _last_step(
    folder: Path, series: Mapping[str, Any], points: Sequence[Mapping[str, Any]], output: str
) -> Difference | None:
    """What the model of all examples gains over that of the size before."""
    if len(points) < 2:
        return None
    # Folders are "all/seed_0" and, of a size, "884/seed_0".
    before, full = (
        [folder / place for place in series["runs"] if place.split("/")[0] == size]
        for size in (str(points[-2]["examples"]), "all")
    )
    return difference(before, full, output, "test") if before and full else None


def _bounds(metric: str, interval: Sequence[float] | None) -> str:
    return "-" if interval is None else " to ".join(metric_text(metric, b) for b in interval)


def _plots(found: Mapping[str, Any]) -> list[Plot]:
    """A plot for each metric."""
    points, made = found["points"], []
    sizes = [point["examples"] for point in points]
    for metric in _metrics(points):
        values = [point[metric] for point in points]
        bounds = [point[f"{metric}_interval"] for point in points]
        numbers = [float("nan") if value is None else value for value in values]
        ((_, baseline),) = found["baselines"].items()
        svg = plot_lines(
            [Line(sizes, numbers, bounds)],
            x="training examples",
            y=title(metric),
            logarithmic=True,
            reference=baseline.get(metric),
        )
        rows = [
            [f"{size:,}", metric_text(metric, value), _bounds(metric, interval)]
            for size, value, interval in zip(sizes, values, bounds, strict=True)
        ]
        text = "Bars: 95 % intervals."
        text += " Dashed: the baseline." if baseline.get(metric) is not None else ""
        tabled = table(["training examples", title(metric), "95 % interval"], rows)
        made.append(Plot(f"{title(metric)[0].upper()}{title(metric)[1:]}", svg, text, tabled))
    return made


def _points(found: Mapping[str, Any]) -> Table:
    """A row for each size, and one for the baseline."""
    metrics = _metrics(found["points"])
    rows = [
        [
            f"{point['examples']:,}",
            *(
                f"{metric_text(name, point[name])} ({_bounds(name, point[f'{name}_interval'])})"
                for name in metrics
            ),
        ]
        for point in found["points"]
    ]
    for name, values in found["baselines"].items():
        rows.append([f"baseline {name}", *(metric_text(key, values.get(key)) for key in metrics)])
    return table(["examples", *map(title, metrics)], rows)


def _commands(folder: Path, series: Mapping[str, Any], more: bool) -> list[Command]:
    source = (stored_settings(folder) or {}).get("data", {}).get("source") or "DATA"
    full = folder / series["runs"][0]
    made = [Command("Look at where the model of all examples fails", command("report", full))]
    other = Command("See whether another backbone is better", command("rank", "--data", source))
    return [*made, other] if more else [other, *made]

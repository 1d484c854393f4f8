"""The page of a search over settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.csv_cells import read_cells
from keras_transfer.data.samples import LABEL
from keras_transfer.evaluation.layout import title
from keras_transfer.evaluation.study_plots import Line, plot_lines, plot_trials
from keras_transfer.reports.classification import Plot
from keras_transfer.reports.commands import Command, command, recipe_name
from keras_transfer.reports.studies.pairing import difference
from keras_transfer.reports.study import Section, StudyPage, Tile
from keras_transfer.reports.wording import Table, short, table
from keras_transfer.runs.directory import REQUIRED
from keras_transfer.runs.records import RUN, damaged, read_record
from keras_transfer.runs.run import Run
from keras_transfer.runs.searches import RUNNING
from keras_transfer.training.monitors import mode

__all__ = ["page"]

FILE = "search.json"
MAX_SETTINGS = 6
"""Most settings with a plot each."""


class _Found(NamedTuple):
    """A search.

    Attributes:
        folder: Its folder.
        monitor: What the trials are compared by.
        search: How each setting was drawn, and its range.
        trials: Those that have ended.
    """

    folder: Path
    monitor: str
    search: Mapping[str, Sequence[Any]]
    trials: Sequence[Mapping[str, Any]]

    @property
    def ranked(self) -> list[int]:
        """Places of the finished trials, the best first."""
        sign = -1 if mode(self.monitor) == "max" else 1
        done = [place for place, trial in enumerate(self.trials) if trial["value"] is not None]
        return sorted(done, key=lambda place: sign * self.trials[place]["value"])

    def run(self, place: int) -> Path:
        """Folder of a trial's run; of one that repeats another the run of that one."""
        trial = self.trials[place]
        same = (other for other in self.trials if other["values"] == trial["values"])
        return self.folder / str(next(same)["number"])

    def output(self, place: int) -> str:
        """Name of the first output of a trial's network."""
        return next(iter(Run(self.run(place)).outputs))

    @property
    def top(self) -> float | None:
        """Where plots end: above the finished trials, whose differences others would hide."""
        done = [self.trials[place]["value"] for place in self.ranked]
        if mode(self.monitor) == "max" or not done or min(done) <= 0:
            return None
        return float(1.5 * max(done))


def page(folder: Path) -> StudyPage:
    """What the page of a search says; its numbers are those of ``search.json``."""
    found = _read(folder)
    ranked = found.ranked
    best = ranked[0] if ranked else None
    ended = Counter(trial["state"] for trial in found.trials)
    counted = ", ".join(f"{n} {state}" for state, n in ended.items())
    tiles, commands, recipe = [Tile(str(len(found.trials)), "trials", counted)], [], "search"
    if best is not None:
        trial, run = found.trials[best], found.run(best)
        metadata = read_record(run / RUN, REQUIRED)
        recipe = str(metadata["recipe"])
        tiles.insert(0, Tile(f"{trial['value']:.4g}", found.monitor, f"trial {trial['number']}"))
        again = command("run", recipe_name(metadata), "-c", folder / "best.yaml")
        commands = [
            Command("Train with the best settings", again),
            Command("Look at where the best trial fails", command("report", run)),
        ]
    sentences, fine = _verdict(found, ranked)
    note = f"The ring is the best trial. {_direction(found.monitor)}"
    sections = [
        Section("settings", "What the settings do", note, _setting_plots(found, best)),
        Section("trials", "Trials", "", _progress(found), [("In their order", _trials(found))]),
    ]
    return StudyPage(
        "Search for settings", recipe, str(folder), sentences, fine, commands, tiles, sections
    )


def _read(folder: Path) -> _Found:
    record = read_record(folder / FILE, {"asked": dict, "trials": list})
    trials = [trial for trial in record["trials"] if trial["state"] != RUNNING]
    path = folder / "trials.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            monitor = read_cells(file)[0][2]
    except (OSError, ValueError, LookupError) as error:
        raise damaged(path, error) from None
    return _Found(folder, monitor, record["asked"].get("search", {}), trials)


def _direction(monitor: str) -> str:
    return f"{'Higher' if mode(monitor) == 'max' else 'Lower'} {monitor} is better."


def _verdict(found: _Found, ranked: Sequence[int]) -> tuple[list[str], bool]:
    if not ranked:
        return ["No trial came to its end; the table has the reasons."], False
    trial = found.trials[ranked[0]]
    values = ", ".join(
        f"{short(name, 40)} = {_shown(value)}" for name, value in trial["values"].items()
    )
    first = (
        f"The best of {len(found.trials)} trials is number {trial['number']}, with {found.monitor} "
        f"{trial['value']:.4g}: {values}."
    )
    sentences = [first, *_against_the_next(found, ranked)]
    sentences.append(
        "The val split chose among the trials, so it flatters the best one: judge it by the test "
        "split, with other seeds."
    )
    return sentences, False


def _against_the_next(found: _Found, ranked: Sequence[int]) -> list[str]:
    """Whether the best trial is clearly better than the next one with other settings, on val."""
    first = found.trials[ranked[0]]
    others = [place for place in ranked if found.trials[place]["values"] != first["values"]]
    if not others:
        return []
    second = found.trials[others[0]]
    output = found.output(ranked[0])
    row = difference([found.run(others[0])], [found.run(ranked[0])], output, "val")
    if row is None:
        return []
    of = f" of {short(output, 30)}" if output != LABEL else ""
    return [
        f"Its {title(row.metric)}{of} on {row.examples:,} val examples differs from that of the "
        f"next best, trial {second['number']}, by {row.text()}."
    ]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else short(value, 40)


def _setting_plots(found: _Found, best: int | None) -> list[Plot]:
    """The metric over the values of each setting."""
    metrics = [_metric(trial, found.monitor) for trial in found.trials]
    made = []
    for path, how in [*found.search.items()][:MAX_SETTINGS]:
        values = [trial["values"].get(path) for trial in found.trials]
        names = [_shown(value) for value in values]
        numbers = [value for value in values if isinstance(value, int | float)]
        choices = {name: place for place, name in enumerate(dict.fromkeys(names), start=1)}
        numeric = len(numbers) == len(values) and how[0] != "choice"
        x = numbers if numeric else [choices[name] for name in names]
        rows = [
            [name, f"{metric:.4g}" if np.isfinite(metric) else "-"]
            for name, metric in zip(names, metrics, strict=True)
        ]
        text = f"{len(choices)} values were tried."
        if not numeric:
            listed = "; ".join(f"{place}: {name}" for name, place in choices.items())
            text = f"Places on the axis: {short(listed, 300)}."
        svg = plot_trials(
            x,
            metrics,
            best,
            logarithmic=how[0] == "log",
            choices=not numeric,
            label=found.monitor,
            top=found.top,
        )
        text += _cut(metrics, found.top)
        made.append(Plot(short(path), svg, text, table(["value", found.monitor], rows)))
    return made


def _cut(values: Sequence[float], top: float | None) -> str:
    n = 0 if top is None else sum(value > top for value in values)
    return f" {n} of {len(values)} lie above the plot." if n else ""


def _metric(trial: Mapping[str, Any], monitor: str) -> float:
    """The value of a trial; of one that was given up its best epoch."""
    pick: Any = max if mode(monitor) == "max" else min
    if trial["value"] is not None:
        return float(trial["value"])
    return float(pick(trial["metrics"])) if trial["metrics"] else float("nan")


def _progress(found: _Found) -> list[Plot]:
    """The metric of each trial, and the best so far."""
    if not found.ranked:
        return []
    values = [_metric(trial, found.monitor) for trial in found.trials]
    done = [trial["value"] for trial in found.trials]
    pick: Any = max if mode(found.monitor) == "max" else min
    best = []
    for place in range(len(done)):
        known = [value for value in done[: place + 1] if value is not None]
        best.append(pick(known) if known else float("nan"))
    numbers = [trial["number"] for trial in found.trials]
    svg = plot_lines(
        [Line(numbers, best, marked=False), Line(numbers, values, thin=True)],
        x="trial",
        y=found.monitor,
        top=found.top,
    )
    rows = [
        [number, *(f"{value:.4g}" if np.isfinite(value) else "-" for value in pair)]
        for number, *pair in zip(numbers, values, best, strict=True)
    ]
    tabled = table(["trial", found.monitor, "best so far"], rows)
    text = (
        _direction(found.monitor)
        + _cut(values, found.top)
        + " A line that is still improving asks for more trials."
    )
    return [Plot("Progress", svg, text, tabled, ["best so far", "each trial"])]


def _trials(found: _Found) -> Table:
    paths = [*found.search]
    rows = [
        [
            trial["number"],
            trial["state"],
            None if trial["value"] is None else f"{trial['value']:.4g}",
            len(trial["metrics"]),
            *(_shown(trial["values"].get(path)) for path in paths),
            short(trial["reason"], 160),
        ]
        for trial in found.trials
    ]
    header = ["trial", "state", found.monitor, "epochs", *map(short, paths), "reason"]
    return table(header, rows)

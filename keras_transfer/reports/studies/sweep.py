"""The page of a learning rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_transfer import catalog
from keras_transfer.csv_cells import read_cells
from keras_transfer.evaluation.study_plots import Line, plot_lines
from keras_transfer.reports.classification import Plot
from keras_transfer.reports.commands import Command, command
from keras_transfer.reports.study import Section, StudyPage, Tile
from keras_transfer.reports.wording import table
from keras_transfer.runs.records import damaged, read_record
from keras_transfer.runs.sweeps import CURVE, FILE

__all__ = ["page"]

MEANS = {
    "three quarters": "the lowest rate at which the smoothed loss has made 3/4 of its decrease",
    "steepest": "where it falls fastest",
    "minimum/10": "a tenth of the rate where it is lowest",
}
APART = 10
"""Ratio of the highest suggestion to the lowest from which the rules disagree."""


def page(folder: Path) -> StudyPage:
    """What the page of a sweep says; its numbers are those of ``lr_find.json`` and ``.csv``."""
    found = read_record(folder / FILE, {"learning_rate": float, "rules": dict, "rule": str})
    rates, losses, smoothed = _curve(folder / CURVE)
    rate, rules = found["learning_rate"], found["rules"]
    factor = max(rules.values()) / min(rules.values())
    agree = factor < APART
    recipe = str(found.get("recipe", "RECIPE"))
    called = recipe if recipe in catalog.modules() or recipe == "RECIPE" else f"{recipe}.py"
    sentences = [
        f"The suggested learning rate is {rate:.3g}: {MEANS.get(found['rule'], found['rule'])}.",
        f"The suggestions of {len(rules)} rules lie within a factor of {factor:.2g}"
        + (", so any of them will do." if agree else ", so try more than one."),
        "It is that of the first stage that is trained, with this batch size and these data.",
    ]
    commands = [
        Command("Train with it", command("run", called, "--lr", f"{rate:.3g}")),
        Command("Have each run find its own", command("run", called, "--lr", "auto")),
    ]
    tiles = [
        Tile(f"{value:.3g}", name, "suggested" * (name == found["rule"]))
        for name, value in rules.items()
    ]
    rows = [[name, f"{value:.3g}", MEANS.get(name, "-")] for name, value in rules.items()]
    sections = [
        Section("curve", "Loss by learning rate", "", [_plot(rates, losses, smoothed, rate)]),
        Section(
            "rules", "Suggestions", "", tables=[("", table(["rule", "rate", "meaning"], rows))]
        ),
    ]
    return StudyPage(
        "Learning rate range test",
        recipe if recipe != "RECIPE" else "Learning rate",
        str(folder),
        sentences,
        agree,
        commands,
        tiles,
        sections,
    )


def _curve(path: Path) -> list[list[float]]:
    """Rates, losses and smoothed losses."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows: list[Any] = [[*map(float, row)] for row in read_cells(file)[1:]]
        rates, losses, smoothed = map(list, zip(*rows, strict=True))
    except (OSError, ValueError, LookupError) as error:
        raise damaged(path, error) from None
    return [rates, losses, smoothed]


def _plot(rates: list[float], losses: list[float], smoothed: list[float], rate: float) -> Plot:
    svg = plot_lines(
        [Line(rates, smoothed, marked=False), Line(rates, losses, marked=False, thin=True)],
        x="learning rate",
        y="loss",
        logarithmic=True,
        at=rate,
        top=1.5 * max(smoothed),  # where the loss diverges it would hide where it falls
    )
    rows = [
        [f"{rate:.3g}", f"{loss:.4g}", f"{smooth:.4g}"]
        for rate, loss, smooth in zip(rates, losses, smoothed, strict=True)
    ]
    text = "The dotted line is the suggested rate."
    tabled = table(["learning rate", "loss", "smoothed"], rows)
    return Plot("Sweep", svg, text, tabled, ["smoothed", "loss of each step"])

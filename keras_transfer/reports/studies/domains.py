"""The page of a comparison of two domains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_transfer.csv_cells import read_cells
from keras_transfer.evaluation.layout import shown
from keras_transfer.evaluation.study_plots import Point, plot_intervals
from keras_transfer.reports.classification import Plot
from keras_transfer.reports.commands import Command
from keras_transfer.reports.gallery import SIDE, Entry
from keras_transfer.reports.study import Group, Section, StudyPage, Tile
from keras_transfer.reports.thumbnails import sheet, thumbnail
from keras_transfer.reports.wording import Table, short, table
from keras_transfer.runs.records import damaged, read_record

__all__ = ["page"]

FILE = "domains.json"
FARTHEST = 24
"""Examples that are shown."""
MAX_FILE = 50_000_000
"""Bytes of an image that is still read."""
ESTIMATES = {
    "average_thresholded_confidence": "estimated by thresholded confidence",
    "difference_of_confidences": "estimated by the difference of confidences",
}
PURPOSES = ("Do that", "Or", "Or")


def page(folder: Path) -> StudyPage:
    """What the page of a comparison says; its numbers are those of ``domains.json``."""
    found = read_record(folder / FILE, {"source": dict, "target": dict, "accuracy": dict})
    advice, loss = found["recommendation"], found["loss"]
    how = "measured" if loss["measured"] else "estimated"
    between = f"{0 - loss['high']:+.3f} to {0 - loss['low']:+.3f}"
    distance = found["distances"]
    tiles = [
        Tile(f"{0 - loss['value']:+.3f}", f"accuracy on the target, {how}", between),
        Tile(f"{distance['a_distance']:.2f}", "proxy A-distance", "0: alike, 2: apart"),
        Tile(
            f"{found['target']['examples']:,}", "target examples", f"of {found['target']['of']:,}"
        ),
    ]
    commands = [
        Command(purpose, text) for purpose, text in zip(PURPOSES, advice["commands"], strict=False)
    ]
    sections = [
        Section("accuracy", "What the model loses", "", [_accuracies(found["accuracy"])]),
        _distances(found),
        Section("shares", "Class shares", _shift(found["label_shift"]),
                tables=[("", _shares(found["label_shift"]))]),
        *_map(folder),
        _examples(folder),
    ]  # fmt: skip
    return StudyPage(
        "Comparison of domains",
        f"{short(found['source']['name'], 50)} and {short(found['target']['name'], 50)}",
        str(folder),
        [found["verdict"]["text"], advice["text"]],
        not found["verdict"]["lost"],
        commands,
        tiles,
        sections,
    )


def _cell(one: Mapping[str, Any] | None, key: str = "value") -> str:
    return "-" if one is None else f"{one[key]:.3f} ({one['low']:.3f} to {one['high']:.3f})"


def _accuracies(found: Mapping[str, Any]) -> Plot:
    measured: list[tuple[str, Mapping[str, Any], str]] = [
        (f"accuracy on the {domain}", found[domain], "accuracy")
        for domain in ("source", "target")
        if found[domain]
    ]
    measured += [
        (f"on the target, {ESTIMATES.get(name, name)}", one, "value")
        for name, one in found["estimates"].items()
    ]
    points = [
        Point(one[key], (one["low"], one["high"]), int("target" in name))
        for name, one, key in measured
    ]
    rows = [
        [f"{number}. {name}", _cell(one, key)]
        for number, (name, one, key) in enumerate(measured, start=1)
    ]
    text = (
        "1 is the source; estimates need no labels, and can be wrong where examples look different."
    )
    svg = plot_intervals(points, label="accuracy", reference=found["held_out"])
    heading = "Accuracy; dashed: all held-out source examples"
    return Plot(heading, svg, text, table(["", "accuracy and 95 % interval"], rows))


def _distances(found: Mapping[str, Any]) -> Section:
    columns, header = [found["distances"]], ["measure", "as they are"]
    if found["distances_with_equal_shares"]:
        columns.append(found["distances_with_equal_shares"])
        header.append("with equal class shares")
    rows = [
        ["MMD²", *(f"{d['mmd']:.4f} (p = {d['mmd_p_value']:.3f})" for d in columns)],
        ["proxy A-distance (0 to 2)", *map(_a_distance, columns)],
        *(
            [f"{name} distance (two parts of the source)",
             *(f"{d[key]:.4g} ({d[f'{key}_reference']:.4g})" for d in columns)]
            for name, key in (("Fréchet", "frechet"), ("CORAL", "coral"))
        ),
    ]  # fmt: skip
    tables = [("", table(header, rows))]
    if found["per_class"]:
        by_class = [
            [
                short(row["class"]),
                *(f"{row[domain]:,}" for domain in ("source", "target")),
                f"{row['mmd_p_value']:.3f}",
                _a_distance(row),
            ]
            for row in found["per_class"]
        ]
        columns_ = ["class", "source", "target", "MMD p", "proxy A-distance"]
        tables.append(("By class, of its examples", table(columns_, by_class)))
    note = "In brackets: 95 % interval, p-value, or the same distance within the source."
    return Section("distances", "How far they are apart", note, tables=tables)


def _a_distance(row: Mapping[str, Any]) -> str:
    low, high = row["a_distance_low"], row["a_distance_high"]
    return f"{row['a_distance']:.2f} ({low:.2f} to {high:.2f})"


def _shift(shift: Mapping[str, Any]) -> str:
    by = "labels" if shift["by"] == "labels" else "predicted classes"
    found = "differ" if shift["found"] else "may be equal"
    return f"By the {by} the shares {found} (p = {shift['p_value']:.3f})."


def _shares(shift: Mapping[str, Any]) -> Table:
    rows = [
        [
            short(row["class"]),
            shown(row["source"]),
            shown(row["estimated"]),
            f"{shown(row['low'])} to {shown(row['high'])}" if row["determined"] else "-",
            shown(row["target"]),
        ]
        for row in shift["classes"]
    ]
    return table(["class", "source", "target, estimated", "95 % interval", "target, true"], rows)


def _map(folder: Path) -> list[Section]:
    image = sheet(folder / "map.png", 1100)
    if not image:
        return []
    note = "PCA and t-SNE of the features; crosses are examples of the target."
    return [Section("map", "Map", note, image=(image, "Examples of both domains as points"))]


def _examples(folder: Path) -> Section:
    """The target examples that are farthest from the source."""
    path = folder / "examples.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = read_cells(file)
        listed = [dict(zip(header, row, strict=True)) for row in rows]
        entries = [_entry(row) for row in listed[:FARTHEST]]
    except (OSError, ValueError, LookupError) as error:
        raise damaged(path, error) from None
    note = f"The {len(entries)} farthest of {len(listed):,}. Bold: what the model says."
    groups = [Group("Farthest from the source", note, entries)]
    note = "Look for what the source lacks: light, background, devices, words."
    return Section("examples", "Target examples", note, groups=groups)


def _entry(row: Mapping[str, str]) -> Entry:
    lines = [
        f"probability {float(row['probability']):.3f}",
        f"distance {float(row['distance']):.3g}",
    ]
    tone = ""
    if "true" in row:
        tone = "right" if row["true"] == row["predicted"] else "wrong"
        lines.insert(0, "right" if tone == "right" else f"is {short(row['true'])}")
    return Entry(
        [_preview(row["path"])], short(row["predicted"]), lines, [short(row["path"], 90)], tone=tone
    )


def _preview(path: str) -> tuple[str, str]:
    """Image of a file, or the name of an example that is none."""
    try:
        file = Path(path)
        if file.is_file() and file.stat().st_size < MAX_FILE:
            return thumbnail(file.read_bytes(), SIDE), ""
    except (OSError, ValueError):  # a text may be no name of a file
        pass
    return "", short(path, 240)

"""The page of a ranking of backbones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_transfer.evaluation.study_plots import Point, plot_intervals
from keras_transfer.reports.classification import Plot
from keras_transfer.reports.commands import Command
from keras_transfer.reports.study import Section, StudyPage, Tile
from keras_transfer.reports.wording import Table, interval, percent, short, table
from keras_transfer.runs.records import read_record

__all__ = ["page"]

FILE = "ranking.json"
SCORES = {"log_me": "LogME", "regularized_h_score": "H-score", "leep": "LEEP", "nce": "NCE"}


def page(folder: Path) -> StudyPage:
    """What the page of a ranking says; its numbers are those of ``ranking.json``."""
    found = read_record(folder / FILE, {"backbones": list, "examples": int, "classes": int})
    rows, best = found["backbones"], found["recommended"]
    sentences, fine = _verdict(found)
    shown = [row for row in rows if row["backbone"] == best] or rows[:1]
    tiles = [
        Tile(percent(shown[0]["accuracy"]), f"accuracy, {short(shown[0]['backbone'], 30)}",
             interval(shown[0]["interval"])),
        Tile(f"{shown[0]['images_per_second']:.0f}", "images/s", "on this machine"),
        Tile(f"{shown[0]['estimated_megabytes']:.0f} MB", "of weights", "float32, estimated"),
    ]  # fmt: skip
    command = found.get("command")
    commands = [Command("Train the recommended one", str(command))] if command else []
    note = (
        f"A logistic regression on frozen features, cross-validated on {found['examples']:,} "
        f"training images of {found['classes']} classes; val and test are not used."
    )
    sections = [
        Section("accuracy", "Accuracy and speed", note, [_accuracy(rows, best)],
                [("All backbones, the most accurate first", _table(rows))]),
        _scores(found),
    ]  # fmt: skip
    return StudyPage(
        "Ranking of backbones",
        "Which backbone suits the data",
        str(folder),
        sentences,
        fine,
        commands,
        tiles,
        sections,
    )


def _verdict(found: Mapping[str, Any]) -> tuple[list[str], bool]:
    rows, best = found["backbones"], found["recommended"]
    if best is None:
        fastest = max(row["images_per_second"] for row in rows)
        least = found["least_images_per_second"]
        return [f"None reaches {least:g} images/s; the fastest has {fastest:g}."], False
    (chosen,) = [row for row in rows if row["backbone"] == best]
    sentences = [
        f"Recommended is {best}: {percent(chosen['accuracy'])} (95 % interval "
        f"{interval(chosen['interval'])}) with a linear head, at {chosen['images_per_second']:.0f} "
        "images/s."
    ]
    slow = [row for row in rows if row.get("difference_interval", (0, 0))[0] > 0]
    if slow:
        sentences.append(_too_slow(slow, found.get("least_images_per_second")))
    close = [row for row in rows if row.get("within_noise")]
    if not close:
        count = len(rows) - 1 - len(slow)
        others = f"the {count} others" if count > 1 else "the other one"
        if count:
            sentences.append(f"It is better than {others} by more than noise.")
        elif not slow:
            sentences.append("It is the only one.")
        return sentences, not slow
    return [*sentences, *_choice(chosen, close)], False


def _too_slow(slow: Sequence[Mapping[str, Any]], least: float | None) -> str:
    """Of those that are better than the recommended one by more than noise, the best first."""
    first = slow[0]
    low, high = (100 * bound for bound in first["difference_interval"])
    asked = f", asked {least:g}" if least else ""
    more = f"; so are {len(slow) - 1} more" if len(slow) > 1 else ""
    return (
        f"{short(first['backbone'], 40)} is more accurate by {100 * first['difference']:.1f} "
        f"points ({low:.1f} to {high:.1f}) but too slow ({first['images_per_second']:.3g} "
        f"images/s{asked}){more}."
    )


def _choice(chosen: Mapping[str, Any], close: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which are within noise of the recommended one, and the fastest of them."""
    fast = max(close, key=lambda row: row["images_per_second"])
    low, high = (100 * bound for bound in fast["difference_interval"])
    names = ", ".join(short(row["backbone"], 40) for row in close[:3])
    more = f" and {len(close) - 3} more" if len(close) > 3 else ""
    factor = fast["images_per_second"] / max(chosen["images_per_second"], 0.1)
    return [
        f"Within noise of it: {names}{more}.",
        f"Of these {short(fast['backbone'], 40)} computes {factor:.2g} times as many images/s; its "
        f"difference is {100 * fast['difference']:+.1f} points ({low:+.1f} to {high:+.1f}): choose "
        "by speed and size.",
    ]


def _accuracy(rows: Sequence[Mapping[str, Any]], best: str | None) -> Plot:
    points = [
        Point(row["accuracy"], row["interval"], 1 if row["backbone"] == best else 0) for row in rows
    ]
    tabled = [
        [f"{number}. {short(row['backbone'])}", percent(row["accuracy"]), interval(row["interval"])]
        for number, row in enumerate(rows, start=1)
    ]
    svg = plot_intervals(points, label="accuracy of the linear probe")
    text = "Numbers as in the table; the second colour is the recommended one."
    header = ["backbone", "accuracy", "95 % interval"]
    return Plot("Accuracy with 95 % intervals", svg, text, table(header, tabled))


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = [
        [
            f"{number}. {short(row['backbone'])}",
            percent(row["accuracy"]),
            interval(row["interval"]),
            _difference(row),
            f"{row['images_per_second']:.0f}",
            f"{row['parameters']:,}",
            f"{row['estimated_megabytes']:.0f}",
            "yes" if row["pareto"] else "no",
        ]
        for number, row in enumerate(rows, start=1)
    ]
    header = ["backbone", "accuracy", "95 % interval", "difference, points", "images/s"]
    return table([*header, "parameters", "MB", "best at its speed"], cells)


def _difference(row: Mapping[str, Any]) -> str:
    if "difference" not in row:
        return "-"
    low, high = (100 * bound for bound in row["difference_interval"])
    noise = ", within noise" if row["within_noise"] else ""
    return f"{100 * row['difference']:+.1f} ({low:+.1f} to {high:+.1f}){noise}"


def _scores(found: Mapping[str, Any]) -> Section:
    """Scores of transferability, which need no training, and how they agree with the accuracy."""
    rows = [
        [
            short(row["backbone"]),
            *("-" if row[name] is None else f"{row[name]:.3f}" for name in SCORES),
        ]
        for row in found["backbones"]
    ]
    agreement = found.get("agreement", {})
    if agreement:
        taus = (agreement.get(name) for name in SCORES)
        rows.append(
            ["agreement with the accuracy (weighted tau)",
             *("-" if tau is None else f"{tau:.3f}" for tau in taus)]
        )  # fmt: skip
    note = "Scores without a classifier; the accuracy above is what decides."
    tables = [("", table(["backbone", *SCORES.values()], rows))]
    return Section("scores", "Scores of transferability", note, tables=tables)

"""The page of predictions for new examples: what was answered, least sure first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.evaluation.layout import metric_text, title
from keras_transfer.inputs.table import read_input
from keras_transfer.reports.answered import Answered, answered
from keras_transfer.reports.commands import Command, command
from keras_transfer.reports.examples import raw_example
from keras_transfer.reports.gallery import THREADS, Entry, preview
from keras_transfer.reports.study import Group, Section, StudyPage, Tile, render_study
from keras_transfer.reports.templates import MAX_BYTES
from keras_transfer.reports.wording import percent, quoted, short, table
from keras_transfer.reports.writing import write_page
from keras_transfer.runs.given import store_of
from keras_transfer.runs.prediction import Prediction
from keras_transfer.runs.predictor import Predictor

__all__ = ["write_predictions"]

MOST = 600
"""Examples that are shown."""
CAPS = (200, 100, 50, 24, 12, 6, 3, 1, 0)
"""Most examples of each answer; fewer where there are many answers, or the page is too large."""
UNSURE = 24
"""Examples of the section of the least sure ones."""
LOW = 0.7
"""Probability below which an answer is called unsure."""

logger = logging.getLogger("keras_transfer")


def write_predictions(
    path: Path,
    model: Predictor,
    given: Sequence[Any],
    predictions: Sequence[Prediction],
    said: Callable[[Prediction], str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """Write a page of predictions.

    Args:
        path: The file.
        model: The run or export that has answered.
        given: What ``predict`` was given: paths, images or texts.
        predictions: Its answers.
        said: Gives a line more for a prediction, such as its prediction set.
        max_bytes: Examples are left out of a page that would be larger.

    Returns:
        The file.

    Raises:
        BadConfiguration: It cannot be written.
    """
    columns = read_input(model.settings["input"]).text_columns
    found = [answered(place, one, said) for place, one in enumerate(predictions) if not one.error]
    # Least sure first; where nothing has a probability, in their order.
    found.sort(key=lambda one: 0.0 if one.share is None else one.share)
    shown = _Shown(given, predictions, columns)
    page = ""
    for cap in CAPS:
        chosen, groups = _chosen(found, cap)
        if len(chosen) > MOST and cap > 1:
            continue
        shown.load(chosen[:MOST])
        made = _page(model, predictions, found, groups, {*chosen[:MOST]}, shown)
        page = render_study(made)
        if len(page.encode()) < max_bytes:
            break
    return write_page(path, page)


class _Shown:
    """Reads examples, each once."""

    def __init__(self, given: Sequence[Any], predictions: Sequence[Prediction], columns: Any):
        self.paths = [one.path for one in predictions]
        names, store = store_of(given, columns=columns)
        # Files may have come or gone since: an example is known by its name.
        self.rows = {name: row for row, name in enumerate(names)}
        self.samples = Samples.of(store, [""], names, [0] * len(names))
        self.texts = bool(columns)
        self.found: dict[int, tuple[str, str]] = {}

    def load(self, places: Iterable[int]) -> None:
        new = [place for place in places if place not in self.found]
        with ThreadPool(THREADS) as threads:
            self.found |= zip(new, threads.imap(self._read, new, chunksize=8), strict=True)

    def _read(self, place: int) -> tuple[str, str]:
        row = self.rows.get(self.paths[place])
        return ("", "") if row is None else preview(raw_example(self.samples, row), self.texts)


def _chosen(found: Sequence[Answered], cap: int) -> tuple[list[int], dict[str, list[Answered]]]:
    """Places of the examples to show, and the answers by group, the largest group first."""
    groups: dict[str, list[Answered]] = {}
    for one in found:
        for name in one.groups:
            groups.setdefault(name, []).append(one)
    # What is like nothing in training comes first.
    ordered = sorted(groups.items(), key=lambda row: (not row[1][0].unknown, -len(row[1])))
    unsure = [one.place for one in _unsure(found)] if cap else []
    places = dict.fromkeys(unsure)
    for _, members in ordered:
        places |= dict.fromkeys(one.place for one in members[:cap])
    return [*places], dict(ordered)


def _unsure(found: Sequence[Answered]) -> list[Answered]:
    return [one for one in found if one.share is not None and not one.unknown][:UNSURE]


def _page(
    model: Predictor,
    predictions: Sequence[Prediction],
    found: Sequence[Answered],
    groups: Mapping[str, Sequence[Answered]],
    chosen: set[int],
    shown: _Shown,
) -> StudyPage:
    unit = "text" if shown.texts else "image"
    bad = [one for one in predictions if one.error]
    left_out = len(found) - len(chosen)
    sections = [_counts(groups, len(found), left_out, unit)]
    if unsure := [one for one in _unsure(found) if one.place in chosen]:
        entries = [_entry(one, shown) for one in unsure]
        note = f"The {len(entries)} with the lowest probability. Label some: they say most."
        sections.append(Section("unsure", "The least sure", groups=[Group("", note, entries)]))
    listed = [_group(name, members, chosen, shown) for name, members in groups.items() if chosen]
    note = "Least sure first." if unsure else ""
    sections.append(
        Section("answers", "By answer", note, groups=[one for one in listed if one.entries])
    )
    if bad:
        rows = [[short(one.path, 90), short(one.error, 300)] for one in bad]
        tables = [("", table([unit, "reason"], rows))]
        sections.append(Section("bad", "Cannot be used", f"{len(bad):,} files.", tables=tables))
    sentences = _verdict(model, found, groups, len(bad), unit)
    return StudyPage(
        "Predictions",
        str(model.folder),
        "",
        sentences,
        False,
        _commands(model),
        _tiles(found, groups, len(bad), unit),
        sections,
    )


def _entry(one: Answered, shown: _Shown) -> Entry:
    tone = "unknown" if one.unknown else "plain"
    paths = [] if shown.texts else [short(shown.paths[one.place], 90)]
    example = shown.found.get(one.place, ("", ""))
    return Entry([example], one.title, one.lines, paths, one.share, tone)


def _group(name: str, members: Sequence[Answered], chosen: set[int], shown: _Shown) -> Group:
    entries = [_entry(one, shown) for one in members if one.place in chosen]
    left_out = len(members) - len(entries)
    note = f"{len(members):,} examples."
    if left_out:
        note += f" {left_out:,} are left out to keep this file small; --format csv has all."
    return Group(short(name), note, entries)


def _counts(groups: Mapping[str, Sequence[Answered]], n: int, left_out: int, unit: str) -> Section:
    """Numbers of examples by answer."""
    rows = []
    for name, members in groups.items():
        shares = [one.share for one in members if one.share is not None]
        known = bool(shares)
        rows.append(
            [
                short(name),
                f"{len(members):,}",
                percent(len(members) / n),
                percent(float(np.mean(shares))) if known else "-",
                percent(min(shares)) if known else "-",
            ]
        )
    header = ["answer", "examples", "share", "mean probability", "lowest"]
    note = (
        "All are shown."
        if not left_out
        else (
            f"{n - left_out:,} of {n:,} {unit}s are shown, the least sure of each answer; "
            f"{left_out:,} are left out to keep this file small. kt-recipe predict --format csv "
            "has all."
        )
    )
    return Section("counts", "Answers", note, tables=[("", table(header, rows))])


def _verdict(
    model: Predictor,
    found: Sequence[Answered],
    groups: Mapping[str, Sequence[Answered]],
    bad: int,
    unit: str,
) -> list[str]:
    shown = ", ".join(f"{len(members):,} {quoted(name)}" for name, members in [*groups.items()][:4])
    more = f" and {len(groups) - 4:,} more answers" if len(groups) > 4 else ""
    broken = f"; {bad:,} cannot be used" if bad else ""
    sentences = [f"{len(found):,} {unit}s: {shown or 'no answer'}{more}{broken}."]
    shares = [one.share for one in found if one.share is not None]
    if shares:
        low = sum(share < LOW for share in shares)
        sentences.append(
            f"{low:,} of {len(shares):,} answers have a probability below {LOW:g}: look at these "
            "first."
        )
    sentences.append(_reach(model))
    return sentences


def _reach(model: Predictor) -> str:
    """What is known of how many answers are right: nothing, but how it was on the test split."""
    before = "No labels are known here, so neither is the share of right answers"
    name, output = next(iter(model.outputs.items()))
    test = getattr(model, "metrics", {}).get("test", {})
    metrics = test if [*model.outputs] == [LABEL] else test.get(name, {})
    metric = output.objective.headline[0]
    value, bounds = metrics.get(metric), metrics.get(f"{metric}_interval")
    if not isinstance(value, float):
        return f"{before}."
    between = (
        ""
        if bounds is None
        else " (95 % interval {} to {})".format(*(metric_text(metric, bound) for bound in bounds))
    )
    shown = metric_text(metric, value)
    return f"{before}; on the run's own test split {title(metric)} is {shown}{between}."


def _tiles(
    found: Sequence[Answered],
    groups: Mapping[str, Sequence[Answered]],
    bad: int,
    unit: str,
) -> list[Tile]:
    tiles = [Tile(f"{len(found):,}", f"{unit}s", f"{bad:,} cannot be used" if bad else "")]
    if shares := [one.share for one in found if one.share is not None]:
        low = sum(share < LOW for share in shares)
        tiles.append(Tile(f"{low:,}", "unsure", f"probability below {LOW:g}"))
        tiles.append(Tile(percent(float(np.median(shares))), "median probability"))
    if unknown := sum(one.unknown for one in found):
        tiles.append(Tile(f"{unknown:,}", "unknown", "unlike training, or too unsure"))
    return tiles


def _commands(model: Predictor) -> list[Command]:
    folder = model.folder
    measure = Command(
        "Label some of them and measure", command("evaluate", folder, "--data", "LABELLED_DATA")
    )
    classes = [output.objective.type for output in model.outputs.values()] == ["classification"]
    if not classes or not (Path(folder) / "run.json").exists():
        return [measure]
    compare = command("domains", folder, "--target", "NEW_DATA")
    return [measure, Command("See whether they are like the training data", compare)]

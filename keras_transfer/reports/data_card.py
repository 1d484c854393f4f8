"""The data card: which examples the run learnt from and was measured on."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.csv_cells import read_cells
from keras_transfer.data.samples import SPLITS, Samples
from keras_transfer.data.splits import conflicts, leaks, torn_groups
from keras_transfer.reports.examples import Examples
from keras_transfer.reports.thumbnails import ImageFacts, image_facts
from keras_transfer.reports.wording import Table, short, table

__all__ = ["Copies", "DataCard", "data_card", "sampled"]

SAMPLED = 300
"""Images whose size and brightness are looked at."""
LISTED = 20
"""Most cases of a problem that are listed."""

Rows = Sequence[Mapping[str, str]]


class Copies(NamedTuple):
    """Exact copies of examples.

    Attributes:
        within: Number of examples by split that are copies of another one in it.
        leaks: Examples that lie in several splits, a line for each.
        torn: Groups that lie in several splits, a line for each.
        seen: Number of test examples that are copies of one in train or val.
        conflicts: Copies with different labels, a line for each.
    """

    within: dict[str, int]
    leaks: list[str]
    torn: list[str]
    conflicts: list[str]
    seen: int


class DataCard(NamedTuple):
    """What is known of the data.

    Attributes:
        counts: Examples by class (or stratum) and split.
        train: Number of training examples by class.
        copies: Exact copies.
        facts: Distribution of image sizes and brightness.
        sampled: Number of images that ``facts`` are from.
        bad: Path and reason of examples that were left out, the first ones.
        bad_count: Number of all of them.
    """

    counts: Table
    train: dict[str, int]
    copies: Copies
    facts: Table
    sampled: int
    bad: Table
    bad_count: int


def data_card(folder: Path, rows: Rows, examples: Examples, what: str) -> DataCard:
    """Describe the data of a run.

    Args:
        folder: The run folder.
        rows: Of its ``split.csv``.
        examples: Reads examples; texts have no sizes.
        what: What the column "label" holds: "class" or "stratum".
    """
    by_class = Counter((row["label"], row["split"]) for row in rows)
    labels = sorted({row["label"] for row in rows})
    counts = [[short(name), *(by_class[name, split] for split in SPLITS)] for name in labels]
    totals = [sum(by_class[name, split] for name in labels) for split in SPLITS]
    shown = table([what, *SPLITS], [["all", *totals], *counts])
    train = {name: by_class[name, "train"] for name in labels}
    facts = [] if examples.are_texts else _facts(rows, examples)
    bad = _bad_files(folder / "bad_files.csv")
    listed = table(["file", "reason"], [[short(p, 90), short(r, 120)] for p, r in bad[:LISTED]])
    return DataCard(shown, train, _copies(rows), _summary(facts), len(facts), listed, len(bad))


def sampled(rows: Rows) -> list[str]:
    """Paths of evenly spaced examples of all splits."""
    if not rows:
        return []
    places = np.unique(np.linspace(0, len(rows) - 1, SAMPLED).astype(int))
    return [rows[place]["path"] for place in places]


def _facts(rows: Rows, examples: Examples) -> list[ImageFacts]:
    def look(key: str) -> ImageFacts | None:
        raw = examples.find(key)
        return None if raw is None else image_facts(raw)

    with ThreadPool(4) as threads:
        return [found for found in threads.map(look, sampled(rows)) if found is not None]


def _summary(facts: Sequence[ImageFacts]) -> Table:
    """Smallest, quartiles and largest of each property."""
    header = ["", "smallest", "25 %", "median", "75 %", "largest"]
    if not facts:
        return table(header, [])
    width, height, brightness = np.array(facts, float).T
    properties: tuple[tuple[str, Any, str], ...] = (
        ("width, pixels", width, ".0f"),
        ("height, pixels", height, ".0f"),
        ("width / height", width / height, ".2f"),
        ("brightness, 0 to 255", brightness, ".0f"),
    )
    return table(
        header,
        [
            [name, *(format(value, form) for value in np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))]
            for name, values, form in properties
        ],
    )


def _copies(rows: Rows) -> Copies:
    classes = sorted({row["label"] for row in rows})
    number = {name: place for place, name in enumerate(classes)}
    columns = {
        name: [row[column] for row in rows]
        for name, column in (("splits", "split"), ("groups", "group"), ("digests", "digest"))
    }
    keys, labels = [row["path"] for row in rows], [number[row["label"]] for row in rows]
    store: Any = None  # nothing is read
    samples = Samples.of(store, classes, keys, labels, **columns)
    within = {}
    for split in SPLITS:
        known = [digest for digest in samples.split(split).digests if digest]
        within[split] = len(known) - len(set(known))
    before = {*samples.split("train").digests, *samples.split("val").digests} - {""}
    seen = sum(digest in before for digest in samples.split("test").digests)
    return Copies(within, leaks(samples), torn_groups(samples), conflicts(samples), seen)


def _bad_files(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            return [row for row in read_cells(file)[1:] if len(row) == 2]
    except (OSError, ValueError, csv.Error):
        return []

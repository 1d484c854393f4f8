"""Examples with what was found of each, as a part of a page."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from typing import NamedTuple

from keras_transfer.data.samples import Samples
from keras_transfer.reports.examples import raw_example
from keras_transfer.reports.gallery import THREADS, Entry, preview
from keras_transfer.reports.study import Group, Section
from keras_transfer.reports.wording import short

__all__ = ["Finding", "contact_sheet"]

SHOWN = 60
"""Most findings that are shown."""


class Finding(NamedTuple):
    """Something about one example, or about several.

    Attributes:
        places: Rows of the examples.
        title: What was found, in a few words.
        lines: What else is known.
    """

    places: tuple[int, ...]
    title: str
    lines: tuple[str, ...] = ()


def contact_sheet(
    anchor: str,
    title: str,
    note: str,
    findings: Sequence[Finding],
    samples: Samples,
    texts: bool = False,
) -> Section:
    """A section of a page with the first findings.

    Args:
        anchor: Its id.
        title: Heading.
        note: What the findings are, and what to do about them.
        findings: The most important first.
        samples: The examples.
        texts: Whether these are texts.
    """

    def entry(finding: Finding) -> Entry:
        examples = [preview(raw_example(samples, place), texts) for place in finding.places]
        paths = [short(str(samples.keys[place]), 90) for place in finding.places]
        return Entry(examples, short(finding.title), [*map(short, finding.lines)], paths)

    with ThreadPool(THREADS) as threads:
        entries = threads.map(entry, findings[:SHOWN])
    left_out = len(findings) - len(entries)
    shown = f"{len(findings):,} found."
    if left_out:
        shown += f" The first {len(entries)} are shown; the table has all."
    return Section(anchor, title, note, groups=[Group("", shown, entries)])

"""A page of examples with what was found of each: one self-contained file."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

from keras_transfer.atomic import write_bytes
from keras_transfer.data.samples import Samples
from keras_transfer.reports.examples import raw_example
from keras_transfer.reports.gallery import THREADS, Entry, preview
from keras_transfer.reports.templates import environment
from keras_transfer.reports.wording import short

__all__ = ["Finding", "Section", "write_sheet"]

SHOWN = 60
"""Most findings of a section."""


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


class Section(NamedTuple):
    """Findings of one sort, the most important first.

    Attributes:
        title: Heading.
        note: What the findings are, and what to do about them.
        findings: All of them; the page shows the first ones.
    """

    title: str
    note: str
    findings: Sequence[Finding]


class _Shown(NamedTuple):
    """A section with what is shown of its findings."""

    title: str
    note: str
    entries: list[Entry]
    left_out: int


def write_sheet(
    path: Path,
    samples: Samples,
    sections: Sequence[Section],
    *,
    title: str,
    data: str,
    sentences: Sequence[str] = (),
    texts: bool = False,
) -> None:
    """Write a page.

    Args:
        path: The file.
        samples: The examples.
        sections: What was found of them.
        title: Heading.
        data: Where the examples are from.
        sentences: What stands before the sections.
        texts: Whether the examples are texts.
    """
    shown = []
    for section in sections:
        entries = _entries(samples, section.findings[:SHOWN], texts)
        left_out = max(len(section.findings) - SHOWN, 0)
        shown.append(_Shown(section.title, section.note, entries, left_out))
    page = (
        environment()
        .get_template("sheet.html")
        .render(title=title, data=data, sentences=sentences, sections=shown)
    )
    write_bytes(path, page.encode("utf-8", "backslashreplace"))


def _entries(samples: Samples, findings: Sequence[Finding], texts: bool) -> list[Entry]:
    def entry(finding: Finding) -> Entry:
        examples = [preview(raw_example(samples, place), texts) for place in finding.places]
        paths = [short(str(samples.keys[place]), 90) for place in finding.places]
        return Entry(examples, finding.title, finding.lines, paths)

    with ThreadPool(THREADS) as threads:
        return threads.map(entry, findings)

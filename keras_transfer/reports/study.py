"""The page of a study: what was found, in a few sentences, and the plots and tables behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keras_transfer.reports.classification import Plot
from keras_transfer.reports.commands import Command
from keras_transfer.reports.gallery import Entry
from keras_transfer.reports.templates import environment
from keras_transfer.reports.wording import Table

__all__ = ["Group", "Section", "StudyPage", "Tile", "render_study"]


class Tile(NamedTuple):
    """A number to look at first.

    Attributes:
        value: As text.
        name: What it is.
        remark: An interval, or what it is compared with.
    """

    value: str
    name: str
    remark: str = ""


class Group(NamedTuple):
    """Examples that have something in common.

    Attributes:
        title: Heading; empty: that of the section.
        note: What they have in common, and how many there are.
        entries: Some of them.
    """

    title: str
    note: str
    entries: Sequence[Entry]


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        id: Of its anchor.
        title: Heading.
        note: What it shows.
        plots: Each with the table behind it.
        tables: Caption and table.
        groups: Examples.
        image: Data URI of an image, and what it shows; None: there is none.
    """

    id: str
    title: str
    note: str = ""
    plots: Sequence[Plot] = ()
    tables: Sequence[tuple[str, Table]] = ()
    groups: Sequence[Group] = ()
    image: tuple[str, str] | None = None


class StudyPage(NamedTuple):
    """What a page says.

    Attributes:
        what: Of which study, such as "Learning curve".
        title: Heading, such as the name of the recipe.
        place: Folder of the study.
        verdict: Up to three sentences; the last one is what to worry about.
        fine: Whether that is nothing.
        commands: What to do next, the first one first.
        tiles: The numbers to look at first.
        sections: The rest.
    """

    what: str
    title: str
    place: str
    verdict: Sequence[str]
    fine: bool
    commands: Sequence[Command]
    tiles: Sequence[Tile]
    sections: Sequence[Section]


def render_study(page: StudyPage) -> str:
    """The page as HTML."""
    return environment().get_template("study.html").render(page=page)

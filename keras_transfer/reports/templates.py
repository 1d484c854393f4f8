"""Templates of pages, and their style."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from keras_transfer.reports.wording import short, visible

__all__ = ["MAX_BYTES", "environment", "style"]

PAGE = Path(__file__).with_name("page")
MAX_BYTES = 5_000_000
"""Of a page, so that it can be mailed."""


def environment() -> jinja2.Environment:
    """Reads templates; what is written into them is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Applied to all that is written into the page, before it is escaped.
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    made.globals |= {"short": short, "svg": Markup, "css": style()}
    return made


def style() -> Markup:
    """The style sheet, as a page holds it."""
    return Markup((PAGE / "style.css").read_text("utf-8"))

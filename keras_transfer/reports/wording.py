"""How a report writes numbers, names and tables."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.evaluation.layout import metric_text, title
from keras_transfer.evaluation.mistakes import Share

__all__ = [
    "Table",
    "interval",
    "metrics_table",
    "percent",
    "quoted",
    "rounded_down",
    "share_text",
    "short",
    "table",
    "unit_table",
    "visible",
]

MAX_NAME = 60
MAX_ROWS = 300
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of what cannot be seen, or changes how other letters are shown."""


class Table(NamedTuple):
    """A table of texts.

    Attributes:
        header: Titles of the columns.
        rows: Cells by row.
        left_out: Number of further rows that are not shown.
    """

    header: list[str]
    rows: list[list[str]]
    left_out: int = 0


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table of up to ``MAX_ROWS`` rows; None is shown as "-"."""
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    return Table([*header], cells[:MAX_ROWS], max(len(cells) - MAX_ROWS, 0))


def visible(text: str) -> str:
    """The text with control and formatting characters, and broken Unicode, as escapes.

    A class or a file may have such a name; HTML cannot hold some, and others reorder the text.
    """
    if text.isprintable():  # nearly all, and images as text are long
        return text
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in HIDDEN else ascii(char)[1:-1]
        for char in text
    )


def short(text: Any, length: int = MAX_NAME) -> str:
    """A name, or its beginning and end where it is long; line breaks as escapes."""
    shown = visible(str(text)).replace("\n", "\\n").replace("\t", "\\t")
    if len(shown) <= length:
        return shown
    end = length * 2 // 3  # the end of a path says more than its beginning
    return f"{shown[: length - end - 1]}…{shown[-end:]}"


def quoted(name: Any) -> str:
    """A name within a sentence."""
    return f"“{short(name, 40)}”"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in percent."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def interval(bounds: Sequence[float] | None, form: str = "") -> str:
    """An interval, in percent unless another format is given."""
    if bounds is None:
        return "-"
    if form:
        return " to ".join(format(bound, form) for bound in bounds)
    low, high = (100 * bound for bound in bounds)
    return f"{low:.1f} to {high:.1f} %"


def rounded_down(threshold: float) -> str:
    """A probability with enough digits to differ from 1, never above what it was."""
    left = 1 - threshold
    digits = 3 if left <= 0 else max(3, int(np.ceil(-np.log10(left))) + 1)
    return f"{np.floor(threshold * 10**digits) / 10**digits:.{digits}f}"


def share_text(share: Share) -> str:
    """A share with its interval."""
    return "-" if share.value is None else f"{percent(share.value)} ({interval(share.interval)})"


LEFT_OUT = ("n", "distinct", "words", "entities", "predicted")


def metrics_table(
    test: Mapping[str, Any], val: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]
) -> Table:
    """The metrics that are numbers: test with interval, val, and those of each baseline."""
    names = [name for name, value in test.items() if _is_number(value) and name not in LEFT_OUT]
    rows = []
    for name in names:
        bounds = test.get(f"{name}_interval")
        shown = "-" if bounds is None else " to ".join(metric_text(name, one) for one in bounds)
        others = [metric_text(name, row.get(name)) for row in (val, *baselines.values())]
        rows.append([title(name), metric_text(name, test[name]), shown, *others])
    columns = [f"baseline {short(name, 30)}" for name in baselines]
    return table(["metric", "test", "95 % interval", "val", *columns], rows)


def unit_table(of: str, units: Mapping[str, Mapping[str, Any]]) -> Table:
    """Metrics by label or target; with their intervals."""
    names = [name for name in next(iter(units.values()), {}) if not name.endswith("_interval")]
    rows = [
        [short(unit), *(_with_interval(name, metrics) for name in names)]
        for unit, metrics in units.items()
    ]
    return table([of, *map(title, names)], rows)


def _with_interval(name: str, metrics: Mapping[str, Any]) -> str:
    value, bounds = metrics.get(name), metrics.get(f"{name}_interval")
    if isinstance(value, int):
        return f"{value:,}"
    shown = metric_text(name, value)
    if bounds is None:
        return shown
    low, high = (metric_text(name, one) for one in bounds)
    return f"{shown} ({low} to {high})"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

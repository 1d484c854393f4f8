"""Plots of several runs inside of an HTML page: points with intervals, and lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from keras_transfer.evaluation.inline_plots import LINES, TEXT, drawn

__all__ = ["Line", "Point", "plot_intervals", "plot_lines", "plot_trials"]

MOST_TICKS = 8
"""Most values of a logarithmic axis that are written out."""

MAX_INTERVALS = 40
"""Most points of a plot with intervals: its height grows with them."""


class Point(NamedTuple):
    """A value with its interval; None: there is none.

    Attributes:
        value: In the middle.
        interval: Its ends.
        colour: Number of the colour.
    """

    value: float | None
    interval: Sequence[float] | None = None
    colour: int = 0


class Line(NamedTuple):
    """A line of a plot.

    Attributes:
        x: (n,) places.
        y: (n,) values; NaN: not known.
        interval: (n, 2) ends of intervals; None: there are none.
        marked: Whether each point has a mark.
        thin: Whether the line is faint, as the noise behind another.
    """

    x: Sequence[float]
    y: Sequence[float]
    interval: Sequence[Sequence[float] | None] | None = None
    marked: bool = True
    thin: bool = False


def plot_intervals(points: Sequence[Point], *, label: str, reference: float | None = None) -> str:
    """Draw values with intervals below each other, numbered from 1 at the top.

    Args:
        points: The first ``MAX_INTERVALS`` are drawn.
        label: Of the horizontal axis.
        reference: Where a dashed line is drawn, such as a baseline or 0.
    """
    shown = points[:MAX_INTERVALS]

    def draw(axes: Axes) -> None:
        for number, (value, interval, colour) in enumerate(shown, start=1):
            line = LINES[colour % len(LINES)]
            if interval is not None:
                axes.plot([*interval], [number, number], color=line, linewidth=2)
            if value is not None:
                axes.plot([value], [number], "o", color=line, markersize=5)
        if reference is not None:
            axes.axvline(reference, color=TEXT, linestyle="--", linewidth=0.8)
        axes.set(xlabel=label, ylim=(len(shown) + 0.7, 0.3))
        axes.set_yticks(range(1, len(shown) + 1))
        axes.xaxis.set_major_locator(MaxNLocator(6))

    return drawn(draw, max(1.5, min(0.75 + 0.26 * len(shown), 8)))


def plot_lines(
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    logarithmic: bool = False,
    at: float | None = None,
    reference: float | None = None,
    top: float | None = None,
) -> str:
    """Draw lines, one colour each.

    Args:
        lines: Of them the first are in front.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        logarithmic: Whether the horizontal axis is.
        at: Where a vertical dotted line is drawn, such as a value that was chosen.
        reference: Where a horizontal dashed line is drawn, such as a baseline.
        top: Where the vertical axis ends; None: above all values.
    """

    def draw(axes: Axes) -> None:
        for number, one in reversed([*enumerate(lines)]):
            colour = LINES[number % len(LINES)]
            for place, bounds in zip(one.x, one.interval or (), strict=False):
                if bounds is not None:
                    axes.plot([place, place], [*bounds], color=colour, linewidth=1.2, alpha=0.6)
            style: dict[str, Any] = {"marker": "o", "markersize": 4} if one.marked else {}
            how: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.45} if one.thin else {}
            axes.plot(one.x, one.y, color=colour, **style, **how)
        if at is not None:
            axes.axvline(at, color=TEXT, linestyle=":", linewidth=1.2)
        if reference is not None:
            axes.axhline(reference, color=TEXT, linestyle="--", linewidth=0.8)
        axes.set(xlabel=x, ylabel=y)
        if logarithmic:
            _make_logarithmic(axes, [place for one in lines for place in one.x])
        if top is not None:
            axes.set_ylim(top=top)

    return drawn(draw)


def _make_logarithmic(axes: Axes, x: Sequence[float]) -> None:
    """Few values are the ticks themselves: labels between powers of ten would overlap."""
    axes.set_xscale("log")
    values = sorted(set(x))
    if len(values) <= MOST_TICKS:
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()


def plot_trials(
    x: Sequence[float],
    y: Sequence[float],
    best: int | None,
    *,
    label: str,
    logarithmic: bool = False,
    choices: bool = False,
    top: float | None = None,
) -> str:
    """Draw the metric of each trial over the value of a setting; a ring around the best.

    Args:
        x: (n,) values of the setting.
        y: (n,) metrics; NaN: not known.
        best: Place of the best trial; None: there is none.
        label: Of the vertical axis.
        logarithmic: Whether the horizontal axis is.
        choices: Whether the values are numbers of choices from 1 on.
        top: Where the vertical axis ends; None: above all values.
    """

    def draw(axes: Axes) -> None:
        axes.plot(x, y, "o", color=LINES[0], markersize=4, alpha=0.8)
        if best is not None and np.isfinite(y[best]):
            ring: dict[str, Any] = {
                "markersize": 11,
                "markerfacecolor": "none",
                "markeredgewidth": 1.6,
            }
            axes.plot([x[best]], [y[best]], "o", color=LINES[1], **ring)
        axes.set(xlabel="value", ylabel=label)
        if logarithmic:
            _make_logarithmic(axes, x)
        if choices:
            axes.set_xticks(range(1, int(max(x)) + 1))
            axes.set_xlim(0.5, max(x) + 0.5)
        if top is not None:
            axes.set_ylim(top=top)

    return drawn(draw, 2.3)

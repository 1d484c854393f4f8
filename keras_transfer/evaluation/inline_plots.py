"""Plots inside of an HTML page: SVG by Matplotlib, in the colours of the page's style sheet.

Text stays text, and no text of users is drawn. Lines have the CSS variables ``--c0`` to ``--c5`` as
colours, and axes that of the text, so a page with a dark style has dark plots.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # not pyplot: no window, no state shared with the user's
from matplotlib.ticker import MaxNLocator

from keras_transfer.evaluation.reliability import Reliability
from keras_transfer.evaluation.selective import RiskCoverage

__all__ = [
    "COLOURS",
    "LINES",
    "TEXT",
    "drawn",
    "plot_epochs",
    "plot_precision_recall",
    "plot_reliability",
    "plot_risk_coverage",
]

COLOURS = 6
"""Number of colours of lines."""

MAX_POINTS, MAX_MARKED = 300, 60
"""Most points of a curve, and most epochs with a mark each: a plot should take few bytes."""

TEXT = "#010203"
LINES = [f"#0a0b{number:02x}" for number in range(COLOURS)]
# What Matplotlib cannot write itself: its colours stand for these.
CSS = {TEXT: "currentColor"} | {line: f"var(--c{n})" for n, line in enumerate(LINES)}

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "keras_transfer",  # the same file from the same numbers
    "font.size": 9,
    "text.color": TEXT,
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), TEXT),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": TEXT,
    "grid.alpha": 0.12,
}


def plot_epochs(
    train: Sequence[float],
    val: Sequence[float],
    *,
    chosen: int | None,
    ends: Sequence[int],
    label: str,
) -> str:
    """Draw a metric of the train split (first colour) and of the val split by epoch.

    Args:
        train: By epoch over all stages; may be empty.
        val: By epoch; may be empty.
        chosen: Place of the chosen epoch; None: not known.
        ends: Number of epochs up to the end of each stage.
        label: Of the vertical axis.
    """

    def draw(axes: Axes) -> None:
        for number, values in enumerate((train, val)):
            epochs = np.arange(1, len(values) + 1)
            marker = "o" if len(values) <= MAX_MARKED else ""
            axes.plot(epochs, values, marker=marker, markersize=3, color=LINES[number])
        for end in ends[:-1]:
            axes.axvline(end + 0.5, color=TEXT, linestyle=":", linewidth=0.8)
        if chosen is not None and len(val):
            ring: dict[str, Any] = {
                "markersize": 11,
                "markerfacecolor": "none",
                "markeredgewidth": 1.6,
            }
            axes.plot([chosen + 1], [val[chosen]], "o", color=LINES[1], **ring)
        axes.set(xlabel="epoch, over all stages", ylabel=label)
        axes.set_xlim(0.5, max(len(train), len(val), 1) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    return drawn(draw)


def plot_reliability(found: Reliability, before: Reliability | None = None) -> str:
    """Draw accuracy against confidence in bins; bars of the share of examples below.

    Args:
        found: First colour.
        before: The same before calibration, in the second colour.
    """

    def draw(axes: Axes) -> None:
        share = found.counts / found.counts.sum()
        width = np.diff(found.edges)
        axes.bar(found.edges[:-1], share, width, align="edge", color=LINES[0], alpha=0.25)
        axes.plot([0, 1], [0, 1], color=TEXT, linestyle="--", linewidth=0.8)
        for one, line in ((before, LINES[1]), (found, LINES[0])):
            if one is not None:
                filled = one.counts > 0
                said, right = one.confidence[filled], one.accuracy[filled]
                axes.plot(said, right, marker="o", markersize=4, color=line)
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))

    return drawn(draw)


def plot_risk_coverage(found: RiskCoverage) -> str:
    """Draw the share of errors among the accepted examples against the share that is accepted."""

    def draw(axes: Axes) -> None:
        places = _thinned(len(found.risk))
        axes.step(found.coverage[places], found.risk[places], where="post", color=LINES[0])
        top = max(float(found.risk.max()), 0.01) * 1.1
        axes.set(xlabel="share of examples accepted", ylabel="error rate among them")
        axes.set(xlim=(0, 1), ylim=(0, top))

    return drawn(draw)


def plot_precision_recall(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """Draw up to ``COLOURS`` curves, one colour each.

    Args:
        curves: Recall and precision, (points,) float each, of each class.
    """

    def draw(axes: Axes) -> None:
        for (recall, precision), line in zip(curves, LINES, strict=False):
            places = _thinned(len(recall))
            axes.plot(recall[places], precision[places], color=line, linewidth=1.4)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))

    return drawn(draw)


def _thinned(n: int) -> np.ndarray:
    """Places of evenly spaced points of a curve, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, MAX_POINTS)).astype(int))


def drawn(draw: Callable[[Axes], None], height: float = 2.9) -> str:
    """An SVG element as part of HTML.

    Args:
        draw: Draws on the axes, in the colours ``TEXT`` and ``LINES``.
        height: Of the plot in inches; 4.4 is its width.
    """
    with matplotlib.rc_context(STYLE):
        # As wide as a phone: a larger one would be shrunk there, its text too.
        figure = Figure(figsize=(4.4, height), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        for part in (figure, axes):
            part.patch.set_visible(False)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return _for_html(file.getvalue())


def _for_html(text: str) -> str:
    """The SVG without what belongs to a file: declarations, sizes, namespaces, foreign ids."""
    text = text[text.index("<svg") :]
    for part in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"<!--.*?-->"):
        text = re.sub(part, "", text, flags=re.DOTALL)
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="([^"]+)"', head)
    assert box is not None, "Matplotlib writes one"
    rest = rest.replace("xlink:href", "href")
    rest = re.sub(r"font-family: [^;\"]+; ", "", rest)
    # Groups have the same ids in every plot; only what is referred to keeps one, of its own.
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', rest))
    own = f"{crc32(rest.encode()):x}"  # unlike hash(), the same in every process
    rest = re.sub(r' id="([^"]+)"', lambda m: f' id="{m[1]}-{own}"' if m[1] in used else "", rest)
    rest = re.sub(r'(href="#|url\(#)([^")]+)', rf"\1\2-{own}", rest)
    for colour, name in CSS.items():
        rest = rest.replace(colour, name)
    return f'<svg viewBox="{box[1]}" aria-hidden="true">{rest.strip()}'

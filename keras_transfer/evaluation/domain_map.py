"""The map of two domains by Matplotlib, an optional dependency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from keras_transfer.evaluation.plots import save

__all__ = ["plot_domains"]

SHOWN_CLASSES = 10
"""Most classes of the source that have colours of their own."""


def plot_domains(
    path: Path,
    planes: Mapping[str, tuple[np.ndarray, np.ndarray]],
    labels: np.ndarray,
    classes: Sequence[str],
) -> None:
    """Draw the examples of both domains: the source by class, the target on top of it.

    Args:
        path: PNG file to write.
        planes: (n, 2) float of the source and (m, 2) of the target, by the name of the projection.
        labels: (n,) int, classes of the source.
        classes: Their names.
    """
    figure = Figure(figsize=(5.5 * len(planes), 5), dpi=110, layout="constrained")
    plots = figure.subplots(1, len(planes), squeeze=False)[0]
    for axes, (name, (source, target)) in zip(plots, planes.items(), strict=True):
        for label, title in enumerate(classes):
            mask = labels == label
            colour = f"C{1 + label}" if len(classes) < SHOWN_CLASSES else "C1"
            axes.plot(*source[mask].T, ".", color=colour, alpha=0.5, label=f"source: {title}")
        axes.plot(*target.T, "x", color="black", alpha=0.5, markersize=4, label="target")
        axes.set(title=name, xticks=[], yticks=[])
    if len(classes) < SHOWN_CLASSES:
        plots[0].legend(loc="best", fontsize="small")
    save(figure, path)

"""Figures drawn by Matplotlib, an extra of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure  # not pyplot: no window, no state shared with the user's

__all__ = ["plot_curve"]


def plot_curve(path: Path, about: dict[str, Any]) -> None:
    """Draw accuracy against pictures trained on, and the power law up to twice as many.

    Args:
        path: PNG file to write.
        about: "points", each with pictures, accuracy, low and high; and "doubling".
    """
    columns = ("pictures", "accuracy", "low", "high")
    n, accuracy, low, high = (np.array([one[name] for one in about["points"]]) for name in columns)
    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    below, above = np.maximum(accuracy - low, 0), np.maximum(high - accuracy, 0)
    axes.errorbar(n, accuracy, [below, above], fmt="o", capsize=3, label="95 % interval")
    law = about["doubling"].get("law")
    if law:
        some = np.geomspace(n[0], 2 * n[-1], 100)
        said = 1 - law["a"] * some ** -law["b"] - law["c"]
        axes.plot(some, said, "--", label="power law, to twice the pictures")
    axes.set_xscale("log")
    axes.set_xticks(n, [f"{one:,}" for one in n])
    axes.minorticks_off()
    axes.set(xlabel="pictures trained on", ylabel="accuracy on the test part")
    axes.legend(loc="lower right")
    figure.savefig(path)

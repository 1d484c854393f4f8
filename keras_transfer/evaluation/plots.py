"""Plots by Matplotlib, an optional dependency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure  # not pyplot: no window, no state shared with the user's

from keras_transfer.atomic import replacing
from keras_transfer.evaluation.layout import title

__all__ = ["plot_curve", "plot_ranking", "plot_sweep", "plot_trials", "save"]


def plot_curve(path: Path, found: Mapping[str, Any]) -> None:
    """Draw the main metric against training examples, the baseline, and the power law if any.

    Args:
        path: PNG file to write.
        found: "points", each with examples and, first, the main metric and its interval;
            "baselines", the metrics of the plain one; "doubling", with the law up to twice the
            examples.
    """
    points = found["points"]
    metric = [*points[0]][1]
    defined = [point for point in points if point[metric] is not None]
    n = np.array([point["examples"] for point in defined])
    values = np.array([point[metric] for point in defined])
    bounds = [point[f"{metric}_interval"] or [point[metric]] * 2 for point in defined]
    low, high = np.array(bounds, float).reshape(-1, 2).T
    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    below, above = np.maximum(values - low, 0), np.maximum(high - values, 0)
    axes.errorbar(n, values, [below, above], fmt="o", capsize=3, label="95 % interval")
    for name, metrics in found["baselines"].items():
        if metric in metrics:
            axes.axhline(metrics[metric], color="gray", linestyle=":", label=f"baseline ({name})")
    law = found["doubling"].get("law")
    if law:
        sizes = np.geomspace(n[0], 2 * n[-1], 100)
        predicted = 1 - law["a"] * sizes ** -law["b"] - law["c"]
        axes.plot(sizes, predicted, "--", label="power law, to twice the examples")
    axes.set_xscale("log")
    axes.set_xticks(n, [f"{point:,}" for point in n])
    # The minor ticks of a logarithmic axis would lie between the labelled sizes.
    axes.minorticks_off()
    axes.set(xlabel="examples trained on", ylabel=f"{title(metric)} on the test split")
    axes.legend(loc="best")
    save(figure, path)


def plot_ranking(path: Path, found: Mapping[str, Any]) -> None:
    """Draw accuracy against speed, with the Pareto front.

    Args:
        path: PNG file to write.
        found: "backbones", each with accuracy and its interval, images_per_second and pareto;
            "least_images_per_second", 0 for no limit.
    """
    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    rows = sorted(found["backbones"], key=lambda row: row["images_per_second"])
    front = [row for row in rows if row["pareto"]]
    axes.plot(
        [row["images_per_second"] for row in front],
        [row["accuracy"] for row in front],
        "--",
        color="gray",
        label="Pareto front",
    )
    for row in rows:
        low, high = row["interval"] or [row["accuracy"]] * 2
        spread = [[max(row["accuracy"] - low, 0)], [max(high - row["accuracy"], 0)]]
        place = (row["images_per_second"], row["accuracy"])
        axes.errorbar(*place, spread, fmt="o" if row["pareto"] else "x", capsize=3, color="C0")
        axes.annotate(row["backbone"], place, xytext=(6, 6), textcoords="offset points")
    if found["least_images_per_second"]:
        axes.axvline(found["least_images_per_second"], linestyle=":", label="slowest allowed")
    axes.set(xscale="log", xlabel="images per second", ylabel="accuracy of a linear probe")
    axes.legend(loc="best")
    save(figure, path)


def plot_sweep(
    path: Path,
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: np.ndarray,
    rules: Mapping[str, float],
) -> None:
    """Draw the loss against the learning rate, and the rate that each rule suggests.

    Args:
        path: PNG file to write.
        rates: (steps,) learning rates, ascending.
        losses: (steps,) loss of each step.
        smoothed: (steps,) their moving average.
        rules: The rate that each rule suggests.
    """
    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, alpha=0.3, label="loss of a step")
    axes.plot(rates, smoothed, color="C0", label="smoothed")
    for number, (rule, rate) in enumerate(rules.items(), 1):
        axes.axvline(rate, linestyle="--", color=f"C{number}", label=f"{rule}: {rate:.3g}")
    low, high = float(smoothed.min()), float(smoothed.max())
    first = float(np.mean(losses[:10]))
    # Losses after the minimum are so high that the decrease before it would be invisible.
    top = min(high, first + (first - low))
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss")
    axes.set_ylim(low - 0.1 * (top - low), top + 0.1 * (top - low))
    axes.legend()
    save(figure, path)


def plot_trials(
    path: Path,
    curves: Sequence[Sequence[float]],
    settings: Mapping[str, Sequence[Any]],
    values: Sequence[float],
    *,
    monitor: str,
    logarithmic: Sequence[str] = (),
) -> None:
    """Draw the metric of all trials by epoch, and its best values against each setting.

    Args:
        path: PNG file to write.
        curves: For each trial the metric by epoch; some end early, some may be empty.
        settings: By setting, the value of each trial.
        values: The best metric of each trial; NaN where it has none.
        monitor: Name of the metric.
        logarithmic: Settings with a logarithmic axis.
    """
    columns = min(3, 1 + len(settings))
    rows = -(-(1 + len(settings)) // columns)
    figure = Figure(figsize=(4 * columns, 3.2 * rows), dpi=110, layout="constrained")
    # squeeze=False: a single plot would come without an array around it.
    first, *rest = figure.subplots(rows, columns, squeeze=False).ravel()
    for curve in curves:
        first.plot(range(1, len(curve) + 1), curve, marker=".", alpha=0.6)
    first.set(xlabel="epoch", ylabel=monitor)
    first.xaxis.get_major_locator().set_params(integer=True)
    for axes, (setting, choices) in zip(rest, settings.items(), strict=False):
        numbers = all(isinstance(choice, int | float) for choice in choices)
        axes.plot(
            choices if numbers else [str(choice) for choice in choices], values, "o", alpha=0.6
        )
        axes.set(xlabel=setting, ylabel=monitor)
        if setting in logarithmic:
            axes.set_xscale("log")  # set_xscale("linear") would remove the categories of choices
    for axes in rest[len(settings) :]:
        axes.set_visible(False)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure atomically."""
    with replacing(path) as part:
        figure.savefig(part)

"""``kt-recipe run NAME --seeds N``: run a recipe by several seeds, and print what varies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

__all__ = ["over_seeds"]


def over_seeds(
    name: str,
    recipe: Any,
    seeds: int,
    *,
    out: str | None,
    resume: bool,
    track: Sequence[str],
    as_json: bool,
) -> None:
    """Run a recipe by several seeds; print means, deviations and intervals.

    Args:
        name: Name of the recipe.
        recipe: With the settings of the command line.
        seeds: Number of seeds.
        out: Folder of the series, or None.
        resume: Whether to resume an interrupted series.
        track: Trackers of each run.
        as_json: Whether to print one JSON document.
    """
    from keras_transfer.studies.series import repeat

    folder = repeat(recipe, seeds, out=out, resume=resume, name=name, track=track)
    metadata = json.loads((folder / "series.json").read_text(encoding="utf-8"))
    if as_json:
        document = {
            "recipe": name,
            "run": str(folder),
            "runs": metadata["runs"],
            **_spreads(metadata),
            **{name: metadata[name] for name in ("target",) if name in metadata},
        }
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    click.echo(f"Test split by {seeds} seeds in {folder}")
    for output, found in metadata.get("outputs", {"": metadata}).items():
        heading = f"\nOutput {output}\n" if output else ""
        click.echo(heading + _spread_table(found["metrics"], found["baselines"]))
    if "target" in metadata:
        click.echo(_target_table(metadata["target"]))


def _spreads(metadata: dict[str, Any]) -> dict[str, Any]:
    """What ``--json`` prints of a series: metrics of the test split and baselines, by output."""
    outputs = {
        name: {"metrics": {"test": found["metrics"]}, "baselines": found["baselines"]}
        for name, found in metadata.get("outputs", {"": metadata}).items()
    }
    return outputs.get("", {"outputs": outputs})


def _spread_table(metrics: dict[str, Any], baselines: dict[str, Any]) -> str:
    """Mean, deviation and interval over the seeds by metric, and the plain baseline's metric."""
    from keras_transfer.evaluation.layout import aligned, metric_text, title

    ((name, baseline),) = baselines.items()
    header = ["", "mean", "standard deviation", "95 % interval of the mean", f"baseline ({name})"]
    rows = [header]
    for metric, found in metrics.items():
        low, high = (metric_text(metric, bound) for bound in found["interval"])
        values = [metric_text(metric, found[key]) for key in ("mean", "std")]
        beside = metric_text(metric, baseline.get(metric))
        rows.append([title(metric), *values, f"{low} to {high}", beside])
    return aligned(rows)


def _target_table(target: dict[str, Any]) -> str:
    """Metrics on the target domain over the seeds: adapted, without adaptation, difference."""
    from keras_transfer.evaluation.layout import aligned, metric_text, title

    rows = [["", "", "mean", "standard deviation", "95 % interval of the mean"]]
    for metric, models in target["metrics"].items():
        for name, found in models.items():
            sign = "+" if name == "difference" else ""
            low, high = (metric_text(metric, bound, sign=sign) for bound in found["interval"])
            values = [metric_text(metric, found["mean"], sign=sign)]
            values.append(metric_text(metric, found["std"]))
            rows.append([title(metric), name.replace("_", " "), *values, f"{low} to {high}"])
    kept = f"{target['adapted_kept']} of {target['runs']} runs kept the adapted model"
    heading = f"\nTarget domain; {kept}"
    return f"{heading}\n{aligned(rows)}" if target["metrics"] else heading

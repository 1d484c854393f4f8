"""Runs of one recipe with several seeds."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer import catalog, quiet, runs
from keras_transfer.data import sources
from keras_transfer.errors import BadConfiguration
from keras_transfer.reports.writing import after_study
from keras_transfer.runs.series import interrupted_series, recorded_series, stored_series
from keras_transfer.studies.comparison import by_output
from keras_transfer.tracking.table import chosen
from keras_transfer.workflows.candidates import check_named
from keras_transfer.workflows.finetune import FineTune

__all__ = ["by_seed", "mean_baseline", "repeat", "run_all", "series_folder", "with_data"]

logger = logging.getLogger("keras_transfer")


def repeat(
    recipe: FineTune,
    seeds: int,
    *,
    data: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    name: str | None = None,
    track: str | Iterable[str] = (),
) -> Path:
    """Run a recipe with several seeds on one split; all other random draws differ.

    Args:
        recipe: Its own seed is the first of them, and that of the split unless that has one.
        seeds: Number of seeds.
        data: As for ``Recipe.run``.
        out: Folder of the series; ``runs/<recipe>/<n>`` if None.
        resume: Resume an interrupted series: that of ``out``, or the last of this recipe.
        name: Name of the recipe; its module's if None.
        track: As for ``Recipe.run``; each run is tracked, with the series as its group.

    Returns:
        The folder: ``series.json`` has the metrics and those of the plain baseline (in
        "outputs" by name where there are several); ``seed_<s>`` are the runs.

    Raises:
        BadConfiguration: Fewer than two seeds; or there is nothing to resume, or another one.
    """
    if seeds < 2:
        raise BadConfiguration(f"seeds = {seeds}: a spread needs 2 or more; leave it out for 1.")
    requested = {"kind": "seeds", "seeds": seeds}
    recipe, name, source = with_data(recipe, data, name)
    trackers = chosen(track)
    folder = series_folder(recipe, name, requested, out, resume)
    with recorded_series(folder, {"recipe": name, **requested}, recipe.settings()) as metadata:
        plan = by_seed(recipe, seeds)
        metadata["runs"] = [folder_name for folder_name, _ in plan]
        done = run_all(folder, name, plan, source, track=trackers)
        found = {
            name: {"metrics": _spreads(done, name), "baselines": mean_baseline(done, name)}
            for name in done[0].outputs
        }
        metadata.update(by_output(found, "outputs"))
        if target := _on_target(done):
            metadata["target"] = target
    after_study(folder)
    return folder


def with_data(recipe: FineTune, data: Any, name: str | None) -> tuple[FineTune, str, Any]:
    """The recipe with its data, its name, and where examples come from."""
    recipe.check_labelled("a series of runs")
    check_named(recipe.backbone)  # or each run could have a backbone of its own
    name = name or catalog.name_of(recipe)
    # Arrays are described in the settings, so that a resumed series can be compared with them.
    changed = (
        recipe
        if data is None
        else recipe.changed(data=data if isinstance(data, Mapping) else sources.describe(data))
    )
    arrays = data is not None and not isinstance(data, str | Path | Mapping)
    return changed, name, data if arrays else changed.data.source


def series_folder(
    recipe: FineTune, name: str, requested: dict[str, Any], out: str | Path | None, resume: bool
) -> Path:
    """A new folder, or that of the interrupted series of the same recipe and request."""
    if not resume:
        return runs.new_folder(name, out, not_inside=recipe.data.source)
    folder = interrupted_series(name, requested["kind"], out)
    recipe.stored_in(folder).check_same(recipe)
    stored = stored_series(folder) or requested
    for setting, value in requested.items():
        if stored.get(setting) != value:
            raise BadConfiguration(
                f"The interrupted series has {setting} = {stored.get(setting)}, not {value}. "
                "Resume it with the same, or start a new one without --resume."
            )
    return folder


def by_seed(recipe: FineTune, seeds: int) -> list[tuple[str, FineTune]]:
    """Folder and recipe of each seed; val and test are those of the first."""
    first = recipe.seed
    # One split for all: the spread should be that of training alone.
    fixed = first if recipe.data.split.seed is None else recipe.data.split.seed
    return [
        (f"seed_{seed}", recipe.changed(seed=seed, split={"seed": fixed}))
        for seed in range(first, first + seeds)
    ]


def run_all(
    folder: Path,
    name: str,
    plan: Iterable[tuple[str, FineTune]],
    source: Any,
    *,
    track: Sequence[str] = (),
) -> list[runs.Run]:
    """Run the unfinished recipes, each as in a fresh process."""
    # Before Keras, whose import brings TensorFlow with all its messages.
    quiet.import_tensorflow()
    import keras

    done = []
    for place, recipe in plan:
        if not runs.is_done(folder / place):
            logger.info("Run %s", folder / place)
            keras.utils.clear_session()  # reset the counters of layer names
            recipe.run_in(folder / place, name, source, track=track)
        done.append(runs.Run(folder / place))
    return done


def _spreads(done: Sequence[runs.Run], output: str) -> dict[str, Any]:
    """Mean, deviation and interval of each metric that all runs have, headline metrics first."""
    from keras_transfer.evaluation.comparing import spread

    tables = [run.test_metrics(output) for run in done]
    names = dict.fromkeys((*done[0].outputs[output].objective.headline, *tables[0]))
    values: dict[str, list[Any]] = {name: [table.get(name) for table in tables] for name in names}
    return {
        name: spread(numbers)
        for name, numbers in values.items()
        # A mean over the runs that define a metric would be of fewer runs than the others.
        if all(isinstance(number, float) for number in numbers)
    }


def _on_target(done: Sequence[runs.Run]) -> dict[str, Any]:
    """Metrics on the target domain of an adaptation, by model, and the number of runs that kept it.

    "difference" is that of the adapted model and the one without adaptation, run by run.
    """
    from keras_transfer.evaluation.comparing import spread

    documents = [run.metrics.get("adaptation", {}) for run in done]
    if not all(documents):
        return {}
    (objective,) = (output.objective for output in done[0].outputs.values())
    tables: dict[str, Any] = {}
    known = all("target" in document for document in documents)
    for metric in objective.headline if known else ():
        values = {
            name: [document["target"][name].get(metric) for document in documents]
            for name in documents[0]["target"]
        }
        if all(isinstance(value, float) for row in values.values() for value in row):
            pairs = zip(values["adapted"], values["source_only"], strict=True)
            values["difference"] = [adapted - plain for adapted, plain in pairs]
            tables[metric] = {name: spread(row) for name, row in values.items()}
    kept = [document["kept"] for document in documents]
    return {"metrics": tables, "adapted_kept": kept.count("adapted"), "runs": len(kept)}


def mean_baseline(done: Sequence[runs.Run], output: str) -> dict[str, Any]:
    """Metrics of the objective's plain baseline, means over the runs, by the baseline's name."""
    tables = [run.simple_baseline(output) for run in done]
    metrics = {
        name: float(np.mean([table[name] for table in tables]))
        for name in tables[0]
        if all(isinstance(table[name], float) for table in tables)
    }
    return {done[0].outputs[output].objective.baseline_name: metrics}

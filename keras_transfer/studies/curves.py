"""Learning curves: runs of one recipe on growing subsets of the train split."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer import runs
from keras_transfer.atomic import write_csv
from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.outputs import single_class
from keras_transfer.reports.writing import after_study
from keras_transfer.runs.series import recorded_series
from keras_transfer.runs.shared_examples import align_runs
from keras_transfer.runs.split_table import read_train_counts
from keras_transfer.studies.comparison import by_output
from keras_transfer.studies.series import (
    by_seed,
    mean_baseline,
    run_all,
    series_folder,
    with_data,
)
from keras_transfer.workflows.finetune import FineTune

if TYPE_CHECKING:
    from keras_transfer.evaluation.paired import Aligned

__all__ = ["SIZES", "learning_curve"]

SIZES: tuple[float | int, ...] = (0.05, 0.1, 0.2, 0.5)
MOST = 10
"""Maximum factor of epochs for small subsets."""
DRAWS = 1000
"""Resamples of the test examples for the intervals."""

logger = logging.getLogger("keras_transfer")


def learning_curve(
    recipe: FineTune,
    sizes: Sequence[float | int] = SIZES,
    *,
    seeds: int = 1,
    data: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    name: str | None = None,
) -> Path:
    """Train on growing balanced subsets of the train split; val and test stay the same.

    All of the train split comes first, so that its features serve the others. A smaller size
    gets more epochs, up to ten times as many, so that it gets as many steps.

    Args:
        recipe: As for ``repeat``; its setting ``split.train`` limits the full size.
        sizes: Shares (0.05) of the train split; of a classification also examples of each class
            (20).
        seeds: Runs of each size, with different subsets.
        data: As for ``repeat``; ``out``, ``resume`` and ``name`` too.
        out: Folder of the curve.
        resume: Resume an interrupted curve.
        name: Of the recipe.

    Returns:
        The folder: ``series.json`` and ``curve.csv`` have the metrics, ``curve.png`` shows them
        where Matplotlib is installed; of several outputs ``curve_<output>.csv`` and ``.png``.

    Raises:
        BadConfiguration: A size that is none; or as ``repeat`` does.
    """
    _check_sizes(recipe, sizes, seeds)
    requested = {"kind": "curve", "sizes": list(sizes), "seeds": seeds}
    recipe, name, source = with_data(recipe, data, name)
    folder = series_folder(recipe, name, requested, out, resume)
    with recorded_series(folder, {"recipe": name, **requested}, recipe.settings()) as metadata:
        full = [(f"all/{place}", run) for place, run in by_seed(recipe, seeds)]
        # The full size first: its cached features hold those of all subsets.
        first = run_all(folder, name, full, source)
        counts = _train_counts(first[0])
        done = {sum(counts): first}
        metadata["runs"] = [place for place, _ in full]
        for size in _subsets(sizes, counts):
            smaller = _smaller(recipe, size, sum(counts))
            plan = [(f"{size}/{place}", run) for place, run in by_seed(smaller, seeds)]
            metadata["runs"] += [place for place, _ in plan]
            done[size] = run_all(folder, name, plan, source)
        ordered = dict(sorted(done.items()))
        found = {
            name: _curve(ordered, name, output.objective)
            for name, output in first[0].outputs.items()
        }
        metadata.update(by_output(found, "outputs"))
        for name, output in found.items():
            _write_curve(folder, "curve" if name == LABEL else f"curve_{name}", output)
    after_study(folder)
    return folder


def _train_counts(run: runs.Run) -> list[int]:
    """Examples of each class, or of each stratum, in the train split."""
    # classes.json holds the strata of other objectives too.
    strata = json.loads((run.folder / "classes.json").read_text(encoding="utf-8"))
    return read_train_counts(run.split, strata)


def _check_sizes(recipe: FineTune, sizes: Sequence[float | int], seeds: int) -> None:
    if seeds < 1:
        raise BadConfiguration(f"seeds = {seeds}: should be 1 or more.")
    for size in sizes:
        if (isinstance(size, float) and not 0 < size <= 1) or size <= 0:
            raise BadConfiguration(
                f"The size {size} should be a share of the train split between 0 and 100 %, or a "
                "number of examples of each class."
            )
        if isinstance(size, int) and not single_class(recipe.objectives):
            predicted = ", ".join(entry.type for entry in recipe.objectives.values())
            raise BadConfiguration(
                f"The size {size} counts examples of each class, and objective is {predicted}. "
                "Give shares of the train split, such as 5%."
            )
        if (
            size == 1
            and isinstance(size, int)
            and getattr(recipe.objective, "imbalance", "") == "smote"
        ):
            raise BadConfiguration(
                "The size 1 and imbalance = smote: SMOTE needs two or more examples per class. "
                "Start with 2, or use imbalance = oversample."
            )


def _subsets(sizes: Sequence[float | int], counts: list[int]) -> list[int]:
    """Examples of each size, ascending, without sizes that reach the full split."""
    n = sum(counts)
    sized = {
        # At least one example of each class or stratum.
        max(round(size * n), len(counts))
        if isinstance(size, float)
        else sum(min(count, size) for count in counts)
        for size in sizes
    }
    return sorted(size for size in sized if size < n)


def _smaller(recipe: FineTune, size: int, full: int) -> FineTune:
    """The recipe on a subset, with more epochs for as many steps."""
    # Further trainings of each size, such as a network for each output, would not be shown.
    baselines = ["none", *(name for name in recipe.baselines if name not in ("scratch", "none"))]
    only: dict[str, Any] = {"split": {"train": size}, "baselines": baselines}
    if recipe.stages[0].schedule == "bit":  # finds them itself
        return recipe.changed(**only)
    batches = recipe.batches
    steps = [math.ceil(n / batches.batch_size) for n in (size, full)]
    # By steps, not examples: an epoch's last batch may be a part of one.
    factor = min(steps[1] / steps[0], MOST)

    def more(value: int | None) -> int | None:
        return None if value is None else round(value * factor)

    stages = [
        {
            **stage.model_dump(mode="json"),
            "epochs": more(stage.epochs),
            "warmup_epochs": stage.warmup_epochs * factor,
            "patience": more(stage.patience),
        }
        if not stage.solved  # a solver has no epochs
        else stage.model_dump(mode="json")
        for stage in recipe.stages
    ]
    return recipe.changed(stages=stages, mixup_off_epoch=more(batches.mixup_off_epoch), **only)


def _curve(
    done: Mapping[int, Sequence[runs.Run]], output: str, objective: Objective
) -> dict[str, Any]:
    """Of one output: the metrics at each size, the baseline, and the gain from doubling.

    Args:
        done: Runs by their number of training examples, ascending.
        output: Name of the output.
        objective: Its objective.

    Returns:
        "objective"; "points", each with "examples", the headline metrics (means over runs) and
        their 95 % intervals over test examples and runs; "baselines", of the full train split; and
        "doubling".
    """
    from keras_transfer.evaluation.intervals import quantile_interval
    from keras_transfer.evaluation.paired import resampled_metrics

    aligned, copies = align_runs([*done.values()], output, objective)
    metrics = objective.paired_metrics(aligned.names)
    # One resample for all sizes, so that the curve's points differ by training alone.
    drawn = resampled_metrics(aligned, metrics, draws=DRAWS, families=copies)
    points = []
    for place, (size, members) in enumerate(done.items()):
        point: dict[str, Any] = {"examples": size}
        for name in metrics:
            point[name] = _mean([run.test_metrics(output)[name] for run in members])
            point[f"{name}_interval"] = quantile_interval(drawn[name][place])
        points.append(point)
    return {
        "objective": objective.type,
        "points": points,
        "baselines": mean_baseline([*done.values()][-1], output),
        "doubling": _doubling([*done], aligned, copies, objective),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean over runs; None where one of them does not define the metric."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if len(defined) == len(values) else None


def _doubling(
    sizes: Sequence[int], aligned: Aligned, copies: np.ndarray, objective: Objective
) -> dict[str, Any]:
    from keras_transfer.evaluation.learning_curve import doubling

    # Other errors have no upper bound of 1, which the fit assumes.
    if objective.type != "classification":
        return {"refused": "the power law describes the accuracy of a classification"}
    return doubling(np.array(sizes), aligned, copies)


def _write_curve(folder: Path, stem: str, found: Mapping[str, Any]) -> None:
    """Write the points as CSV, and as a plot where Matplotlib is installed."""
    rows = [_flat(point) for point in found["points"]]
    write_csv(folder / f"{stem}.csv", [*rows[0]], [[*row.values()] for row in rows])
    try:
        from keras_transfer.evaluation.plots import plot_curve
    except ImportError:
        logger.info("No %s.png: pip install 'keras_transfer[plots]' brings Matplotlib", stem)
        return
    plot_curve(folder / f"{stem}.png", found)


def _flat(point: Mapping[str, Any]) -> dict[str, Any]:
    """A point with the ends of an interval in columns of their own."""
    row: dict[str, Any] = {}
    for name, value in point.items():
        if name.endswith("_interval"):
            metric = name.removesuffix("_interval")
            row[f"{metric}_low"], row[f"{metric}_high"] = value or (None, None)
        else:
            row[name] = value
    return row

"""Runs of one recipe with several seeds, and on growing subsets of the images."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer import catalog, quiet, runs
from keras_transfer.data import sources
from keras_transfer.errors import BadConfiguration
from keras_transfer.objectives.outputs import single_class
from keras_transfer.runs.series import interrupted_series, recorded_series, stored_series
from keras_transfer.runs.split_table import read_train_counts
from keras_transfer.workflows.finetune import FineTune

__all__ = ["SIZES", "learning_curve", "repeat"]

SIZES: tuple[float | int, ...] = (0.05, 0.1, 0.2, 0.5)
METRICS = (
    *("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "minority_recall"),
    *("roc_auc", "pr_auc", "log_loss"),
)
MOST = 10
"""Maximum factor of epochs for small subsets."""

logger = logging.getLogger("keras_transfer")


def repeat(
    recipe: FineTune,
    seeds: int,
    *,
    data: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    name: str | None = None,
) -> Path:
    """Run a recipe with several seeds on one split; all other random draws differ.

    Args:
        recipe: Its own seed is the first of them, and that of the split unless that has one.
        seeds: Number of seeds.
        data: As for ``Recipe.run``.
        out: Folder of the series; ``runs/<recipe>/<n>`` if None.
        resume: Resume an interrupted series: that of ``out``, or the last of this recipe.
        name: Name of the recipe; its module's if None.

    Returns:
        The folder: ``series.json`` has the metrics, ``seed_<s>`` are the runs.

    Raises:
        BadConfiguration: Fewer than two seeds; or there is nothing to resume, or another one.
    """
    if seeds < 2:
        raise BadConfiguration(f"seeds = {seeds}: a spread needs 2 or more; leave it out for 1.")
    requested = {"kind": "seeds", "seeds": seeds}
    recipe, name, source = _common(recipe, data, name)
    folder = _folder(recipe, name, requested, out, resume)
    with recorded_series(folder, {"recipe": name, **requested}, recipe.settings()) as metadata:
        plan = _by_seed(recipe, seeds)
        metadata["runs"] = [folder_name for folder_name, _ in plan]
        done = _run_all(folder, name, plan, source)
        metadata["metrics"] = _spreads(done)
    return folder


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
    """Train on growing class-balanced subsets of the train split; val and test stay the same.

    All of the train split comes first, so that its features serve the others. A smaller size
    is gone through more often, up to ten times, so that it gets as many steps.

    Args:
        recipe: As for ``repeat``; its setting ``split.train`` limits the full size.
        sizes: Shares (0.05) of the train split, or images of each class (20).
        seeds: Runs of each size, with different subsets.
        data: As for ``repeat``; ``out``, ``resume`` and ``name`` too.
        out: Folder of the curve.
        resume: Resume an interrupted curve.
        name: Of the recipe.

    Returns:
        The folder: ``series.json`` and ``curve.csv`` have the metrics, ``curve.png`` shows them
        where Matplotlib is installed.

    Raises:
        BadConfiguration: A size that is none; or as ``repeat`` does.
    """
    _check_sizes(recipe, sizes, seeds)
    requested = {"kind": "curve", "sizes": list(sizes), "seeds": seeds}
    recipe, name, source = _common(recipe, data, name)
    folder = _folder(recipe, name, requested, out, resume)
    with recorded_series(folder, {"recipe": name, **requested}, recipe.settings()) as metadata:
        full = [(f"all/{place}", run) for place, run in _by_seed(recipe, seeds)]
        first = _run_all(folder, name, full, source)
        counts = read_train_counts(first[0].split, first[0].classes)
        done = {sum(counts): first}
        metadata["runs"] = [place for place, _ in full]
        for size in _subsets(sizes, counts):
            smaller = _smaller(recipe, size, sum(counts))
            plan = [(f"{size}/{place}", run) for place, run in _by_seed(smaller, seeds)]
            metadata["runs"] += [place for place, _ in plan]
            done[size] = _run_all(folder, name, plan, source)
        metadata.update(_curve(dict(sorted(done.items()))))
        _write_curve(folder, metadata)
    return folder


def _common(recipe: FineTune, data: Any, name: str | None) -> tuple[FineTune, str, Any]:
    """The recipe with its data, its name, and where images come from."""
    name = name or catalog.name_of(recipe)
    changed = (
        recipe
        if data is None
        else recipe.changed(data=data if isinstance(data, Mapping) else sources.describe(data))
    )
    if not single_class(changed.objectives):
        raise BadConfiguration(
            "Series and curves compare classifications so far, and this recipe has another "
            "objective. Run it by several seeds instead, and compare the metrics.json of the runs."
        )
    arrays = data is not None and not isinstance(data, str | Path | Mapping)
    return changed, name, data if arrays else changed.data.source


def _folder(
    recipe: FineTune, name: str, requested: dict[str, Any], out: str | Path | None, resume: bool
) -> Path:
    if not resume:
        return runs.new_folder(name, out, not_inside=recipe.data.source)
    folder = interrupted_series(name, requested["kind"], out)
    recipe.stored_in(folder).check_same(recipe)
    stored = stored_series(folder) or {}
    for setting, value in requested.items():
        if stored.get(setting) != value:
            raise BadConfiguration(
                f"The interrupted series has {setting} = {stored.get(setting)}, not {value}. "
                "Resume it with the same, or start a new one without --resume."
            )
    return folder


def _by_seed(recipe: FineTune, seeds: int) -> list[tuple[str, FineTune]]:
    """Folder and recipe of each seed; val and test are those of the first."""
    first = recipe.seed
    # One split for all: the spread should be that of training alone.
    fixed = first if recipe.data.split.seed is None else recipe.data.split.seed
    return [
        (f"seed_{seed}", recipe.changed(seed=seed, split={"seed": fixed}))
        for seed in range(first, first + seeds)
    ]


def _run_all(
    folder: Path, name: str, plan: Iterable[tuple[str, FineTune]], source: Any
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
            recipe.run_in(folder / place, name, source)
        done.append(runs.Run(folder / place))
    return done


def _spreads(done: list[runs.Run]) -> dict[str, Any]:
    from keras_transfer.evaluation.comparing import spread

    values = {name: [run.metrics["test"][name] for run in done] for name in METRICS}
    # A mean over the runs that define a metric would be of fewer runs than the others.
    return {name: spread(numbers) for name, numbers in values.items() if None not in numbers}


def _check_sizes(recipe: FineTune, sizes: Sequence[float | int], seeds: int) -> None:
    if seeds < 1:
        raise BadConfiguration(f"seeds = {seeds}: should be 1 or more.")
    for size in sizes:
        if (isinstance(size, float) and not 0 < size <= 1) or size <= 0:
            raise BadConfiguration(
                f"The size {size} should be a share of the train split between 0 and 100 %, or a "
                "number of images of each class."
            )
        if (
            size == 1
            and isinstance(size, int)
            and getattr(recipe.objective, "imbalance", "") == "smote"
        ):
            raise BadConfiguration(
                "The size 1 and imbalance = smote: SMOTE needs two or more images per class. "
                "Start with 2, or use imbalance = oversample."
            )


def _subsets(sizes: Sequence[float | int], counts: list[int]) -> list[int]:
    """Images of each size, ascending, without sizes that reach the full split."""
    n = sum(counts)
    sized = {
        # At least one image of each class.
        max(round(size * n), len(counts))
        if isinstance(size, float)
        else sum(min(count, size) for count in counts)
        for size in sizes
    }
    return sorted(size for size in sized if size < n)


def _smaller(recipe: FineTune, size: int, full: int) -> FineTune:
    """The recipe on a subset, with more epochs for as many steps."""
    # Compared at the full size only, as it would double every point.
    baselines = [name for name in recipe.baselines if name != "scratch"]
    only: dict[str, Any] = {"split": {"train": size}, "baselines": baselines}
    if recipe.stages[0].schedule == "bit":  # finds them itself
        return recipe.changed(**only)
    batches = recipe.batches
    steps = [math.ceil(n / batches.batch_size) for n in (size, full)]
    # By steps, not images: an epoch's last batch may be a part of one.
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
        for stage in recipe.stages
    ]
    return recipe.changed(stages=stages, mixup_off_epoch=more(batches.mixup_off_epoch), **only)


def _curve(done: dict[int, list[runs.Run]]) -> dict[str, Any]:
    """Accuracy with its interval at each size, and the gain from doubling the largest."""
    from keras_transfer.evaluation.comparing import align, resampled
    from keras_transfer.evaluation.learning_curve import doubling
    from keras_transfer.evaluation.predictions import read_predictions

    answers = align(
        [
            [read_predictions(run.folder / "predictions.csv") for run in model]
            for model in done.values()
        ],
        runs.digests_by_path(next(iter(done.values()))[0].split),
    )
    k, sizes = len(answers.classes), np.array([*done])
    draws = resampled(answers.true, answers.predicted, k, 1000, 0, families=answers.families)
    accuracy = np.concatenate([np.stack(draw["accuracy"], axis=1) for draw in draws])
    low, high = np.quantile(accuracy, [0.025, 0.975], axis=0)
    points = [
        {
            "images": int(n),
            "accuracy": float(np.mean(predicted == answers.true)),
            "low": float(low[i]),
            "high": float(high[i]),
            "macro_f1": float(np.mean([run.metrics["test"]["macro_f1"] for run in done[n]])),
        }
        for i, (n, predicted) in enumerate(zip(sizes.tolist(), answers.predicted, strict=True))
    ]
    gain = doubling(sizes, answers.true, answers.predicted, k, answers.families)
    return {"points": points, "doubling": gain}


def _write_curve(folder: Path, metadata: dict[str, Any]) -> None:
    with (folder / "curve.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*metadata["points"][0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(metadata["points"])
    try:
        from keras_transfer.evaluation.plots import plot_curve
    except ImportError:
        logger.info("No curve.png: pip install 'keras_transfer[plots]' brings Matplotlib")
        return
    plot_curve(folder / "curve.png", metadata)

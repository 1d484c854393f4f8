"""What a run would do: checks, splits, stages, seconds and disk; nothing is trained or kept."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_transfer import quiet
from keras_transfer.config.groups import AUTO
from keras_transfer.data import sources
from keras_transfer.data.samples import SPLITS, Samples
from keras_transfer.errors import BadConfiguration
from keras_transfer.methods.adaptation import NetworkAdaptation
from keras_transfer.objectives.outputs import single_class

__all__ = ["dry_run"]

MEASURED = ("supervised", "distill")
"""Methods whose stages are those of the network, with batches of the train split."""

TRAINING = ("epochs", "steps_per_epoch", "trainable", "frozen")
"""What a learner does not have of a stage."""

REST = (3.0, 20.0)
"""Seconds of imports, saving, evaluation and report, at least and at most, for a small run."""


def dry_run(recipe: Any, name: str) -> dict[str, Any]:
    """Do what a run does before it trains, and measure a few training steps.

    Scan results and the choice of engine are kept in the cache folder, where the run finds them.

    Args:
        recipe: A recipe with stages.
        name: Its name.

    Returns:
        JSON-ready: "recipe", "data", "examples" by split, "classes" by split, "stages" as
        ``forecast_stage`` gives them (of a learner with None for epochs, steps and parameters),
        "seconds" as [low, high], "disk" in bytes of "run" and of "features", "not_counted": parts
        of the run that the estimate leaves out.

    Raises:
        TransferError: As the run would.
    """
    _check(recipe)
    quiet.import_tensorflow()
    from keras_transfer.workflows.forecast import forecast_stage, run_bytes

    began = time.perf_counter()
    with _folder() as folder, recipe.prepared(folder, recipe.data.source) as runner:
        ready = time.perf_counter() - began
        measured = _is_measured(recipe)
        known: dict[str, set[str]] = {}
        stages = [
            forecast_stage(
                runner, index, known, measured=measured and not runner.stages[index].solved
            )
            for index in range(len(runner.stages))
        ]
        if hasattr(recipe, "learner"):  # it stands in the place of the head, and has no epochs
            stages = [stage | dict.fromkeys(TRAINING) for stage in stages]
        document = _described(recipe, name, runner.setup.samples) | {"stages": stages}
        features = sum(stage["features"]["bytes"] for stage in stages if stage["features"])
        document["disk"] = {"run": run_bytes(runner, stages), "features": features}
    # What was scanned now is known to the run.
    parts: list[Any] = [REST, (ready / 2, ready)]
    for stage in stages:
        parts += [stage["seconds"], (stage["features"] or {}).get("seconds")]
    bounds = zip(*filter(None, parts), strict=True)
    document["seconds"] = [round(sum(bound), 1) for bound in bounds]
    document["not_counted"] = not_counted(recipe)
    return document


def _check(recipe: Any) -> None:
    if recipe.backbone.name == AUTO:
        raise BadConfiguration(
            "--dry-run: backbone = auto is found when the run starts. `kt-recipe rank --data DIR` "
            "compares the candidates; name one of them by --backbone."
        )


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for what the network is built from, such as a vocabulary."""
    with tempfile.TemporaryDirectory(prefix="keras_transfer_") as folder:
        yield Path(folder)


def _is_measured(recipe: Any) -> bool:
    return recipe.method.type in MEASURED and not hasattr(recipe, "learner")


def _described(recipe: Any, name: str, samples: Samples) -> dict[str, Any]:
    splits = {split: samples.split(split) for split in SPLITS}
    labelled = single_class(getattr(recipe, "objectives", {}))
    classes = {
        split: dict(zip(found.classes, map(int, found.counts()), strict=True))
        for split, found in splits.items()
        if labelled
    }
    return {
        "recipe": name,
        "data": sources.describe(recipe.data.source),
        "examples": {split: len(found) for split, found in splits.items()},
        "classes": classes,
    }


def not_counted(recipe: Any) -> list[str]:
    """Parts of a run that its estimate leaves out."""
    found = []
    if not _is_measured(recipe):
        what = recipe.learner.name if hasattr(recipe, "learner") else recipe.method.type
        found.append(f"training by {what}")
    elif any(stage.solved for stage in recipe.stages):
        found.append("solved stages")
    if any(stage.learning_rate == "auto" for stage in recipe.stages):
        found.append("the sweep of lr = auto")
    baselines = getattr(recipe, "baselines", ("none",))
    found += [f"baseline {name}" for name in baselines if name != "none"]
    if isinstance(recipe.method, NetworkAdaptation):  # trained whatever the baselines are
        found.append("the model without adaptation")
    elif "none" not in baselines and (recipe.method.outputs or len(recipe.objectives) > 1):
        found.append("plain models for comparison (--baselines none leaves them out)")
    return found

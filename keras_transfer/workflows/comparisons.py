"""Further recipes that are trained for comparison with a run.

A ``recipe`` here is a ``FineTune``, whose module imports this one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from keras_transfer import quiet, runs, seeds
from keras_transfer.atomic import copy_folder
from keras_transfer.data.samples import Samples
from keras_transfer.errors import CheckFailed
from keras_transfer.methods.adabn import AdaBN
from keras_transfer.objectives.outputs import labels_of, single_class
from keras_transfer.training.reports import listening
from keras_transfer.workflows.lexicon import lexicons
from keras_transfer.workflows.reading import read_labelled
from keras_transfer.workflows.target_check import check_target

__all__ = ["from_scratch", "plain_models", "reusing", "source_only", "without_method"]

logger = logging.getLogger("keras_transfer")

_earlier: ContextVar[Sequence[Path]] = ContextVar("earlier", default=())


@contextmanager
def reusing(folders: Sequence[Path]) -> Iterator[None]:
    """Take comparisons from earlier runs on the same data, where all their settings are equal.

    Args:
        folders: Run directories.
    """
    token = _earlier.set(folders)
    try:
        yield
    finally:
        _earlier.reset(token)


def from_scratch(recipe: Any, folder: Path, source: Any) -> dict[str, Any]:
    """Test metrics of training all layers from scratch for the same number of epochs.

    Args:
        recipe: The recipe of the run.
        folder: Gets the run.
        source: The data: a spec, arrays or samples.
    """
    total = sum(stage.epochs for stage in recipe.stages)
    # A solved stage counts as many epochs as a stage has by default.
    first = recipe.stages[0].model_dump(mode="json")
    first |= {"name": "scratch", "epochs": total, "unfreeze": "all"}
    # Random weights have to train all of them.
    first |= {"trainable": "all", "lora": None, "lora_alpha": None}
    first["optimizer"]["solver"] = None
    more: dict[str, Any] = {}
    if getattr(recipe.objective, "imbalance", "") == "smote":
        # There are no features to make others up from while everything is trained.
        more["imbalance"] = "oversample"
    # With one output less, Keras names the metrics differently; val_loss is always there.
    if recipe.method.outputs:
        more["monitor"] = "val_loss"
    plain = {"method": "supervised", "baselines": ("none",), "stages": [first], **more}
    # Untrained moving averages normalize nothing, so batch normalization must train here.
    return _metrics(recipe.changed(weights="none", batch_norm="train", **plain), folder, source)


def plain_models(recipe: Any, folder: Path, samples: Samples) -> dict[str, Any]:
    """Test metrics of plain models for comparison.

    They are the same network without a method, with one objective each, and counted words of
    texts, or a lexicon where words have labels.

    Args:
        recipe: The recipe of the run.
        folder: The run directory.
        samples: With all their splits.
    """
    metrics: dict[str, Any] = {}
    recipe = _of_divided(recipe)
    # "none": a comparison trains no comparisons of its own.
    plain: dict[str, Any] = {"monitor": "val_loss", "baselines": ("none",)}
    if recipe.method.outputs:
        metrics[recipe.method.baseline_name] = without_method(recipe, folder, samples)
    if len(recipe.objectives) > 1:
        for name, objective in recipe.objectives.items():
            alone = type(recipe)(**recipe.settings() | {"objective": {name: objective}, **plain})
            known = samples.take(objective.known(labels_of(samples, name).values))
            metrics[f"single_task_{name}"] = _metrics(alone, folder / f"single_{name}", known)
    # An adaptation has its model without adaptation in any case.
    texts = recipe.input.text_columns and single_class(recipe.objectives)
    if texts and "none" not in recipe.baselines:
        metrics["tfidf_svm"] = _counted_words(samples, recipe.seed)
    if "none" not in recipe.baselines:
        metrics |= lexicons(recipe.objectives, samples)
    return metrics


def _of_divided(recipe: Any) -> Any:
    """The recipe for samples with splits: what selects and corrects them is not done twice."""
    selection = {"limit": None, "groups": None, "relabel": None, "split": {"train": None}}
    return recipe.changed(data=selection)


def without_method(recipe: Any, folder: Path, source: Any) -> dict[str, Any]:
    """Test metrics of the same recipe without its method, which is run in a folder of the run's.

    Args:
        recipe: The recipe of the run.
        folder: The run directory.
        source: The data, or samples with all their splits.
    """
    alone = recipe.changed(**recipe.method.plain_settings, baselines=("none",))
    return _metrics(alone, folder / recipe.method.baseline_name, source)


def source_only(recipe: Any, folder: Path, source: Any) -> None:
    """Run an adaptation's recipe without it, once its target is known to be there.

    Args:
        recipe: The recipe of the run.
        folder: The run directory.
        source: The data.

    Raises:
        BadConfiguration: There is no target, or nothing in the network that the method changes.
        BadData: It does not exist, or its labels cannot be used.
        CheckFailed: The run failed.
    """
    check_target(recipe.method, source)
    quiet.import_tensorflow()
    from keras_transfer.training.batch_norm import batch_norms
    from keras_transfer.workflows.adaptation_domain import check_domain

    if isinstance(recipe.method, AdaBN):
        batch_norms(recipe.check_network())
    if not runs.is_done(folder / recipe.method.baseline_name):
        # Now: the target is read when this model is trained, maybe after hours.
        samples = read_labelled(recipe.data, source, recipe.input, recipe.objectives)
        check_domain(recipe.method, samples.classes, recipe.input, recipe.data.data_dir)
    found = without_method(recipe, folder, source)
    if "error" in found:  # nothing to compare with, and the same would come again
        raise CheckFailed(found["error"])


def _metrics(recipe: Any, folder: Path, source: Any) -> dict[str, Any]:
    """Test metrics of a recipe that runs inside another run's directory."""
    try:
        # A resumed run does not repeat the comparisons that it finished.
        if not runs.is_done(folder) and not _taken(recipe, folder):
            # A search must not take its epochs for those of a trial.
            with listening(None):
                recipe.run_in(folder, folder.name, source, report=False)
    except CheckFailed as error:  # the run itself is done and must not be lost
        logger.warning("Warning: the comparison %s failed. %s", folder.name, error)
        return {"error": str(error)}
    run_metrics = runs.Run(folder).metrics["test"]
    return next(iter(run_metrics.values())) if isinstance(recipe.objective, dict) else run_metrics


def _counted_words(samples: Samples, seed: int) -> dict[str, Any]:
    """Test metrics of a support vector machine on counted words."""
    from keras_transfer.evaluation.metrics import decided_metrics
    from keras_transfer.learners.counted_words import tfidf_svm

    train, test = samples.split("train"), samples.split("test")
    texts, others = (split.store.raw(split.rows) for split in (train, test))
    drawn = seeds.stream(seed, "members")
    try:
        found = tfidf_svm(texts, train.labels, train.weights, others, drawn)
    except ValueError as error:  # texts without words, such as emoji
        logger.warning("Warning: the comparison tfidf_svm failed. %s", error)
        return {"error": str(error)}
    return decided_metrics(test.labels, found)


def _taken(recipe: Any, folder: Path) -> bool:
    """Copy the finished run of an earlier comparison with the same settings, if there is one."""
    if folder.exists():  # one that was interrupted: it goes on
        return False
    for home in _earlier.get():
        found = home / folder.name
        if runs.is_done(found) and runs.stored_settings(found) == recipe.settings():
            copy_folder(found, folder)
            logger.info("The comparison %s is that of %s", folder.name, home)
            return True
    return False

"""``backbone = auto``: rank the backbones of this machine on the data, and take the best.

A ``recipe`` here is a ``FineTune``, whose module imports this one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer import quiet
from keras_transfer.config.groups import Backbone
from keras_transfer.data import sources, splits
from keras_transfer.errors import BadConfiguration, CheckFailed
from keras_transfer.objectives.outputs import single_class
from keras_transfer.workflows.candidates import candidates, label
from keras_transfer.workflows.reading import read_samples

if TYPE_CHECKING:
    from keras_transfer.data.samples import Samples
    from keras_transfer.workflows.ranking import Measured, Sample

__all__ = ["EXAMPLES", "choose_backbone", "drawn", "rank"]

EXAMPLES = 2000
"""Images of a ranking, over all classes, unless another number is asked for."""
LEAST = 5
"""Of each class at least, where there are so many: one for each fold."""

logger = logging.getLogger("keras_transfer")


def rank(
    recipe: Any,
    named: Sequence[str],
    folder: Path,
    source: Any,
    *,
    least_rate: float = 0.0,
    per_class: int | None = None,
) -> dict[str, Any]:
    """Rank backbones on a class-balanced sample of the train split; val and test are not used.

    Args:
        recipe: Its data, input, objective, runtime and seed are used, so that a run on the same
            data has the same splits and finds the features in the cache.
        named: Backbones as ``candidates`` takes them.
        folder: Gets ``ranking.json``, ``ranking.csv``, ``ranking.png`` and ``split.csv``.
        source: The data: a spec or arrays.
        least_rate: Images per second that the recommended one must reach.
        per_class: Images of each class; None: ``EXAMPLES`` over all classes.

    Returns:
        As ``leaderboard`` does.

    Raises:
        BadConfiguration: The objective is no single classification, or the input no image.
        BadWeights: The weights of one are not there.
    """
    from keras_transfer.workflows.leaderboard import leaderboard, write_leaderboard

    if not single_class(recipe.objectives) or recipe.input.text_columns:
        raise BadConfiguration(
            "Backbones are ranked for images with one label each. For other objectives or texts, "
            "compare runs: kt-recipe compare."
        )
    sources.check_there(source)
    quiet.import_tensorflow()
    compared = candidates(named, recipe.input.image_size)
    samples, sample = drawn(recipe, folder, source, per_class)
    n = len(samples.split("train"))
    logger.info("Ranking on %s of %s training images", f"{len(sample.train):,}", f"{n:,}")
    measured = [_measured(recipe, backbone, sample) for backbone in compared]
    document = leaderboard(measured, sample.train, sample.families, least_rate)
    write_leaderboard(folder, document)
    return document


def drawn(
    recipe: Any, folder: Path, source: Any, per_class: int | None = None
) -> tuple[Samples, Sample]:
    """Read and split the data as a run does, and draw the sample of a ranking.

    Args:
        recipe: As for ``rank``; ``folder``, ``source`` and ``per_class`` too.
        folder: Gets ``split.csv``.
        source: The data.
        per_class: Images of each class.

    Returns:
        All examples, and the class-balanced sample of the train split.
    """
    from keras_transfer.workflows.extractors import engine_config
    from keras_transfer.workflows.ranking import Sample

    given = recipe.input
    samples = read_samples(
        recipe.data, source, folder, given=given, seed=recipe.seed, objectives=recipe.objectives
    )
    train = samples.split("train")
    classes = len(train.classes)
    size = per_class * classes if per_class else max(EXAMPLES, LEAST * classes)
    some = splits.sample(train, size, recipe.seed)
    config = engine_config(recipe.runtime)
    assert config is not None  # refused without an engine
    return samples, Sample(some, given, config, recipe.batches.batch_size, recipe.seed)


def _measured(recipe: Any, backbone: Backbone, sample: Sample) -> Measured:
    from keras_transfer.training.distributed import session
    from keras_transfer.workflows.ranking import measure

    with session(seed=recipe.seed):
        found = measure(backbone, sample)
    accuracy = (found.probe.decided == sample.train.labels).mean()
    text = "%s: %.4f by a linear probe, %.0f images/s (%.0f s)"
    logger.info(text, label(backbone), accuracy, found.images_per_second, found.seconds)
    return found


def choose_backbone(recipe: Any, folder: Path, source: Any) -> Any:
    """The recipe with the best backbone of this machine, by a ranking in the run directory.

    A ranking that is there already is not repeated.

    Raises:
        CheckFailed: No backbone is as fast as ``min_images_per_s``.
    """
    from keras_transfer.workflows.leaderboard import recommended, stored_leaderboard

    setting: Backbone = recipe.backbone
    named = [] if setting.weights == "imagenet" else setting.weights.split(",")
    least = setting.min_images_per_s
    document = stored_leaderboard(folder) or rank(recipe, named, folder, source, least_rate=least)
    best = recommended(document)
    if best is None:
        fastest = max(document["backbones"], key=lambda row: row["images_per_second"])
        raise CheckFailed(
            f"min_images_per_s = {least:g}: the fastest backbone here, {fastest['backbone']}, "
            f"computes {fastest['images_per_second']:g} images/s. Lower the limit, or get the "
            f"weights of a smaller network; the ranking is in {folder}."
        )
    logger.info("Backbone: %s", label(best))
    return recipe.changed(backbone=best.model_copy(update={"batch_norm": setting.batch_norm}))

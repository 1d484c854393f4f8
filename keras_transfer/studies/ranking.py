"""Which pretrained backbone suits the data: a ranking in a folder of its own."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_transfer import catalog, runs
from keras_transfer.config.groups import Backbone
from keras_transfer.config.tree import differences
from keras_transfer.errors import BadConfiguration
from keras_transfer.reports.writing import after_study
from keras_transfer.runs.directory import discard, locked_log
from keras_transfer.runs.records import write_record
from keras_transfer.workflows.auto_backbone import rank
from keras_transfer.workflows.finetune import FineTune
from keras_transfer.workflows.leaderboard import FILE, recommended

__all__ = ["command", "rank_backbones", "training_words"]


def rank_backbones(
    recipe: FineTune,
    backbones: Sequence[str] = (),
    *,
    per_class: int | None = None,
    least_rate: float = 0.0,
    out: str | Path | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Rank backbones on the data of a recipe.

    Args:
        recipe: Such as ``auto_folder``; its data, input, runtime and seed are used.
        backbones: ``NAME[:OPTION=VALUE][=WEIGHTS]`` each; none: all whose ImageNet weights are on
            this machine.
        per_class: Training images of each class; None: 2,000 over all classes.
        least_rate: Images per second that the recommended one must reach.
        out: The folder; ``runs/rank/<n>`` if None.

    Returns:
        The folder, and the document in its ``ranking.json``; see ``workflows.leaderboard``.

    Raises:
        BadConfiguration: A setting that makes no sense.
        BadWeights: The weights of one are not there or do not fit.
    """
    if per_class is not None and per_class < 2:
        raise BadConfiguration(f"sample = {per_class}: cross-validation needs 2 images per class.")
    folder = runs.new_folder("rank", out, not_inside=recipe.data.source)
    log = locked_log(folder)
    logger = logging.getLogger("keras_transfer")
    try:
        document = rank(
            recipe,
            backbones,
            folder,
            recipe.data.source,
            least_rate=least_rate,
            per_class=per_class,
        )
    finally:
        logger.removeHandler(log)
        log.close()
        if not (folder / FILE).exists():
            discard(folder)
    document = {**document, "command": command(recipe, document)}
    write_record(folder / FILE, document)  # its page says which command goes on
    after_study(folder)
    return folder, document


def command(recipe: FineTune, document: Mapping[str, Any]) -> str | None:
    """The command that trains the recommended backbone; None where there is none."""
    best = recommended(document)
    return None if best is None else shlex.join(training_words(recipe, best))


def training_words(recipe: FineTune, backbone: Backbone) -> list[str]:
    """The words of the command that trains a backbone on the data of a recipe.

    Args:
        recipe: ``auto_folder``, with other settings.
        backbone: Its name, weights and variant.
    """
    words = ["kt-recipe", "run", catalog.AUTO, "--data", recipe.data.source]
    words += ["--backbone", backbone.name]
    if backbone.weights != "imagenet":
        words += ["--weights", backbone.weights]
    if backbone.variant:
        options = ", ".join(f"{key}: {value}" for key, value in backbone.variant.items())
        words += ["--set", f"backbone.variant={{{options}}}"]
    base = catalog.find(catalog.AUTO).recipe.settings()
    for path, _, value in differences(base, recipe.settings()):
        if path != "data.source" and not path.startswith("backbone."):
            words += ["--set", f"{path}={_yaml(value)}"]
    return [str(word) for word in words]


def _yaml(value: Any) -> str:
    import yaml

    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    )

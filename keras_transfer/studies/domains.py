"""How far a target is from a source, what a model loses there, and what to do about it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_transfer import runs
from keras_transfer.data import sources
from keras_transfer.domains.checks import MIN_EXAMPLES
from keras_transfer.errors import BadConfiguration
from keras_transfer.quiet import import_tensorflow
from keras_transfer.reports.writing import after_study
from keras_transfer.runs.directory import discard, locked_log
from keras_transfer.studies.domain_advice import advice
from keras_transfer.workflows.candidates import candidates
from keras_transfer.workflows.finetune import FineTune

__all__ = ["DEFAULT", "compare_domains", "recipe_of"]

DEFAULT = "mobilenet_v2"
"""Backbone where the source is data: small, and the first that `rank` looks for."""

logger = logging.getLogger("keras_transfer")


def compare_domains(
    source: str | Path | FineTune,
    target: str | Path,
    *,
    data: Any = None,
    classes: Sequence[str] = (),
    unlabelled: bool = False,
    sample: int = 1000,
    seed: int = 0,
    out: str | Path | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Compare two domains, and recommend what to do.

    Args:
        source: Folder of a finished run; or a recipe with data and a named backbone, as
            ``recipe_of`` makes it, of which nothing is trained but a logistic regression.
        target: Where the model is to work: data as a recipe takes them, a folder or a pattern of
            images, or a table without labels.
        data: Other labelled examples of the source, if those of the run are gone.
        classes: Target classes to compare; others are left out. None named: all.
        unlabelled: Do not use labels of the target.
        sample: Most examples of each domain.
        seed: Of all draws.
        out: The folder; ``runs/domains/<n>`` if None.

    Returns:
        The folder, and the document in its ``domains.json``.

    Raises:
        BadConfiguration: A setting that makes no sense.
        BadData: Examples cannot be read, or the target has classes that the source lacks.
        BadWeights: The weights of the backbone are not there or do not fit.
    """
    if sample < MIN_EXAMPLES:
        raise BadConfiguration(
            f"sample = {sample}: a comparison needs {MIN_EXAMPLES} of each domain."
        )
    folder = runs.new_folder("domains", out, not_inside=target)
    log, done = locked_log(folder), False
    try:
        asked = {"keep": classes, "unlabelled": unlabelled}
        document = _compared(folder, source, target, data, asked, (sample, seed))
        done = True
    finally:
        logger.removeHandler(log)
        log.close()
        if not done:
            discard(folder)
    after_study(folder)
    return folder, document


def recipe_of(data: str, backbone: str | None, weights: str | None, recipe: Any) -> FineTune:
    """The recipe ``auto_folder`` for a source of data, with a backbone that is on this machine.

    Args:
        data: The source.
        backbone: ``NAME[:OPTION=VALUE]``; None: ``DEFAULT``.
        weights: A file or another source; None: those of ImageNet.
        recipe: With other settings, such as seed and image size.

    Raises:
        BadWeights: The weights are not there.
    """
    sources.check_there(data)
    import_tensorflow()  # before modules that import it themselves, with messages on stderr
    from keras_transfer.data.texts import holds_texts

    path = Path(data).expanduser()
    if (path / "export.json").exists():
        raise BadConfiguration(
            f"{data} is an export, which knows no examples of its source. Name the run."
        )
    if path.exists() and holds_texts(path):
        raise BadConfiguration(
            f"{data} holds texts, which are compared by a run: train one with kt-recipe run "
            f"sentiment --data {data}, then kt-recipe domains RUN --target ..."
        )
    named = (backbone or DEFAULT) + (f"={weights}" if weights else "")
    (found,) = candidates([named], recipe.input.image_size)
    return recipe.changed(data=data, backbone=found.model_dump())


def _compared(
    folder: Path,
    source: str | Path | FineTune,
    target: Any,
    data: Any,
    asked: dict[str, Any],
    drawing: tuple[int, int],
) -> dict[str, Any]:
    import_tensorflow()
    from keras_transfer.workflows.domain_files import TO_LABEL, write_comparison
    from keras_transfer.workflows.domain_report import compare
    from keras_transfer.workflows.domain_source import from_data, from_run, open_run
    from keras_transfer.workflows.domain_target import read_target
    from keras_transfer.workflows.reading import read_labelled

    size, seed = drawing
    if isinstance(source, FineTune):
        listed = read_labelled(source.data, source.data.source, source.input, source.objectives)
        examples = read_target(target, listed.classes, **asked)
        opened = from_data(source, folder)
    else:
        run = open_run(source)
        examples = read_target(target, run.classes, texts=_text_columns(run), **asked)
        opened = from_run(run, data, size, seed)
    found = compare(opened, examples, size=size, seed=seed)
    found.document["target"] = {"name": sources.describe(target), **found.document["target"]}
    found.document["recommendation"] = advice(source, found.document, folder / TO_LABEL)
    write_comparison(folder, found, seed)
    return found.document


def _text_columns(run: runs.Run) -> tuple[str, ...]:
    from keras_transfer.inputs.table import read_input

    return read_input(run.settings["input"]).text_columns

"""Look for what is wrong with labelled data before anybody trains on them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer import quiet, runs
from keras_transfer.atomic import write_json
from keras_transfer.data import sources
from keras_transfer.data.samples import SPLITS
from keras_transfer.errors import BadConfiguration, CheckFailed
from keras_transfer.objectives.outputs import single_class
from keras_transfer.runs.directory import discard, locked_log
from keras_transfer.runs.split_table import read_rows
from keras_transfer.workflows.finetune import FineTune
from keras_transfer.workflows.frozen_features import Extracted, check_settings, extracted

__all__ = ["FILE", "LABELLED", "check_data"]

FILE = "check.json"

LABELLED = ("train", "val")
"""Splits whose labels are checked: suggestions for test labels would be measured by themselves."""

logger = logging.getLogger("keras_transfer")


def check_data(
    recipe: FineTune,
    *,
    label_errors: bool = False,
    splits: Sequence[str] = LABELLED,
    twins: bool = False,
    threshold: float | None = None,
    run: str | Path | None = None,
    out: str | Path | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Check labelled data; nothing is changed.

    Every example is decoded, and exact copies across the data's own splits are warned of, or
    refused with ``data.strict``.

    Args:
        recipe: Its data, input, backbone, runtime and seed are used.
        label_errors: Whether to look for wrong labels, by features of the backbone.
        splits: Where labels are checked.
        twins: Whether to look for near-duplicates, by features of the backbone.
        threshold: Cosine of features from which two examples are twins; None:
            ``domains.twins.default_threshold``.
        run: A finished run, whose test accuracy is compared with that without twins of train.
        out: The folder; ``runs/check/<n>`` if None.

    Returns:
        The folder, and the document in its ``check.json``.

    Raises:
        BadConfiguration: A setting that makes no sense.
        BadData: The data cannot be read, or have too few examples of a class.
        BadWeights: The weights of the backbone are not there.
        CheckFailed: With ``data.strict``, an example, or a pair of twins, lies in two splits of the
            data's own; the folder has the list of twins.
    """
    asked: dict[str, Any] = {"twins": twins, "threshold": threshold, "run": run}
    asked["splits"] = tuple(splits) if label_errors else ()
    _check(recipe, asked)
    quiet.import_tensorflow()
    folder = runs.new_folder("check", out, not_inside=recipe.data.source)
    log = locked_log(folder)
    try:
        document = _checked(recipe, folder, asked)
        write_json(folder / FILE, document)
    finally:
        logger.removeHandler(log)
        log.close()
        if not (folder / FILE).exists():
            discard(folder)
    found = document.get("twins", {}).get("across_own_splits", 0)
    if recipe.data.strict and found:
        raise CheckFailed(
            f"{found:,} pairs of twins lie in two splits of the data; see {folder}/twins.csv. Keep "
            "the examples of each in one split, or leave out --strict."
        )
    return folder, document


def _check(recipe: FineTune, asked: dict[str, Any]) -> None:
    """Refuse settings before anything is read."""
    if asked["run"] is not None:
        from keras_transfer.workflows.twin_accuracy import open_run

        asked["run"] = open_run(asked["run"])
    if not (asked["splits"] or asked["twins"]):
        return
    check_settings(recipe, splits=asked["splits"])
    if asked["splits"] and not single_class(recipe.objectives):
        raise BadConfiguration("Label errors are found for data with one label per example.")
    if asked["splits"] and recipe.data.relabel is not None:
        raise BadConfiguration(
            "--label-errors writes a new table, which would lack the corrections of relabel = "
            f"{recipe.data.relabel}. Check the data without --relabel, or correct them first."
        )
    if recipe.backbone.weights == "none":
        raise BadConfiguration("Features of random weights say little; name pretrained weights.")
    threshold = asked["threshold"]
    if threshold is not None and not 0 < threshold <= 1:
        raise BadConfiguration(f"twin cosine = {threshold:g}: it is above 0 and at most 1.")


def _checked(recipe: FineTune, folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    from keras_transfer.workflows.reading import read_labelled, read_samples

    source, splits = recipe.data.source, asked["splits"]
    sources.check_there(source)
    how: dict[str, Any] = {"given": recipe.input, "objectives": recipe.objectives}
    if not (splits or asked["twins"]):
        read_samples(recipe.data, source, folder, seed=recipe.seed, **how)
        return _described(recipe, folder)
    # Twins are looked for in all splits.
    found = extracted(recipe, source, splits=() if asked["twins"] else splits, folder=folder)
    own: dict[str, str] = {}
    if asked["twins"]:
        read = read_labelled(recipe.data, source, recipe.input, recipe.objectives)
        own = dict(zip(read.keys, read.splits, strict=True))
    return _found(recipe, folder, asked, found, own)


def _found(
    recipe: FineTune, folder: Path, asked: dict[str, Any], found: Extracted, own: Mapping[str, str]
) -> dict[str, Any]:
    from keras_transfer.studies.check_page import PAGE, write_check
    from keras_transfer.workflows.label_check import FILE as RELABEL
    from keras_transfer.workflows.label_check import check_labels
    from keras_transfer.workflows.twin_check import TwinCheck

    document = _described(recipe, folder) | {"features": found.metadata}
    labels = pairs = None
    if asked["splits"]:
        where = np.isin(found.samples.splits, asked["splits"])
        labels = check_labels(found.samples.take(where), found.values[where], recipe.seed)
        labels.write(folder / RELABEL)
        document["label_errors"] = labels.document
    if asked["twins"]:
        labelled = single_class(recipe.objectives)
        pairs = TwinCheck(found.samples, found.values, asked["threshold"], labelled=labelled)
        pairs.write(folder)
        document["twins"] = pairs.document | {"across_own_splits": pairs.across_own(own)}
        if asked["run"] is not None:
            from keras_transfer.workflows.twin_accuracy import accuracy_without_twins

            document["run"] = accuracy_without_twins(asked["run"], pairs)
    try:
        write_check(folder / PAGE, recipe, found.samples, labels, pairs)
    except Exception as error:  # the tables are there and must not be lost
        logger.warning("Warning: %s was not written. %s: %s", PAGE, type(error).__name__, error)
    return document


def _described(recipe: FineTune, folder: Path) -> dict[str, Any]:
    """The data, as the table that a run would write has them."""
    counts = Counter(row["split"] for row in read_rows(folder / "split.csv"))
    examples = {name: counts[name] for name in SPLITS}
    return {"data": sources.describe(recipe.data.source), "examples": examples}

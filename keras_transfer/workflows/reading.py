"""Reading the examples of a run: checked, divided into splits, and written down."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_transfer import runs, seeds
from keras_transfer.cache import cache_dir
from keras_transfer.config.groups import Data
from keras_transfer.data import sources, splits
from keras_transfer.data.balance import class_weights
from keras_transfer.data.copies import report_copies
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.errors import BadData, CheckFailed, in_setting
from keras_transfer.inputs.base import Input
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.outputs import encode, single_class

__all__ = ["read_labelled", "read_samples"]

logger = logging.getLogger("keras_transfer")


def read_samples(
    data: Data,
    source: Any,
    folder: Path,
    *,
    given: Input,
    seed: int,
    objectives: Mapping[str, Objective],
) -> Samples:
    """Read the table of samples, check every example, and decide what is trained on.

    Args:
        data: Which of the examples are used, and how they are divided.
        source: The examples: a spec or arrays.
        folder: Gets ``split.csv``, ``classes.json`` and, if there are any, ``bad_files.csv``.
        given: The input: what the examples are, and which of them can be used.
        seed: The recipe's.
        objectives: What is predicted, by the name of the output.

    Raises:
        BadData: The data cannot be read, or some examples cannot be used.
        CheckFailed: With ``data.strict``, the same example or group lies in two splits.
    """
    from keras_transfer.data.scan import drop_invalid, scan

    own = seeds.stream(seed, "split")
    split_seed = own if data.split.seed is None else seeds.stream(data.split.seed, "split")
    samples = read_labelled(data, source, given, objectives)
    if data.limit:
        val, test = data.split.val, data.split.test
        samples = splits.limit(samples, data.limit, split_seed, val=val, test=test)
    found = scan(samples, given.judge, cache_dir())
    runs.write_bad_files(folder / "bad_files.csv", samples, found.reasons)
    samples = drop_invalid(samples, found, data.on_bad)
    if (found.reasons != "").any():
        logger.warning("Their paths and reasons are in %s", folder / "bad_files.csv")
    _check_leaks(samples, data.strict)
    asked = data.split.model_dump(exclude={"seed"})
    samples = splits.split(samples, seed=split_seed, train_seed=own, **asked)
    report_copies(samples)
    runs.write_split(folder / "split.csv", samples)
    runs.write_json(folder / "classes.json", samples.classes)
    return samples


def read_labelled(
    data: Data, source: Any, given: Input, objectives: Mapping[str, Objective]
) -> Samples:
    """Read the table of samples with the targets of each objective.

    Args:
        data: Which of the examples are used.
        source: The examples: a spec or arrays.
        given: The input: what the examples are.
        objectives: What is predicted, by the name of the output.

    Raises:
        BadData: The data cannot be read.
        UnknownName: ``class_weight`` names a class that the data do not have.
    """
    where = Path(data.data_dir) if data.data_dir else None
    how: dict[str, Any] = {"layout": data.layout, "text": given.text_column}
    if not single_class(objectives):
        columns = [name for output, one in objectives.items() for name in one.reads(output)]
        read = sources.read(source, where, columns=dict.fromkeys(columns), **how)
        return encode(read, objectives)
    samples = sources.read(source, where, **how)
    if data.classes:
        with in_setting("data.classes"):
            samples = splits.keep_classes(samples, data.classes)
    own = getattr(objectives[LABEL], "class_weight", None)
    if own:  # wrong names show before anything is checked
        with in_setting("objective.class_weight"):
            class_weights(own, samples.classes, samples.counts())
    return samples


def _check_leaks(samples: Samples, strict: bool) -> None:
    for what, cases, leak in (
        ("The same image lies in two splits", splits.leaks(samples), True),
        ("A group lies in two splits", splits.torn_groups(samples), True),
        ("The same image has two labels", splits.conflicts(samples), False),
    ):
        if not cases:
            continue
        found = BadData(f"{what}, {len(cases)} times:", cases)
        if strict and leak:
            raise CheckFailed(f"{found}\nKeep one copy of each, or leave out --strict.")
        logger.warning("Warning: %s", found)

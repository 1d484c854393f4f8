"""Read the examples of a run, check and split them, and record the splits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer import runs, seeds
from keras_transfer.atomic import write_json
from keras_transfer.cache import cache_dir
from keras_transfer.config.groups import Data
from keras_transfer.data import sources, splits
from keras_transfer.data.balance import class_weights
from keras_transfer.data.copies import report_copies
from keras_transfer.data.grouping import grouped
from keras_transfer.data.relabel import Corrections, corrected, read_corrections
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.errors import BadData, BadWeights, CheckFailed, in_setting
from keras_transfer.inputs.base import Input
from keras_transfer.inputs.table import read_input
from keras_transfer.inputs.text import Text
from keras_transfer.networks.hub_presets import is_preset, preset_folder
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.outputs import encode, labels_of, single_class

__all__ = ["brought", "divided", "learn", "read_labelled", "read_samples", "read_unlabelled"]

logger = logging.getLogger("keras_transfer")


def read_samples(
    data: Data,
    source: Any,
    folder: Path | None,
    *,
    given: Input,
    seed: int,
    objectives: Mapping[str, Objective],
) -> Samples:
    """Read the table of samples, check every example, and split them.

    Args:
        data: Selection and splits of the examples.
        source: The examples: a spec or arrays.
        folder: Gets ``split.csv``, ``classes.json`` and, if there are any, ``bad_files.csv`` and
            ``relabel.csv``; None: nothing is written.
        given: The input; it checks the examples.
        seed: The recipe's.
        objectives: Objectives by the name of the output.

    Raises:
        BadData: The data cannot be read, or some examples cannot be used.
        CheckFailed: With ``data.strict``, the same example or group lies in two splits.
    """
    return divided(read_labelled(data, source, given, objectives), data, folder, given, seed)


def divided(samples: Samples, data: Data, folder: Path | None, given: Input, seed: int) -> Samples:
    """Check every example, and split them; arguments as for ``read_samples``.

    Raises:
        BadData: Some examples cannot be used.
        CheckFailed: As for ``read_samples``.
    """
    from keras_transfer.data.scan import drop_invalid, scan

    stream, split_seed = seeds.stream(seed, "split"), _split_seed(data, seed)
    if data.groups is not None:
        samples = grouped(samples, Path(data.groups).expanduser())
    corrections = _corrections(data, samples, folder)
    # Before the scan, so that files that are left out are not read.
    if data.limit:
        val, test = data.split.val, data.split.test
        samples = splits.limit(samples, data.limit, split_seed, val=val, test=test)
    result = scan(samples, given.judge, cache_dir())
    # Before drop_invalid, which may raise: the user needs the list then.
    if folder is not None:
        runs.write_bad_files(folder / "bad_files.csv", samples, result.reasons)
    samples = drop_invalid(samples, result, data.on_bad)
    if folder is not None and (result.reasons != "").any():
        logger.warning("Their paths and reasons are in %s", folder / "bad_files.csv")
    # Only splits that come with the data can leak; those drawn below keep copies together.
    _check_leaks(samples, data.strict)
    requested = data.split.model_dump(exclude={"seed"})
    samples = splits.split(samples, seed=split_seed, train_seed=stream, **requested)
    if corrections is not None:
        # After the splits, which are stratified by the labels: they must be those of a run without
        # corrections, or the two could not be compared.
        samples = corrected(samples, corrections)
        _warn_of_conflicts(samples, f" after {data.relabel}")
    report_copies(samples)
    if folder is not None:
        # Raises if a resumed run finds other data than it began with.
        runs.write_split(folder / "split.csv", samples)
        write_json(folder / "classes.json", samples.classes)
    return samples


def read_unlabelled(data: Data, source: Any, given: Input, seed: int = 0) -> Samples:
    """Read and check examples without labels, as ``predict`` takes them.

    Args:
        data: ``limit`` and ``on_bad`` count.
        source: Files, folders and patterns, one or several, or images in memory; for texts a table
            with a column of them.
        given: The input; it checks the examples.
        seed: The recipe's; it draws a limited number.

    Returns:
        Samples of one nameless class, without splits.

    Raises:
        BadData: There are none, or some cannot be used.
    """
    from keras_transfer.data.pixels import in_memory
    from keras_transfer.data.scan import drop_invalid, scan
    from keras_transfer.runs.given import store_of

    alone = isinstance(source, str | Path) or in_memory(source)
    named = [source] if alone else list(source)
    if given.text_columns:
        named = [Path(one) for one in named]
    keys, store = store_of(named, columns=given.text_columns)
    if not keys:
        raise BadData("There are no examples.")
    samples = Samples.of(store, [""], keys, [0] * len(keys))
    if data.limit:
        samples = splits.limit(samples, data.limit, _split_seed(data, seed))
    return drop_invalid(samples, scan(samples, given.judge, cache_dir()), data.on_bad)


def learn(given: Input, samples: Samples) -> Any:
    """What an input learns of the examples, e.g. a vocabulary.

    Args:
        given: An input that learns.
        samples: With their splits.
    """
    # Never from val or test: their words must be as unknown as those of new texts.
    train = samples.split("train")
    return given.fit(train.store.raw(train.rows))


def brought(given: Input, name: str, weights: str, folder: Path | None = None) -> Any:
    """What an input takes from pretrained weights instead; None if they bring nothing.

    Args:
        given: The input; embeddings of words belong to the vocabulary of their training.
        name: Of the backbone.
        weights: As ``resolve_weights`` returns them.
        folder: It is saved there, because ``predict`` and exports look for it in a run's folder.

    Raises:
        BadWeights: The preset is not there, or has no such vocabulary.
        BadConfiguration: The settings contradict it, or there is no such run.
    """
    if not given.learns:
        return None
    if weights.startswith("run:"):
        run = runs.Run(weights.removeprefix("run:"))
        state = read_input(run.settings["input"]).load(run.folder)
    elif isinstance(given, Text) and is_preset(name, weights):
        state = given.of_preset(preset_folder(name, weights))
    else:
        return None
    if state is None:  # the run is one of images, which shows as its weights are loaded
        return None
    given.bind(state, 0)
    if folder is not None:
        _check_same(given, state, weights, folder)
        given.save(state, folder)
        logger.info("The vocabulary is that of the weights: %s tokens", f"{len(state):,}")
    return state


def _check_same(given: Input, state: Any, weights: str, folder: Path) -> None:
    """Refuse to resume a run whose weights have brought another vocabulary when it began."""
    try:
        began = given.load(folder)
    except BadData:  # none yet, or one that was cut off: it is written again
        return
    if given.bind(began, 0).metadata != given.bind(state, 0).metadata:
        raise BadWeights(
            f"The vocabulary of the weights {weights} is another one than when the run in {folder} "
            "began. Put those weights back, or start a new run without --resume."
        )


def _split_seed(data: Data, seed: int) -> int:
    """Seed of limit, val and test."""
    return seeds.stream(seed if data.split.seed is None else data.split.seed, "split")


def read_labelled(
    data: Data, source: Any, given: Input, objectives: Mapping[str, Objective]
) -> Samples:
    """Read the table of samples with the targets of each objective.

    Args:
        data: Selection of the examples.
        source: The examples: a spec or arrays.
        given: The input.
        objectives: Objectives by the name of the output.

    Raises:
        BadData: The data cannot be read.
        UnknownName: ``class_weight`` names a class that the data do not have.
    """
    data_dir = Path(data.data_dir) if data.data_dir else None
    how: dict[str, Any] = {"layout": data.layout, "texts": given.text_columns}
    how["label"] = data.label_column
    if not given.text_columns:
        sources.check_label(source, data.label_column)
    if not single_class(objectives):
        columns = [
            name for output, objective in objectives.items() for name in objective.reads(output)
        ]
        read = sources.read(source, data_dir, columns=dict.fromkeys(columns), **how)
        samples = encode(read, objectives)
        for output in objectives:
            _check_class_weight(samples, output, objectives)
        return samples
    samples = sources.read(source, data_dir, **how)
    if data.classes:
        with in_setting("data.classes"):
            samples = splits.keep_classes(samples, data.classes)
    _check_class_weight(samples, LABEL, objectives)
    return samples


def _corrections(data: Data, samples: Samples, folder: Path | None) -> Corrections | None:
    """Read the corrected labels of a recipe; a copy of the table stays with the run."""
    if data.relabel is None:
        return None
    file = Path(data.relabel).expanduser()
    found = read_corrections(file, samples)
    if folder is not None:
        runs.keep_table(folder / runs.RELABEL, file)
    return found


def _check_class_weight(samples: Samples, output: str, objectives: Mapping[str, Objective]) -> None:
    """Refuse wrong names of classes before anything is checked."""
    weights = getattr(objectives[output], "class_weight", None)
    if not isinstance(weights, Mapping) or not weights:
        return
    path = ["objective", *([] if output == LABEL else [output]), "class_weight"]
    names = labels_of(samples, output).names
    with in_setting(".".join(path)):
        # Called for its check only.
        class_weights(weights, names, np.zeros(len(names)))


def _check_leaks(samples: Samples, strict: bool) -> None:
    for title, cases in (
        ("The same example lies in two splits", splits.leaks(samples)),
        ("A group lies in two splits", splits.torn_groups(samples)),
    ):
        if not cases:
            continue
        error = BadData(f"{title}, {len(cases)} times:", cases)
        if strict:
            raise CheckFailed(f"{error}\nKeep one copy of each, or leave out --strict.")
        logger.warning("Warning: %s", error)
    _warn_of_conflicts(samples)


def _warn_of_conflicts(samples: Samples, when: str = "") -> None:
    """Warn of copies with different labels, which corrections of one of them make too."""
    if cases := splits.conflicts(samples):
        error = BadData(f"The same example has two labels{when}, {len(cases)} times:", cases)
        logger.warning("Warning: %s", error)

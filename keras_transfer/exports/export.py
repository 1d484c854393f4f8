"""The story of an export: written beside, held against the model, then moved into its place."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.atomic import write_bytes, write_json
from keras_transfer.clock import check_clock
from keras_transfer.config.upgrade import versioned
from keras_transfer.data.samples import LABEL
from keras_transfer.exports.answers import Answers
from keras_transfer.exports.exported import METADATA, Export
from keras_transfer.exports.foreign import foreign_operators
from keras_transfer.exports.formats import PredictFunction, check_curves, check_format, check_input
from keras_transfer.exports.integrity import with_checksums
from keras_transfer.exports.parity import LIMITS, Limits, compare, gate
from keras_transfer.exports.versions import checked_name, publish, unfinished
from keras_transfer.objectives.outputs import labels_of
from keras_transfer.objectives.rejection import unknown_of
from keras_transfer.reports.writing import CARD
from keras_transfer.runs import Run

if TYPE_CHECKING:
    from keras_transfer.data.samples import Samples
    from keras_transfer.exports.source import Source
    from keras_transfer.inputs.base import BoundInput

__all__ = ["LEAST", "export"]

logger = logging.getLogger("keras_transfer")

LEAST = 64
"""Examples on which an export is held against its model, if the run has so many."""

REPRESENTATIVE = 200
"""Examples of the train split from which int8 takes its ranges."""


def export(
    run: Run | str | Path,
    to: str | Path | None = None,
    *,
    format: str = "saved_model",
    quantize: str = "none",
    name: str | None = None,
    data: Any = None,
    max_changed: float | None = None,
    max_difference: float | None = None,
) -> Export:
    """Write the best model of a run for production, if it then answers as the model does.

    Args:
        run: A finished run, or its folder.
        to: The version goes to ``to/<name>/<version>``; ``export/`` of the run if None.
        format: A row of ``formats.FORMATS``.
        quantize: What is done to the weights: "none", or for LiteRT "float16", "dynamic" or
            "int8".
        name: Of the model; the recipe's if None, with format and quantization where a server
            of SavedModels would stumble over them.
        data: Labelled examples for the comparison; the run's test split if None (and more of
            the run's examples, if it has fewer than ``LEAST``).
        max_changed: Largest share of answers that may change (best classes, decisions for labels,
            values), of each output; ``parity.LIMITS`` if None.
        max_difference: Largest difference of a probability, or of a value in standard deviations
            of its target; the same.

    Returns:
        The export, which answers by the written files.

    Raises:
        BadConfiguration: Format, quantization, name or folder will not do, or the system clock is
            not set.
        BadData: The examples of the run are not to be had.
        CheckFailed: It does not answer as the model does; nothing is left behind.
    """
    from keras_transfer.reports.model_card import model_card

    row = check_format(format, quantize)
    check_clock()
    run = run if isinstance(run, Run) else Run(run)
    check_input(run.settings["input"]["type"], quantize)
    check_curves(run.metrics.get("calibration", {}), quantize)
    base = Path(to or run.folder / "export") / checked_name(
        name or _default_name(run.metadata["recipe"], format, quantize)
    )
    samples = _compared(run, data)
    limits = Limits(
        LIMITS[quantize].changed if max_changed is None else max_changed,
        LIMITS[quantize].difference if max_difference is None else max_difference,
    )
    source = _source(run, base.name, format, quantize)
    with unfinished(base) as folder:
        row.write(folder, source, quantize)
        if not row.assets:
            source.loading.input.write_assets(folder)
        # Read back from the files, since a conversion may fail without an error.
        predict = row.load_predictor(folder, replace(run.loading, batch_size=32, replicas=1))
        metadata = source.metadata | _checked(predict, source.answers, run, samples, limits)
        # Before `publish`, so that a version is never seen without it.
        write_json(folder / METADATA, with_checksums(metadata, folder))
        # After the checksums: people may edit it.
        measured = metadata["test"] if data is None and set(samples.splits) == {"test"} else None
        card = model_card(run, metadata, measured)
        write_bytes(folder / CARD, card.encode("utf-8", "backslashreplace"))
        foreign = foreign_operators(folder, format)
        version = publish(folder, base)
    logger.info("Written to %s", version)
    if foreign:  # of a backbone that somebody has added
        logger.warning("Warning: it loads with --trust only, for %s", ", ".join(foreign))
    return Export(version)


def _checked(
    predict: PredictFunction, answers: Answers, run: Run, samples: Samples, limits: Limits
) -> dict[str, Any]:
    """Metrics of the written files, once they have passed the gate."""
    theirs, ours = run.scores(samples), answers.read(predict(samples))
    compared = {}
    for name, output in answers.outputs.items():
        unknown = theirs.get(unknown_of(name))
        flat = None if unknown is None else unknown[:, 0]
        true = labels_of(samples, name).values
        compared[name] = compare(output, theirs[name], ours[name], true, flat)
    for name, comparison in compared.items():
        before = "" if [*compared] == [LABEL] else f"output {name}: "
        logger.info(
            "Held against the model on %s examples: %s%s", len(samples), before, comparison.text
        )
    # Before the metrics: those of an export that is refused are of no use.
    gate(compared, limits)
    scores = {name: given.scores for name, given in ours.items()}
    scores |= {unknown_of(n): g.unknown[:, None] for n, g in ours.items() if g.unknown is not None}
    metrics = run.metrics_of(samples, scores)
    found = {name: one.found | {"limits": limits._asdict()} for name, one in compared.items()}
    if [*compared] == [LABEL]:
        return {"parity": found[LABEL], "test": metrics[LABEL]}
    return {"parity": found, "test": metrics}


def _compared(run: Run, data: Any) -> Samples:
    """The test split; of small runs some of the others too."""
    if data is not None:
        return run.labelled(data)
    test = run.samples(("test",))
    if len(test) >= LEAST:
        return test
    everything = run.samples(("test", "val", "train"))
    order = np.argsort([("test", "val", "train").index(split) for split in everything.splits])
    more = everything.take(order[:LEAST])
    logger.info("The test split has %s examples only; %s are compared", len(test), len(more))
    return more


def _source(run: Run, name: str, format: str, quantize: str) -> Source:
    from keras_transfer.exports.source import Source
    from keras_transfer.features.engines import in_precision

    loading, answers = replace(run.loading, replicas=1), Answers(run.outputs)
    classes = {} if answers.classes is None else {"classes": list(answers.classes)}
    metadata = {
        "format": format,
        "quantize": quantize,
        "name": name,
        "recipe": run.metadata["recipe"],
        "run": str(run.folder.resolve()),
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": run.metadata["versions"],
        **classes,
        "outputs": answers.to_json(),
        **_described(loading.input),
        "settings": versioned(run.settings),
    }
    # Weights are float32 under any precision; a server's CPU computes best in it.
    model = in_precision(run.network.predictor, "float32")
    return Source(
        name, model, answers, loading, metadata, run.settings, lambda: _representative(run)
    )


def _described(bound: BoundInput) -> dict[str, Any]:
    """How examples are prepared; the first two are where version 1 has them."""
    found = bound.metadata
    described: dict[str, Any] = {
        name: found[name] for name in ("image_size", "resize") if name in found
    }
    return described | {"input": found}


def _representative(run: Run) -> Iterator[Mapping[str, np.ndarray]]:
    from keras_transfer.data.batches import plain_batches

    train = run.samples(("train",))
    # A fixed seed: int8 takes its ranges from the same examples every time.
    some = np.random.default_rng(0).permutation(len(train))[:REPRESENTATIVE]
    return plain_batches(train.take(np.sort(some)), run.loading).as_numpy_iterator()


def _default_name(recipe: str, format: str, quantize: str) -> str:
    splits = [recipe, *([format] if format != "saved_model" else [])]
    return "_".join([*splits, *([quantize] if quantize != "none" else [])])

"""Files of a comparison of domains."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from keras_transfer.atomic import write_csv
from keras_transfer.data.texts import Texts
from keras_transfer.domains.projection import projections
from keras_transfer.inputs.text import TEXT
from keras_transfer.inputs.text_pair import PAIR
from keras_transfer.runs import write_bad_files
from keras_transfer.runs.records import write_record
from keras_transfer.workflows.domain_report import Comparison

__all__ = ["TO_LABEL", "write_comparison"]

FILE, TO_LABEL = "domains.json", "to_label.csv"
LABELS = 100
"""Examples in the list of those to be labelled."""
SHOWN = 500
"""Most examples of each domain in the map: t-SNE takes time, and more hide each other."""

logger = logging.getLogger("keras_transfer")


def write_comparison(folder: Path, found: Comparison, seed: int) -> None:
    """Write ``domains.csv``, ``examples.csv``, ``to_label.csv``, a map and ``domains.json``.

    Args:
        folder: It exists.
        found: The comparison; what of the target cannot be used is in ``bad_files.csv``.
        seed: Of the map.
    """
    write_bad_files(folder / "bad_files.csv", found.drawn.read, found.drawn.reasons)
    header = ("group", "measure", "value", "low", "high", "p_value", "reference")
    write_csv(folder / "domains.csv", header, _rows(found.document))
    _write_examples(folder, found)
    try:
        from keras_transfer.evaluation.domain_map import plot_domains
    except ImportError:
        logger.info("No map.png: pip install 'keras_transfer[plots]' brings Matplotlib")
    else:
        # Domains are drawn at random, but in the order of their keys.
        rng = np.random.default_rng([seed, *b"map"])
        some = [
            domain.take(np.sort(rng.permutation(len(domain))[:SHOWN]))
            for domain in (found.source, found.target)
        ]
        planes = projections(*(domain.features for domain in some), seed=seed)
        source = some[0]
        plot_domains(folder / "map.png", planes, source.labels, source.samples.classes)
    write_record(folder / FILE, found.document)


def _rows(document: dict[str, Any]) -> Iterator[list[Any]]:
    """One row for each measure: group, name, value, interval, p-value, reference."""
    for group in ("distances", "distances_with_equal_shares"):
        if document[group]:
            yield from _distances(group, document[group])
    for row in document["per_class"]:
        yield from _distances(f"class {row['class']}", row)
    for row in document["label_shift"]["classes"]:
        shares = [row["estimated"], row["low"], row["high"]]
        yield ["share of class", row["class"], *shares, None, row["source"]]
    p_value = document["label_shift"]["p_value"]
    yield ["label shift", document["label_shift"]["by"], *3 * [None], p_value, None]
    yield from _accuracies(document["accuracy"])
    loss = document["loss"]
    name = "measured" if loss["measured"] else "estimated"
    yield ["loss", name, loss["value"], loss["low"], loss["high"], None, None]


def _accuracies(accuracy: dict[str, Any]) -> Iterator[list[Any]]:
    for domain in ("source", "target"):
        if one := accuracy[domain]:
            yield ["accuracy", domain, one["accuracy"], one["low"], one["high"], None, None]
    for name, one in accuracy["estimates"].items():
        yield ["estimated accuracy", name, *one.values(), None, accuracy["held_out"]]
    for name in ("entropy", "agreement"):
        if both := accuracy[name]:
            yield [name, "target", *both["target"].values(), None, both["source"]["value"]]


def _distances(group: str, row: dict[str, Any]) -> Iterator[list[Any]]:
    yield [group, "mmd", row.get("mmd"), None, None, row["mmd_p_value"], None]
    interval = [row["a_distance_low"], row["a_distance_high"]]
    yield [group, "a_distance", row["a_distance"], *interval, None, None]
    for name in ("frechet", "coral"):
        if name in row:
            yield [group, name, row[name], None, None, None, row[f"{name}_reference"]]


def _write_examples(folder: Path, found: Comparison) -> None:
    """All target examples, the farthest first; and those to label, far and unsure ones first."""
    target = found.target
    samples, classes = target.samples, np.array(target.samples.classes, object)
    table = np.clip(target.probabilities, 1e-12, 1)
    entropy = -(table * np.log(table)).sum(axis=1)
    columns = {
        "path": samples.keys,
        "predicted": classes[target.predicted],
        "probability": table.max(axis=1),
        "entropy": entropy,
        "distance": found.distances,
    }
    if target.labelled:
        columns["true"] = classes[samples.labels]
    farthest = np.argsort(-found.distances, kind="stable")
    write_csv(
        folder / "examples.csv",
        [*columns],
        zip(*(cells[farthest] for cells in columns.values()), strict=True),
    )
    first = np.argsort(-(rankdata(found.distances) + rankdata(entropy)), kind="stable")[:LABELS]
    write_csv(folder / TO_LABEL, *_to_label(samples.take(first), columns["predicted"][first]))


def _to_label(samples: Any, predicted: np.ndarray) -> tuple[list[str], list[list[str]]]:
    """A manifest whose labels are to be filled in, as ``--target`` and ``--data`` read it."""
    if isinstance(samples.store, Texts):
        raw = samples.store.raw(samples.rows)
        cells = [one if isinstance(one, tuple) else (one,) for one in raw]
        header = PAIR if cells and len(cells[0]) > 1 else (TEXT,)
    else:
        # Absolute: the manifest does not lie where the images are.
        paths = samples.keys
        header = ("path",)
        cells = [(os.path.abspath(path) if os.path.exists(path) else path,) for path in paths]
    rows = [[*own, "", guess] for own, guess in zip(cells, predicted, strict=True)]
    return [*header, "label", "predicted"], rows

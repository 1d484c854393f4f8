"""Compare a source with a target: what differs, what the model loses, which examples are strange.

Imported when a comparison begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_transfer.cache import cache_dir
from keras_transfer.clock import timed
from keras_transfer.data.copies import families
from keras_transfer.data.samples import Samples
from keras_transfer.domains.checks import MIN_EXAMPLES
from keras_transfer.domains.outliers import neighbor_distances
from keras_transfer.errors import BadData
from keras_transfer.workflows import domain_measures as measures
from keras_transfer.workflows.domain_measures import Domain
from keras_transfer.workflows.domain_source import Source
from keras_transfer.workflows.domain_target import Drawn, Target, draw, places
from keras_transfer.workflows.domain_verdict import verdict

__all__ = ["Comparison", "compare", "measured"]

logger = logging.getLogger("keras_transfer")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two domains, and what was found.

    Attributes:
        document: Measures and verdict, JSON-ready.
        source: The held-out examples of the source.
        target: Those of the target.
        drawn: What the target was drawn from, with examples that cannot be used.
        distances: (target,) float: how far each target example is from the source.
    """

    document: dict[str, Any]
    source: Domain
    target: Domain
    drawn: Drawn
    distances: np.ndarray


def compare(source: Source, target: Target, *, size: int, seed: int) -> Comparison:
    """Measure how far a target is from the source.

    Distances and predictions are those of examples that the model was not trained on: the
    features of a tuned network differ between what it has learnt and what it has not.

    Args:
        source: The model, and its examples.
        target: With the source's classes.
        size: Most examples of each domain.
        seed: Of all draws.

    Raises:
        BadData: A domain has too few examples that can be used.
        CheckFailed: There is no room for the features.
    """
    seconds: dict[str, float] = {}
    with timed(seconds, "reading"):
        held_out = _held_out(source.samples, size, seed)
        how: dict[str, Any] = {"cache": cache_dir(), "known": source.digests}
        drawn = draw(target.samples, size, seed, source.judge, **how)
    _check_sizes(held_out, drawn)
    with timed(seconds, "features"):
        pair = _domains(source, held_out, drawn.samples, target.labelled)
    with timed(seconds, "measures"):
        found = measured(*pair, seed)
        distances = neighbor_distances(pair[0].features, pair[1].features)
    document = {
        "source": _described(source, held_out),
        "target": _counted(target, drawn),
        **found,
        "seconds": seconds,
    }
    return Comparison(document, *pair, drawn, distances)


def _held_out(samples: Samples, size: int, seed: int) -> Samples:
    """Test examples, and val examples if these are fewer than ``size``; copies once."""
    chosen: list[np.ndarray] = []
    for split in ("test", "val"):
        rows = np.flatnonzero(samples.splits == split)
        left = size - sum(map(len, chosen))
        chosen.append(rows[places(samples.take(rows), left, seed)])
    both = samples.take(np.concatenate(chosen))
    return both.take(np.unique(families(both.digests), return_index=True)[1])


def _check_sizes(held_out: Samples, drawn: Drawn) -> None:
    if len(held_out) < MIN_EXAMPLES:
        raise BadData(
            f"The source has {len(held_out)} distinct examples in its val and test splits; a "
            f"comparison needs {MIN_EXAMPLES}. Name others by --data, or use larger splits."
        )
    if len(drawn.samples) < MIN_EXAMPLES:
        bad = int((drawn.reasons != "").sum())
        raise BadData(
            f"{len(drawn.samples)} of {len(drawn.read)} target examples are left, and a comparison "
            f"needs {MIN_EXAMPLES}: {bad} cannot be used, {drawn.known} are examples of the "
            f"source, and {drawn.copies} are copies of others. Give more that are not the source's."
        )


def _domains(
    source: Source, held_out: Samples, target: Samples, labelled: bool
) -> tuple[Domain, Domain]:
    features = source.features(held_out), source.features(target)
    exact = source.agrees(target, features[1])
    if not exact:
        logger.warning(
            "Warning: predictions from cached features differ from the full network, which is "
            "used instead."
        )

    def domain(samples: Samples, rows: np.ndarray, known: bool) -> Domain:
        second = None if source.second_head is None else source.second_head(rows)
        found = source.head(rows) if exact else source.from_raw(samples)
        return Domain(samples, source.vectors(rows), found, second, known, source.decision)

    return domain(held_out, features[0], True), domain(target, features[1], labelled)


def measured(source: Domain, target: Domain, seed: int) -> dict[str, Any]:
    """All measures of two domains and the verdict, as the document holds them."""
    shift = measures.label_shift(source, target, seed)
    found: dict[str, Any] = {
        # Read first: other shares of the classes move all distances.
        "label_shift": shift,
        "distances": measures.distances(source, target, seed),
        "distances_with_equal_shares": None,
        "per_class": measures.per_class(source, target, seed) if target.labelled else [],
        "accuracy": measures.accuracies(source, target, seed),
    }
    if shift["found"]:
        matched = measures.with_shares(source, shift, seed)
        if len(matched) >= MIN_EXAMPLES:
            found["distances_with_equal_shares"] = measures.distances(matched, target, seed)
    if target.labelled:
        found["loss"] = measures.measured_loss(source, target, shift, seed)
    else:
        found["loss"] = measures.estimated_loss(found["accuracy"])
    return found | {"verdict": verdict(found)}


def _described(source: Source, held_out: Samples) -> dict[str, Any]:
    return {
        "name": source.name,
        "backbone": source.backbone,
        "model": "run" if source.run else "logistic regression on frozen features",
        "train": len(source.train),
        "test": int((held_out.splits == "test").sum()),
        "val": int((held_out.splits == "val").sum()),
        "classes": [*held_out.classes],
    }


def _counted(target: Target, drawn: Drawn) -> dict[str, Any]:
    samples = target.samples
    counts = samples.counts()
    missing = [name for name, n in zip(samples.classes, counts, strict=True) if not n]
    return {
        "labelled": target.labelled,
        "examples": len(drawn.samples),
        "of": len(samples),
        "invalid": int((drawn.reasons != "").sum()),
        "examples_of_the_source": drawn.known,
        "copies": drawn.copies,
        "missing_classes": missing if target.labelled else [],
    }

"""What adaptation wins on the target: metrics of the adapted model, and of one without it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.copies import families
from keras_transfer.data.samples import Samples
from keras_transfer.evaluation.layout import interval_text
from keras_transfer.evaluation.paired import Aligned, Run, paired_differences
from keras_transfer.objectives.base import Labels
from keras_transfer.objectives.classification import Classification

__all__ = ["PREDICTIONS", "target_metrics"]

PREDICTIONS = "predictions_target.csv"
"""File of a run with the predictions of the target examples that are evaluated."""

logger = logging.getLogger("keras_transfer")


def target_metrics(
    folder: Path,
    method: str,
    samples: Samples,
    adapted: np.ndarray,
    source_only: np.ndarray,
    *,
    labelled: bool,
    train: Labels,
) -> dict[str, Any]:
    """Write the predictions of the target, and compare both models there.

    Args:
        folder: The run directory.
        method: Its name.
        samples: n target examples, with the source's classes.
        adapted: (n, classes) float64 probabilities of the adapted model.
        source_only: (n, classes) float64 of the same model without adaptation.
        labelled: Whether the target has labels.
        train: Labels of the train split.

    Returns:
        "adaptation": "method" and "target", which has "n"; with labels also "adapted" and
        "source_only", metrics of both, and "difference" of the accuracies with its "interval".
        Then also "target", the metrics of the adapted model.
    """
    objective, classes = Classification(), samples.classes
    true = samples.labels if labelled else None
    objective.write_predictions(folder / PREDICTIONS, samples.keys, true, adapted, classes)
    document: dict[str, Any] = {"n": len(samples)}
    found = {"adaptation": {"method": method, "target": document}}
    if not labelled:
        logger.info("Target: it has no labels, so nothing is measured there")
        return found
    copies = families(samples.digests)
    for name, scores in (("adapted", adapted), ("source_only", source_only)):
        document[name] = objective.evaluate(
            samples.labels, scores, classes, train=train, families=copies
        )
    document |= _difference(samples, source_only, adapted)
    _log(method, document)
    return {"target": document["adapted"], **found}


def _difference(samples: Samples, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Accuracy of the second less that of the first, with a bootstrap interval over examples."""
    runs = [[Run(scores, scores.argmax(axis=1))] for scores in (first, second)]
    aligned = Aligned(samples.keys, samples.labels, runs, samples.classes, 0)
    metrics = {"accuracy": Classification().paired_metrics(samples.classes)["accuracy"]}
    found = paired_differences(aligned, metrics, families=families(samples.digests))["accuracy"]
    return {name: found[name] for name in ("difference", "interval")}


def _log(method: str, document: dict[str, Any]) -> None:
    logger.info(
        "Target: accuracy %.3f with %s, %.3f without: %+.3f%s",
        *(document["adapted"]["accuracy"], method, document["source_only"]["accuracy"]),
        *(document["difference"], interval_text(document["interval"], document["n"], "+.3f")),
    )

"""Metrics of an adaptation on its target, beside those of the model without it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.evaluation.layout import metric_text
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.outputs import labels_of
from keras_transfer.training.monitors import mode
from keras_transfer.workflows.adaptation_choice import Kept

__all__ = ["TARGET_FILE", "Predicted", "adaptation_metrics", "oracle"]

logger = logging.getLogger("keras_transfer")

TARGET_FILE = "predictions_target.csv"


class Predicted(NamedTuple):
    """Predictions of one model for the target.

    Attributes:
        samples: n examples of the target whose labels were not used.
        probabilities: (n, classes) float64.
        known: Whether their labels are known.
    """

    samples: Samples
    probabilities: np.ndarray
    known: bool


def adaptation_metrics(
    folder: Path,
    objective: Objective,
    train: Samples,
    predicted: Mapping[Kept, Predicted],
    kept: Kept,
) -> dict[str, Any]:
    """Write the predictions of the kept model for the target; compute metrics of all models.

    Args:
        folder: Gets ``TARGET_FILE``.
        objective: A classification.
        train: The train split of the source.
        predicted: By the name of the model: "adapted" and "source_only".
        kept: Name of the model that is kept.

    Returns:
        "adaptation", whose "target" has the metrics by model, and "target": those of the kept one.
        Without labels of the target there are none.
    """
    samples, probabilities, known = predicted[kept]
    true = samples.labels if known else None
    objective.write_predictions(
        folder / TARGET_FILE, samples.keys, true, probabilities, samples.classes
    )
    if not known:
        return {"adaptation": {"examples": len(samples)}}
    labels, copies = labels_of(train, LABEL), families(samples.digests)
    metrics = {
        name: objective.evaluate(
            one.samples.labels, one.probabilities, samples.classes, train=labels, families=copies
        )
        for name, one in predicted.items()
    }
    accuracies = {
        name: metric_text("accuracy", found["accuracy"]) for name, found in metrics.items()
    }
    logger.info(
        "Accuracy on %s labelled examples of the target: %s; kept: %s",
        *(len(samples), ", ".join(" ".join(pair) for pair in accuracies.items()), kept),
    )
    return {
        "target": metrics[kept],
        "adaptation": {"examples": len(samples), "target": metrics},
    }


def oracle(rows: Sequence[Mapping[str, Any]], monitor: str, known: bool) -> dict[str, Any]:
    """Which epoch was chosen, and which one labels of the target would have chosen.

    Args:
        rows: One for each epoch, with the monitored metric and "target_accuracy".
        monitor: The metric that chose.
        known: Whether the labels of the target are known.

    Returns:
        Nothing if they are not known, or if no labels of the target were there in training.
    """
    if not known or not rows or "target_accuracy" not in rows[0]:
        return {}
    values = [row[monitor] for row in rows]
    chosen = int(np.argmax(values) if mode(monitor) == "max" else np.argmin(values))
    best = int(np.argmax([row["target_accuracy"] for row in rows]))
    found = {
        name: {key: rows[place][key] for key in ("stage", "epoch", "target_accuracy")}
        for name, place in (("chosen", chosen), ("by_labels", best))
    }
    text = ", ".join(
        f"{name.replace('_', ' ')} {row['stage']} {row['epoch']} "
        f"({metric_text('accuracy', row['target_accuracy'])})"
        for name, row in found.items()
    )
    logger.info("Epoch and its accuracy on the target: %s. The latter is an oracle", text)
    return found

"""Metrics of an adaptation on its target, beside those of the model without it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.evaluation.layout import metric_text
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.outputs import labels_of
from keras_transfer.training.monitors import mode
from keras_transfer.workflows.adaptation_choice import Choice, Kept
from keras_transfer.workflows.adaptation_domain import TargetDomain
from keras_transfer.workflows.adaptation_gain import accuracy_gain

__all__ = ["TARGET_FILE", "adaptation_metrics", "oracle"]

logger = logging.getLogger("keras_transfer")

TARGET_FILE = "predictions_target.csv"


def adaptation_metrics(
    folder: Path,
    objective: Objective,
    train: Samples,
    domain: TargetDomain,
    scores: Mapping[Kept, np.ndarray],
    choice: Choice,
) -> dict[str, Any]:
    """Write the predictions of the kept model for the target; compute metrics of both models.

    Args:
        folder: Gets ``TARGET_FILE``.
        objective: A classification.
        train: The train split of the source.
        domain: n of its examples are judged: those whose labels are not used.
        scores: (n, classes) float64 probabilities, by model.
        choice: Which model is kept.

    Returns:
        "adaptation": the choice and, where the target has labels, "target", the metrics by model,
        and the gain; and then "target", those of the kept one, too.
    """
    samples, kept = domain.judged, choice.kept
    true = samples.labels if domain.known else None
    objective.write_predictions(
        folder / TARGET_FILE, samples.keys, true, scores[kept], samples.classes
    )
    document: dict[str, Any] = {"examples": len(samples), **choice._asdict()}
    if not domain.known:
        return {"adaptation": document}
    labels, copies = labels_of(train, LABEL), families(samples.digests)
    metrics = {
        name: objective.evaluate(
            samples.labels, one, samples.classes, train=labels, families=copies
        )
        for name, one in scores.items()
    }
    accuracies = {
        name: metric_text("accuracy", found["accuracy"]) for name, found in metrics.items()
    }
    logger.info(
        "Accuracy on %s labelled examples of the target: %s; kept: %s",
        *(len(samples), ", ".join(" ".join(pair) for pair in accuracies.items()), kept),
    )
    gain = accuracy_gain(samples, scores["source_only"], scores["adapted"])
    return {"target": metrics[kept], "adaptation": {**document, "target": metrics, **gain}}


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

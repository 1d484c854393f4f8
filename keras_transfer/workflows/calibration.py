"""Calibrates a trained network by its validation split.

Imported when a run begins, not before: it needs TensorFlow.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.evaluation.calibration import Calibration, calibrate
from keras_transfer.evaluation.calibration_metrics import calibration_metrics
from keras_transfer.evaluation.inference import ACTIVATIONS
from keras_transfer.evaluation.reliability import reliability
from keras_transfer.networks.label_curves import with_curves
from keras_transfer.networks.temperature import with_temperatures
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.outputs import labels_of

__all__ = ["Calibrated", "calibrated"]

logger = logging.getLogger("keras_transfer")

BySplit = Mapping[str, Mapping[str, np.ndarray]]
"""(n, units) float64 by split and output."""


class Calibrated(NamedTuple):
    """A calibrated network, and its scores.

    Attributes:
        model: From inputs by name to calibrated outputs by name.
        scores: (n, units) float64 by split and output.
        metrics: "calibration" for ``metrics.json``; nothing if no objective asks for it.
    """

    model: keras.Model
    scores: dict[str, dict[str, np.ndarray]]
    metrics: dict[str, Any]


def calibrated(
    model: keras.Model,
    objectives: Mapping[str, Objective],
    samples: Samples,
    outputs: BySplit,
) -> Calibrated:
    """Fit temperatures, or curves of labels.

    Args:
        model: With its best weights; it stays as it is.
        objectives: By the name of the output; those with ``calibrate`` are calibrated.
        samples: With all their splits.
        outputs: Of the model, before any activation; of "val" and "test", perhaps of others.
    """
    found = {
        name: _fitted(name, samples.split("val"), objective, outputs["val"][name], len(objectives))
        for name, objective in objectives.items()
        # Values of a regression are no probabilities, so it has no such setting.
        if getattr(objective, "calibrate", "none") != "none"
    }
    changed = {name: one for name, one in found.items() if one.changes}
    divided = {name: one.temperature for name, one in changed.items() if one.curves is None}
    if divided:
        model = with_temperatures(model, divided)
    for name, one in changed.items():
        if one.curves is not None:
            model = with_curves(model, name, one.curves.ramps(), one.curves.fitted)
    scores = {
        split: {
            name: ACTIVATIONS[objectives[name].activation](
                changed[name].apply(values) if name in changed else values
            )
            for name, values in by_output.items()
        }
        for split, by_output in outputs.items()
    }
    metrics = {
        name: _described(one, samples.split("test"), name, objectives[name], outputs, scores)
        for name, one in found.items()
    }
    if not metrics:
        return Calibrated(model, scores, {})
    single = [*objectives] == [LABEL]
    return Calibrated(model, scores, {"calibration": metrics[LABEL] if single else metrics})


def _fitted(
    name: str, val: Samples, objective: Objective, outputs: np.ndarray, several: int
) -> Calibration:
    true = labels_of(val, name).values
    known = objective.known(true)
    method = getattr(objective, "calibrate", "temperature")
    found = calibrate(outputs[known], true[known], families(val.digests)[known], method)
    of = "" if several == 1 else f" of the output {name}"
    if found.reason:
        logger.info(
            "Probabilities%s stay as they are (%s val examples): %s",
            *(of, f"{found.examples:,}", found.reason),
        )
    else:
        logger.info(
            "%s, fitted on %s val examples: their log loss by cross-validation %.4f, before %.4f",
            *(_titled(found, of), f"{found.examples:,}", found.after, found.before),
        )
    return found


def _titled(found: Calibration, of: str) -> str:
    if found.curves is None:
        return f"Temperature{of} {found.temperature:.3f}"
    curves = found.curves.fitted
    return f"Isotonic curves{of} for {int(curves.sum())} of {len(curves)} labels"


def _curves(found: Calibration, names: tuple[str, ...]) -> dict[str, Any]:
    """Curves, and what was tried, as JSON can hold it; nothing of a temperature alone."""
    if found.curves is None:
        tried = found.candidates or {}
        return {"fitted": "temperature", "candidates": tried} if len(tried) > 1 else {}
    x, y, fitted = found.curves
    curves = {names[i]: {"x": x[i].tolist(), "y": y[i].tolist()} for i in np.flatnonzero(fitted)}
    return {"fitted": "isotonic", "candidates": found.candidates, "curves": curves}


def _described(
    found: Calibration,
    test: Samples,
    name: str,
    objective: Objective,
    outputs: BySplit,
    scores: BySplit,
) -> dict[str, Any]:
    """A calibration, and what it changed on the test split, as JSON can hold it."""
    true = labels_of(test, name).values
    known = objective.known(true)
    true, copies = true[known], families(test.digests)[known]
    raw = ACTIVATIONS[objective.activation](outputs["test"][name][known])
    before = calibration_metrics(true, raw, copies)
    after = before
    if found.changes:
        after = calibration_metrics(true, scores["test"][name][known], copies)
    return {
        "method": getattr(objective, "calibrate", "none"),
        **_curves(found, labels_of(test, name).names),
        "temperature": found.temperature,
        "examples": found.examples,
        "val_log_loss": {"before": found.before, "cross_validated": found.after},
        "reason": found.reason,
        "test": {"before": before | _bins(true, raw), "after": after},
    }


def _bins(true: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Bins of the reliability diagram of classes, for the report."""
    if np.ndim(true) != 1:
        return {}
    found = reliability(scores.max(axis=1).clip(0, 1), scores.argmax(axis=1) == true)
    parts = ("counts", "confidence", "accuracy")
    return {
        "bins": {
            part: [None if np.isnan(value) else value for value in getattr(found, part).tolist()]
            for part in parts
        }
    }

"""Metrics after training, from predictions that are computed and written once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.atomic import write_json
from keras_transfer.clock import phase
from keras_transfer.data.copies import families
from keras_transfer.data.samples import LABEL, Samples
from keras_transfer.evaluation.prediction_files import FILES, prediction_file
from keras_transfer.objectives.base import Objective
from keras_transfer.objectives.classification import Classification
from keras_transfer.objectives.outputs import Output, labels_of, to_json
from keras_transfer.workflows.thresholds import report_thresholds

if TYPE_CHECKING:
    from keras_transfer.workflows.stage_runner import StageRunner

__all__ = ["evaluate", "evaluate_run"]

Scores = Mapping[str, np.ndarray]


def evaluate_run(
    folder: Path,
    objectives: Mapping[str, Objective],
    runner: StageRunner,
    *,
    columns: Sequence[str] = (),
) -> dict[str, Any]:
    """Calibrate a trained network, let it answer unknown if that is asked for, and evaluate it.

    ``best.keras`` is written again where the network has changed.

    Args:
        folder: The run directory.
        objectives: By the name of the output.
        runner: Has trained all stages, on samples with all their splits.
        columns: Columns of texts in tables of unknown data; none for images.

    Returns:
        As ``evaluate``, with further entries of the calibration and of the method.
    """
    # Imported late, since they need TensorFlow.
    from keras_transfer.training.resume import save_model
    from keras_transfer.workflows.calibration import calibrated
    from keras_transfer.workflows.rejection import rejecting

    predictor, setup = runner.network.predictor, runner.setup
    samples = setup.samples
    with phase("predictions"):
        outputs = runner.outputs()
    model, scores, calibration = calibrated(predictor, objectives, samples, outputs)
    how: dict[str, Any] = {"columns": columns, "seed": setup.seed}
    with phase("unknown"):
        found = rejecting(model, objectives, samples, setup.loading, **how)
    if found.model is not predictor:
        save_model(folder / "best.keras", found.model)
    metrics = evaluate(folder, samples, objectives, scores, found.decisions)
    metrics["baselines"] |= runner.baselines()
    return metrics | calibration | found.metrics | runner.further_metrics(scores)


def evaluate(
    folder: Path,
    samples: Samples,
    objectives: Mapping[str, Objective],
    predictions: Mapping[str, Scores],
    decisions: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write predictions, ``outputs.json`` and curves; compute metrics.

    Args:
        folder: The run directory.
        samples: With all their splits.
        objectives: By the name of the output.
        predictions: (n, units) scores by split and output.
        decisions: What else was fitted to decide by, by output.

    Returns:
        Metrics by split, and "baselines"; of several outputs by output within.
    """
    outputs = {}
    metrics: dict[str, dict[str, Any]] = {name: {} for name in (*FILES, "baselines")}
    for name, objective in objectives.items():
        val = labels_of(samples.split("val"), name)
        # Decided on val: thresholds fitted on test would flatter its metrics.
        output = Output(objective, val.names).decided(val.values, predictions["val"][name])
        more = (decisions or {}).get(name, {})
        output = replace(output, decision={**output.decision, **more})
        outputs[name] = output
        for split in FILES:
            subset = samples.split(split)
            file, scores = folder / prediction_file(split, name), predictions[split][name]
            metrics[split][name] = _metrics(file, subset, name, output, scores, samples)
        report_thresholds(name, metrics["val"][name], metrics["test"][name])
        train, test = (labels_of(samples.split(split), name) for split in ("train", "test"))
        metrics["baselines"][name] = objective.baseline(train, test.values, test.names)
        if isinstance(objective, Classification):
            stem = "pr_curves" if name == LABEL else f"pr_curves_{name}"
            _write_curves(folder / f"{stem}.csv", test, predictions["test"][name])
    write_json(folder / "outputs.json", to_json(outputs))
    if [*objectives] == [LABEL]:
        (objective,) = objectives.values()
        baselines = {objective.baseline_name: metrics["baselines"][LABEL]}
        return {**{split: metrics[split][LABEL] for split in FILES}, "baselines": baselines}
    simple = {name: metrics["baselines"][name] for name in objectives}
    return {**{split: metrics[split] for split in FILES}, "baselines": {"simple": simple}}


def _metrics(
    file: Path, split: Samples, name: str, output: Output, scores: np.ndarray, samples: Samples
) -> dict[str, Any]:
    objective, (values, names) = output.objective, labels_of(split, name)
    decision = output.decision
    objective.write_predictions(file, split.keys, values, scores, names, decision=decision)
    train = labels_of(samples.split("train"), name)
    copies = families(split.digests)
    return objective.evaluate(
        values, scores, names, decision=decision, train=train, families=copies
    )


def _write_curves(path: Path, test: Any, scores: np.ndarray) -> None:
    # Imported late: scikit-learn loads slowly, and `--help` imports this module.
    from keras_transfer.evaluation.metrics import precision_recall_curves
    from keras_transfer.evaluation.predictions import write_curves

    write_curves(path, precision_recall_curves(test.values, scores, test.names))

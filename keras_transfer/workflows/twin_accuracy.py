"""What a run's test accuracy owes to test examples that have a twin in train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.samples import LABEL
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.evaluation.intervals import wilson_interval
from keras_transfer.evaluation.prediction_files import prediction_file
from keras_transfer.objectives.classification import Classification
from keras_transfer.runs.run import Run
from keras_transfer.runs.split_table import read_rows
from keras_transfer.workflows.twin_check import TwinCheck

__all__ = ["accuracy_without_twins", "open_run"]


def open_run(folder: str | Path) -> Run:
    """A finished run of a classification.

    Raises:
        BadConfiguration: It is no such run.
    """
    run = Run(folder)
    if [*run.outputs] != [LABEL] or not isinstance(run.outputs[LABEL].objective, Classification):
        raise BadConfiguration(f"{folder} is no run of a classification, which has an accuracy.")
    return run


def accuracy_without_twins(run: Run, checked: TwinCheck) -> dict[str, Any]:
    """Test accuracy of a run by its saved predictions, with and without twins of train.

    Examples are recognized by their content; splits are those of the run.

    Args:
        run: As ``open_run`` returns it.
        checked: Twins of the data.

    Returns:
        "all", "without_twins" and "twins": accuracy, its 95 % interval (Wilson), and n each;
        accuracy and interval are None where n is 0. Test examples of the run that are not among
        the data do not count.

    Raises:
        BadData: No test example of the run is among the data.
    """
    rows = read_rows(run.split)
    test, train = ({r["digest"] for r in rows if r["split"] == name} for name in ("test", "train"))
    digests = {row["path"]: row["digest"] for row in rows}
    known = checked.samples.digests
    in_test, in_train = (np.array([d in part for d in known], bool) for part in (test, train))
    pairs = np.column_stack([checked.pairs.first, checked.pairs.second])
    both = np.concatenate([pairs, pairs[:, ::-1]])
    # An exact copy lies in both.
    seen = {*known[both[in_test[both[:, 0]] & in_train[both[:, 1]], 0]], *(test & train)}
    predicted = run.outputs[LABEL].objective.read_predictions(
        run.folder / prediction_file("test", LABEL)
    )
    own = np.array([digests.get(key, "") for key in predicted.keys], object)
    there = {*known}
    compared = np.array([digest in there for digest in own], bool)
    if not compared.any():
        raise BadData(f"No test example of the run {run.folder} is among the data.")
    own = own[compared]
    twin = np.array([digest in seen for digest in own], bool)
    correct = (predicted.decided == predicted.true)[compared]
    parts = {"all": np.ones(len(own), bool), "without_twins": ~twin, "twins": twin}
    return {name: _accuracy(correct[where]) for name, where in parts.items()}


def _accuracy(correct: np.ndarray) -> dict[str, Any]:
    if not len(correct):
        return {"accuracy": None, "accuracy_interval": None, "n": 0}
    share = float(correct.mean())
    interval = wilson_interval(share, np.ones(len(correct)))
    return {"accuracy": share, "accuracy_interval": interval, "n": len(correct)}

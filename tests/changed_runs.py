"""Copies of a finished run that predict otherwise: a second model without a second training."""

import shutil

from keras_transfer.checksums import sha256_of
from keras_transfer.runs.records import read_record, write_record

__all__ = ["other"]


def other(run, folder, change, output="label", file="predictions.csv"):
    """Make a copy of a run whose predictions of the test split are changed."""
    shutil.copytree(run.folder, folder)
    objective = run.outputs[output].objective
    before = objective.read_predictions(run.folder / file)
    true, scores = change(before.true, before.scores)
    decision = run.outputs[output].decision
    objective.write_predictions(
        folder / file, before.keys, true, scores, before.names, decision=decision
    )
    record = read_record(folder / "run.json", {})
    record["checksums"][file] = sha256_of(folder / file)
    write_record(folder / "run.json", record)
    return before, objective.read_predictions(folder / file)

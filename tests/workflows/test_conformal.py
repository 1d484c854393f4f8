"""Prediction sets of runs, in Python and on the command line."""

import csv
import io
import json

import numpy as np
import pytest
from processes import kt

from keras_transfer import BadConfiguration
from keras_transfer.evaluation.predictions import read_predictions
from keras_transfer.runs.conformal import Conformal


def test_sets_are_those_of_the_val_predictions(run):
    """The n-th smallest of n: the largest 1 - p."""
    val = read_predictions(run.folder / "predictions_val.csv")
    n = len(val.true)
    highest = (1 - val.probabilities[np.arange(n), val.true]).max()
    conformal = Conformal(run, n / (n + 1))
    assert conformal.quantiles["label"] == pytest.approx([highest])
    test = read_predictions(run.folder / "predictions.csv")
    for one in run.predict(test.keys.tolist()):
        found = dict(conformal.classes(one, "label"))
        inside = {
            c for c, p in zip(one.classes, one.probabilities, strict=True) if 1 - p <= highest
        }
        assert set(found) == inside | {one.label}
        assert next(iter(found)) == one.label
        assert conformal.answers(one) == {"label": list(found)}


def test_intervals_of_values(objective_run):
    """Five val examples: 0.8 is the ceil(6 x 0.8) = 5th, the largest residual of each target."""
    run = objective_run("values")
    conformal = Conformal(run, 0.8)
    output = run.outputs["label"]
    val = output.objective.read_predictions(run.folder / "predictions_val.csv")
    largest = np.abs(val.true - val.scores).max(axis=0)
    (one,) = run.predict([run.samples(["test"]).keys[0]])
    for place, found in enumerate(conformal.intervals(one, "label")):
        assert found.name == output.names[place]
        assert found.high - found.value == pytest.approx(largest[place], rel=1e-3)
        assert found.value - found.low == pytest.approx(largest[place], rel=1e-3)


def test_several_outputs(objective_run):
    run = objective_run("tasks")
    (one,) = run.predict([run.samples(["test"]).keys[0]])
    found = Conformal(run, 0.5, "aps").answers(one)
    assert one.answers()["colour"] in found["colour"]
    (low, high), *_ = found["price-in.eur"].values()
    assert low <= one.answers()["price-in.eur"] <= high


@pytest.mark.slow
def test_what_cannot_be_promised_is_refused(run, saved, objective_run):
    with pytest.raises(BadConfiguration, match=r"takes 19 val examples .* the run has 10"):
        Conformal(run, 0.95)
    with pytest.raises(BadConfiguration, match="above 0 and below 1"):
        Conformal(run, 95)
    with pytest.raises(BadConfiguration, match="Name the run"):
        Conformal(saved, 0.5)
    with pytest.raises(BadConfiguration, match="several labels"):
        Conformal(objective_run("labels"), 0.5)


def test_the_command_line(run, tmp_path):
    (file,) = run.samples(["test"]).keys[:1]
    words = ("predict", str(run.folder), str(file), "--coverage", "0.8", "--sets", "aps")
    conformal = Conformal(run, 0.8, "aps")
    (one,) = run.predict([file])
    names = [name for name, _ in conformal.classes(one, "label")]
    said = kt(*words, cwd=tmp_path, check=0).stdout
    assert all(name in said for name in names)
    row = json.loads(kt(*words, "--format", "jsonl", cwd=tmp_path, check=0).stdout)
    assert row == {"path": str(file), "coverage": 0.8, "sets": {"label": names}}
    table = kt(*words, "--format", "csv", cwd=tmp_path, check=0).stdout
    assert list(csv.reader(io.StringIO(table)))[1] == [str(file), "", "|".join(names)]
    failed = kt("predict", str(run.folder), str(file), "--coverage", "0.99", cwd=tmp_path, check=2)
    assert "takes 99 val examples" in failed.stderr

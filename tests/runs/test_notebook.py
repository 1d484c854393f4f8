"""A run in a notebook: its table, and its predictions as a data frame."""

import csv
import shutil
import sys

import numpy as np
import pytest
from objectives_runs import PRICE

from keras_transfer import load
from keras_transfer.errors import BadConfiguration, UnknownName


def written(path):
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


@pytest.mark.parametrize(("split", "file"), [("test", "predictions"), ("val", "predictions_val")])
def test_predictions_are_those_of_the_file(run, split, file):
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = run.predictions(split)

    rows = written(run.folder / f"{file}.csv")
    assert [*frame.columns] == ["path", "true", "predicted", "p:blue", "p:red"]
    assert frame["path"].tolist() == [row["path"] for row in rows]
    assert frame["predicted"].tolist() == [row["predicted"] for row in rows]
    assert frame["p:red"].dtype == np.float64
    assert frame["p:red"].tolist() == [float(row["p:red"]) for row in rows]
    right = (frame["true"] == frame["predicted"]).mean()
    assert right == run.metrics[split]["accuracy"]


def test_predictions_of_several_outputs(objective_run):
    pytest.importorskip("pandas", reason="pandas is not installed")
    run = objective_run("tasks")
    colour, price = (run.predictions(output=name) for name in ("colour", PRICE))

    assert colour.equals(run.predictions())
    assert set(colour["true"]) <= {"violet", "red", "blue", "grey"}
    rows = written(run.folder / f"predictions_{PRICE}.csv")
    assert [*price.columns] == ["path", f"true:{PRICE}", f"predicted:{PRICE}"]
    true = [float(row[f"true:{PRICE}"] or "nan") for row in rows]
    np.testing.assert_array_equal(price[f"true:{PRICE}"], true)
    assert np.isnan(true).any()


def test_wrong_names(run):
    pytest.importorskip("pandas", reason="pandas is not installed")
    with pytest.raises(UnknownName, match=r"No split with predictions is called 'tets'.*'test'"):
        run.predictions("tets")
    with pytest.raises(UnknownName, match="No output is called 'colour'"):
        run.predictions(output="colour")


def test_without_pandas(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(BadConfiguration, match=r"pip install pandas.*predictions\.csv holds them"):
        run.predictions()


def test_a_notebook_shows_metrics_with_intervals_and_links(run, tmp_path, monkeypatch):
    home = tmp_path / "a <b> & c"
    shutil.copytree(run.folder, home)
    (home / "report.html").write_text("")
    (home / "README.md").unlink(missing_ok=True)  # of a test of the report
    monkeypatch.chdir(tmp_path)
    html = load(home)._repr_html_()

    test = run.metrics["test"]
    low, high = (f"{bound:.4f}" for bound in test["accuracy_interval"])
    assert f"Accuracy {test['accuracy']:.4f} (95 % interval {low} to {high})" in html
    assert f"on {test['n']} test examples; the baseline majority reaches 0.5000." in html
    assert f"<td>log loss</td><td>{test['log_loss']:.4f}</td><td></td>" in html
    assert '<a href="a%20%3Cb%3E%20%26%20c/report.html">report</a>' in html
    assert "a &lt;b&gt; &amp; c" in html
    assert "<b> &" not in html
    assert "model card" not in html  # there is none


def test_a_notebook_shows_each_output(objective_run):
    run = objective_run("tasks")
    html = run._repr_html_()

    assert "<p><b>colour</b></p>" in html
    assert f"<p><b>{PRICE}</b></p><p>MAE {run.test_metrics(PRICE)['mae']:.4g}" in html
    assert "<th>baseline (majority)</th>" in html
    assert "<th>baseline (mean)</th>" in html

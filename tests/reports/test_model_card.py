"""Model cards: their numbers are those of the run, names do no harm, an edited card stays."""

import re
import shutil

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer import Run
from keras_transfer.reports.model_card import _cells, model_card
from keras_transfer.reports.writing import write_card


def parts(card):
    """The header as values, and the sections of a card by title."""
    _, header, body = card.split("---\n", 2)
    sections = dict(text.split("\n", 1) for text in body.split("\n## ")[1:])
    return yaml.safe_load(header), sections


def table(section):
    """Rows of the first table of a section by their first cell."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0]: row[1:] for row in rows}


def test_numbers_are_those_of_the_run(run):
    header, sections = parts(model_card(run))
    test, (result,) = run.metrics["test"], header["model-index"][0]["results"]

    assert header["library_name"] == "keras"
    assert header["pipeline_tag"] == result["task"]["type"] == "image-classification"
    shown = {row["type"]: row["value"] for row in result["metrics"]}
    assert shown["accuracy"] == pytest.approx(test["accuracy"], abs=5e-5)
    low, high = test["accuracy_interval"]
    row = table(sections["Metrics"])["accuracy"]
    assert row[:2] == [f"{test['accuracy']:.4f}", f"{low:.4f} to {high:.4f}"]
    assert f"{test['n']} test examples" in sections["Metrics"]
    split = run.split.read_text().splitlines()
    blue = [sum(f",blue,{name}," in line for line in split) for name in ("train", "val", "test")]
    assert table(sections["Data"])["blue"] == [str(count) for count in blue]
    assert run.metadata["data"]["split.csv"][:16] in sections["Data"]


def test_limits_say_what_the_numbers_do_not(run):
    _, sections = parts(model_card(run))

    assert "answers one of its classes, whatever it is shown" in sections["Limits"]
    assert "Fewer than 20 test examples of: blue" in sections["Limits"]
    recalls = {name: row["recall"] for name, row in run.metrics["test"]["per_class"].items()}
    worst = min(recalls, key=recalls.get)
    assert f"The weakest class is {worst}: {100 * recalls[worst]:.1f} %" in sections["Limits"]


def test_a_card_that_was_edited_stays(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "run")
    copy = Run(tmp_path / "run")
    (copy.folder / "README.md").unlink(missing_ok=True)  # of a test of the report
    assert write_card(copy).read_text() == model_card(copy)

    (copy.folder / "README.md").write_text("Intended use: sorting.")
    assert write_card(copy).read_text() == "Intended use: sorting."


def test_metrics_of_an_export_are_those_that_are_given(run):
    measured = {**run.metrics["test"], "accuracy": 0.1234}
    export = run.metadata | {"format": "onnx", "quantize": "none"}
    header, sections = parts(model_card(run, export, measured))

    assert header["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.1234
    assert table(sections["Metrics"])["accuracy"][0] == "0.1234"
    assert "serve" not in sections["Use"]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=4))
def test_no_name_breaks_a_table(names):
    cells = _cells(names)

    assert not any("\n" in cell for cell in cells)
    # What is left without a backslash before it separates cells.
    bare = re.sub(r"\\.", "", " | ".join(cells))
    assert bare.count("|") == len(names) - 1

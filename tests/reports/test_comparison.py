"""The page that compares runs: its numbers are those of ``compare_runs``, its examples theirs."""

import shutil

import numpy as np
import pytest
from changed_runs import other
from html_pages import Page
from objectives_runs import PRICE
from processes import kt

from keras_transfer import BadConfiguration, BadData
from keras_transfer.checksums import sha256_of
from keras_transfer.reports.comparison import Compared, _verdict
from keras_transfer.reports.disagreements import disagreement
from keras_transfer.runs import Run
from keras_transfer.runs.records import read_record, write_record
from keras_transfer.runs.shared_examples import align_runs
from keras_transfer.studies.comparison import compare_runs
from keras_transfer.studies.comparison_page import write_comparison


def numbers(text):
    """The numbers in a cell such as "0.9000 (0.8000 to 1.0000)"."""
    return [float(word) for word in text.replace("(", "").replace(")", "").split() if word != "to"]


def shuffled(true, scores):
    return true, np.random.default_rng(1).permutation(scores)


@pytest.fixture(scope="module")
def pair(run, tmp_path_factory):
    """Folders of a run, and of a copy with permuted predictions."""
    folder = tmp_path_factory.mktemp("pair") / "b"
    other(run, folder, shuffled)
    return [str(run.folder), str(folder)]


@pytest.fixture(scope="module")
def page(pair, tmp_path_factory):
    path = write_comparison(pair, tmp_path_factory.mktemp("page") / "ab.html")
    return Page(path.read_text("utf-8")).check()


def test_its_numbers_are_those_of_compare(pair, page):
    found = compare_runs(pair)["others"][0]
    rows = page.table("metric", "A", "B")
    assert [row[0] for row in rows] == [
        "accuracy (higher is better)",
        "macro F1 (higher is better)",
    ]
    for row, metric in zip(rows, ("accuracy", "macro_f1"), strict=True):
        for cell, key in zip(row[1:], ("first", "second"), strict=True):
            expected = [found[metric][key], *found[metric][f"{key}_interval"]]
            assert numbers(cell) == pytest.approx(expected, abs=5e-5)
    for row, metric in zip(page.table("models", "metric"), ("accuracy", "macro_f1"), strict=True):
        assert row[0] == "1. B less A"
        expected = [found[metric]["difference"], *found[metric]["interval"]]
        assert numbers(" ".join(row[2:4])) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("only_second", "p", "said"),
    [(2, 0.0654, "which McNemar's test does not confirm"), (1, 0.0215, "so A is better")],
)
def test_a_difference_needs_both_interval_and_test(only_second, p, said):
    """Of eleven and ten examples: p by scipy.stats.binomtest(only_second, 9 + only_second)."""
    row = {"first": 0.97, "second": 0.96, "difference": -0.01, "interval": [-0.02, -0.002]}
    row |= {"first_interval": None, "second_interval": None}
    test = {"only_first": 9, "only_second": only_second, "p": p}
    output = {"examples": 448, "objective": "classification"}
    output["others"] = [{"accuracy": row, "mcnemar": [test]}]
    runs = Compared(("a", "b"), [[None], [None]], output, {})

    sentences, _ = _verdict(runs, output, "accuracy", 0)
    assert sentences[0].endswith(f"{said}.")


@pytest.mark.parametrize(
    ("values", "wide", "pair", "said", "never"),
    [
        # The first is the best: its pair is with the next best, not with the second.
        ([0.9, 0.6, 0.8], [], "of C is 0.8000, of A 0.9000", "so A is better.", "Not clearly"),
        ([0.9, 0.6, 0.88], [2], "of C is 0.8800, of A 0.9000", "worse than A: C.", "is better"),
        ([0.9, 0.89, 0.88], [1, 2], "of B is", "Not clearly worse than A: B, C.", "is better"),
        # Another one is: B and C are paired with the first alone.
        ([0.6, 0.89, 0.9], [], "of C is 0.9000, of A 0.6000", "then B; each is paired", "clearly"),
        ([0.8, 0.6, 0.9], [], "of C is 0.9000, of A 0.8000", "best value.", "paired"),
        ([0.8, 0.6, 0.9], [2], "of C is 0.9000, of A 0.8000", "worse than C: A.", "paired"),
    ],
)
def test_the_best_of_several_is_compared_with_the_next_best(values, wide, pair, said, never):
    """Of series; the differences of the places in ``wide`` are within noise."""
    first = values[0]
    others = []
    for place, value in enumerate(values[1:], start=1):
        half = 0.5 if place in wide else 0.01
        gap = value - first
        row = {"first": first, "second": value, "difference": gap, "first_interval": None}
        row |= {"interval": [gap - half, gap + half], "second_interval": None}
        others.append({"accuracy": row})
    output = {"examples": 448, "objective": "classification", "others": others}
    runs = Compared(("a", "b", "c"), [[None, None]] * 3, output, {})

    sentences, fine = _verdict(runs, output, "accuracy", int(np.argmax(values)))

    assert pair in sentences[0]
    assert said in " ".join(sentences)
    assert never not in sentences[0]
    assert fine is (not wide and "paired" not in said)


def test_who_is_wrong_where(pair, page):
    a, b = (Run(folder) for folder in pair)
    read = a.outputs["label"].objective.read_predictions
    one, two = (read(run.folder / "predictions.csv") for run in (a, b))
    right = one.decided == one.true, two.decided == two.true
    counts = [[int((x & y).sum()) for y in (right[1], ~right[1])] for x in (right[0], ~right[0])]

    shown = page.table("examples", "B right", "B wrong")

    assert [[int(cell) for cell in row[1:]] for row in shown] == counts
    test = compare_runs(pair)["others"][0]["mcnemar"][0]
    assert [counts[0][1], counts[1][0]] == [test["only_first"], test["only_second"]]
    alone = f"B alone is right on {test['only_second']} examples, A alone on {test['only_first']} ("
    assert alone in page.said
    images = sum(one.startswith("data:") for one in page.references)
    assert images == counts[0][1] + counts[1][0] + counts[1][1]
    classes = {row[0]: [int(cell) for cell in row[1:]] for row in page.table("class", "examples")}
    for label, name in enumerate(one.names):
        here = one.true == label
        expected = [here.sum(), right[0][here].sum(), right[1][here].sum()]
        assert classes[name][:3] == expected
        assert classes[name][3] == expected[2] - expected[1]


def test_the_surest_mistakes_come_first(pair):
    runs = [[Run(folder)] for folder in pair]
    objective = runs[0][0].outputs["label"].objective
    aligned, _ = align_runs(runs, "label", objective)

    found = disagreement(aligned, objective, (0, 1), ("A", "B"))

    sure = aligned.models[1][0].scores.max(axis=1)[found.only_first]
    assert len(sure) > 1
    assert (np.diff(sure) <= 0).all()


def test_settings_that_differ_and_the_time(run, tmp_path):
    copy = tmp_path / "<img src=x>\"'\u202e"
    shutil.copytree(run.folder, copy)
    path = copy / "recipe.yaml"
    assert path.read_text().count("dropout: 0.0") == 1
    path.write_text(path.read_text().replace("dropout: 0.0", "dropout: 0.25"))
    record = read_record(copy / "run.json", {})
    record["checksums"]["recipe.yaml"] = sha256_of(path)
    record["seconds"]["total"] = 1234.5
    write_record(copy / "run.json", record)

    page = write_comparison([str(run.folder), str(copy)], tmp_path / "ab.html")
    page = Page(page.read_text("utf-8")).check()

    assert "<img src=x>" in page.said
    assert "\u202e" not in page.html
    assert page.table("setting", "A", "B") == [["head.dropout", "0.0", "0.25"]]
    seconds = run.metadata["seconds"]["total"]
    assert page.table("step", "A", "B")[0] == ["total", f"{seconds:.1f}", "1234.5"]
    assert "This test split cannot tell them apart" in page.said
    assert "which is within noise" in page.said


def test_several_labels_and_outputs(objective_run, tmp_path):
    run = objective_run("labels")
    other(run, tmp_path / "b", shuffled)
    page = write_comparison([str(run.folder), str(tmp_path / "b")], tmp_path / "l.html")
    page = Page(page.read_text("utf-8")).check()
    assert "B alone has all labels right on" in page.said
    assert "Only B is right" in page.said

    run = objective_run("tasks")
    file = f"predictions_{PRICE}.csv"
    other(run, tmp_path / "c", lambda true, said: (true, said + 1), PRICE, file)
    page = write_comparison([str(run.folder), str(tmp_path / "c")], tmp_path / "t.html")
    page = Page(page.read_text("utf-8")).check()
    assert f"Metrics of {PRICE}" in page.said
    assert page.said.count("Who is wrong where of colour") == 2  # the link, and the section


def test_entities_are_compared_by_f1(token_run, tmp_path):
    folders = [str(token_run.folder)] * 2
    page = write_comparison(folders, tmp_path / "e.html")
    page = Page(page.read_text("utf-8")).check()
    row = page.table("metric", "A", "B")[0]
    assert row[0] == "F1 (higher is better)"
    assert numbers(row[1])[0] == pytest.approx(token_run.metrics["test"]["f1"], abs=5e-5)


def test_values_are_compared_by_errors(objective_run, tmp_path):
    run = objective_run("values")
    other(run, tmp_path / "b", lambda true, said: (true, said + 1))
    page = write_comparison([str(run.folder), str(tmp_path / "b")], tmp_path / "v.html")
    page = Page(page.read_text("utf-8")).check()
    assert [row[0] for row in page.table("target", "models")][::3] == ["redness", "blueness"]
    assert "Who is wrong where" not in page.said


def test_runs_that_cannot_be_paired_are_refused_as_compare_does(run, objective_run, tmp_path):
    with pytest.raises(BadConfiguration, match="different objectives"):
        write_comparison(
            [str(run.folder), str(objective_run("labels").folder)], tmp_path / "a.html"
        )
    other(run, tmp_path / "b", lambda true, scores: (1 - true, scores))
    with pytest.raises(BadData, match="different true values"):
        write_comparison([str(run.folder), str(tmp_path / "b")], tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_the_command(pair, tmp_path):
    done = kt("report", *pair, pair[1], "--to", "abc.html", cwd=tmp_path, check=0)
    assert done.stdout == "abc.html\n"
    page = Page((tmp_path / "abc.html").read_text("utf-8")).check()
    assert [row[0] for row in page.table("models", "metric")][::2] == ["1. B less A", "2. C less A"]
    assert "no folder" in kt("report", *pair, "--to", "no/x.html", cwd=tmp_path, check=2).stderr
    assert "end in .html" in kt("report", *pair, "--to", "x.csv", cwd=tmp_path, check=2).stderr
    assert kt("report", *pair, cwd=tmp_path, check=0).stdout == "comparison.html\n"

"""Runs by several seeds, comparisons and learning curves from the command line."""

import csv
import itertools
import json

import pytest
from html_pages import Page
from processes import HEAD, kt, kt_process

from keras_transfer.runs.records import write_record


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def keys(run, split):
    return sorted(row["path"] for row in rows(run / "split.csv") if row["split"] == split)


@pytest.fixture(scope="module")
def series(work):
    return kt(
        "run", "tiny.py", *HEAD, "--seeds", 2, "--seed", 4, "--out", "series", "--json",
        cwd=work, check=0, KT_REPORT="1",
    )  # fmt: skip


def test_a_series_has_a_page(work, series):
    page = Page((work / "series/report.html").read_text("utf-8")).check()
    found = json.loads(series.stdout)["metrics"]["test"]
    rows = {row[0]: row[1:3] for row in page.table("metric", "mean")}
    assert len(rows) == len(found)
    assert rows["accuracy"] == [f"{found['accuracy'][key]:.4f}" for key in ("mean", "std")]
    assert [row[0] for row in page.table("run", "random seed")] == ["seed_4", "seed_5"]


def test_seeds_give_mean_and_deviation_of_their_runs(work, series):
    document = json.loads(series.stdout)

    each = [
        json.loads((work / "series" / run / "metrics.json").read_text())["test"]["log_loss"]
        for run in ("seed_4", "seed_5")
    ]
    found = document["metrics"]["test"]["log_loss"]
    assert document["runs"] == ["seed_4", "seed_5"]
    assert found["values"] == each
    assert found["mean"] == pytest.approx(sum(each) / 2)
    assert found["std"] == pytest.approx(abs(each[0] - each[1]) / 2**0.5)
    assert each[0] != each[1]


def test_all_seeds_have_the_same_parts(work, series):
    for split in ("train", "val", "test"):
        assert keys(work / "series/seed_4", split) == keys(work / "series/seed_5", split)


def test_a_run_of_a_series_is_the_run_alone(work, series):
    """The second of a process comes to what it comes to in a process of its own."""
    kt(
        "run", "tiny.py", *HEAD, "--seed", 5, "--set", "split.seed=4", "--out", "alone",
        cwd=work, check=0,
    )  # fmt: skip
    assert (work / "alone/predictions.csv").read_text() == (
        work / "series/seed_5/predictions.csv"
    ).read_text()


def test_a_series_goes_on_with_what_is_missing(work, series):
    folder = work / "series"
    metadata = json.loads((folder / "series.json").read_text())
    write_record(folder / "series.json", {**metadata, "status": "interrupted"})
    before = (folder / "seed_4/metrics.json").stat().st_mtime_ns

    other = kt("run", "tiny.py", "--seeds", 3, "--resume", "--out", "series", cwd=work, check=2)
    assert "seeds = 2, not 3" in other.stderr
    kt("run", "tiny.py", "--seeds", 2, "--resume", "--out", "series", cwd=work, check=0)

    assert json.loads((folder / "series.json").read_text()) == metadata
    assert (folder / "seed_4/metrics.json").stat().st_mtime_ns == before


def test_compare_pairs_a_run_with_another_and_with_a_series(work, series):
    said = kt(
        "compare", "series/seed_4", "series/seed_5", "series", "--json", cwd=work, check=0
    )  # fmt: skip
    document = json.loads(said.stdout)
    right = [
        [row["true"] == row["predicted"] for row in rows(work / f"series/seed_{n}/predictions.csv")]
        for n in (4, 5)
    ]

    assert (document["examples"], document["left_out"]) == (6, 0)
    run, both = document["others"]
    assert run["accuracy"]["first"] == sum(right[0]) / 6
    assert run["accuracy"]["second"] == sum(right[1]) / 6
    (test,) = run["mcnemar"]
    assert test["only_second"] == sum(b and not a for a, b in zip(*right, strict=True))
    assert both["runs"] == 2
    assert both["accuracy"]["second"] == pytest.approx((sum(right[0]) + sum(right[1])) / 12)
    two = kt_process("compare", "series/seed_4", "series/seed_5", cwd=work, check=0)
    assert "McNemar's exact test: " in two.stdout


@pytest.fixture(scope="module")
def curve(work):
    return kt(
        "curve", "tiny.py", *HEAD, "--sizes", "2,25%,50%,100%", "--out", "curve", "--json",
        cwd=work, check=0,
    )  # fmt: skip


@pytest.mark.slow
def test_a_curve_has_a_point_a_size_on_one_test_part(work, curve):
    """12 images to train on: a quarter is 3, two a class are 4, half are 6."""
    document = json.loads(curve.stdout)

    assert [one["examples"] for one in document["points"]] == [3, 4, 6, 12]
    for one in document["points"]:
        low, high = one["accuracy_interval"]
        assert low <= one["accuracy"] <= high
    table = [int(row["examples"]) for row in rows(work / "curve/curve.csv")]
    assert table == [3, 4, 6, 12]
    folders = [work / "curve" / name / "seed_0" for name in ("3", "4", "6", "all")]
    for split in ("val", "test"):
        assert len({tuple(keys(one, split)) for one in folders}) == 1
    trains = [set(keys(one, "train")) for one in folders]
    assert all(a < b for a, b in itertools.pairwise(trains))
    assert "doubling" in document


@pytest.mark.slow
def test_a_curve_has_a_page(work, curve):
    said = kt("report", "curve", cwd=work, check=0).stdout
    page = Page((work / said.strip()).read_text("utf-8")).check()
    points = json.loads(curve.stdout)["points"]
    assert [row[1].split()[0] for row in page.table("examples", "accuracy")[:-1]] == [
        f"{point['accuracy']:.4f}" for point in points
    ]
    assert "changed it by" in page.said


def test_a_smaller_size_gets_as_many_steps(work, curve):
    """Batches of 8: 12 images are two steps, 3 are one, so that has two epochs for one."""
    epochs = {name: len(rows(work / f"curve/{name}/seed_0/history.csv")) for name in ("3", "all")}
    assert epochs == {"3": 2, "all": 1}


@pytest.mark.slow
def test_features_of_the_whole_serve_the_smaller_sizes(work, curve):
    metadata = json.loads((work / "curve/3/seed_0/run.json").read_text())
    assert all(one["computed"] == 0 for one in metadata["features"].values())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "tiny.py", "--seeds", "1"], 2, "2 or more"),
        (["run", "tiny.py", "--seeds", "2", "--resume"], 2, "nothing to resume"),
        (["run", "tiny.py", "--seeds", "2", "--data", "imags", "--out", "no"], 3, "imags"),
        (["curve", "tiny.py", "--sizes", "5%,many"], 2, "'many' is not a size"),
        (["curve", "tiny.py", "--sizes", "120%"], 2, "1.2"),
        (["curve", "tiny.py", "--sizes", "0"], 2, "size 0"),
        (
            ["curve", "tiny.py", "--sizes", "1,5", "--set", "imbalance=smote", *HEAD],
            2,
            "size 1 and",
        ),
        (["curve", "tiny.py", "--data", "imags", "--out", "no"], 3, "imags"),
        (["curve", "tini.py"], 2, "tini.py"),
        (["compare", "images"], 2, "two runs or more"),
        (["compare", "images", "images"], 2, "no run folder"),
    ],
)
def test_what_a_user_can_mend_has_a_message_and_no_traceback(work, words, code, said):
    done = kt(*words, cwd=work)

    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr
    assert not (work / "no").exists()


@pytest.mark.slow
def test_a_curve_is_not_compared_as_one(work, curve):
    refused = kt("compare", "curve", "curve", cwd=work, check=2)
    assert "all/seed_0" in refused.stderr

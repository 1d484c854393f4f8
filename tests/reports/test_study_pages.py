"""Pages of studies from stored records: their numbers, what they advise, and hostile names."""

import json
import re
import shutil

import numpy as np
import pytest
from changed_runs import other
from html_pages import Page

from keras_transfer import BadConfiguration, BadData
from keras_transfer.atomic import write_csv
from keras_transfer.checksums import sha256_of
from keras_transfer.reports.studies.curve import _verdict as _curve_verdict
from keras_transfer.reports.studies.seeds import _verdict as _series_verdict
from keras_transfer.reports.studies.table import study_in
from keras_transfer.reports.writing import write_report
from keras_transfer.runs.records import read_record, write_record
from keras_transfer.runs.series import recorded_series
from keras_transfer.studies.comparison import compare_runs

HOSTILE = "<script>alert(1)</script>\"' \u202egnp" + "x" * 150


def page_of(folder):
    page = Page(write_report(folder).read_text("utf-8")).check()
    assert "\u202e" not in page.html  # what reorders a text is an escape
    assert "<script" not in page.html
    return page


def shuffled(true, scores):
    return true, np.random.default_rng(1).permutation(scores)


def record_series(folder, run, found, places, **more):
    metadata = {"recipe": HOSTILE, **more, "runs": places}
    with recorded_series(folder, metadata, run.settings) as series:
        series.update(found)


def set_val_accuracy(folder, value):
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["val"]["accuracy"] = value
    path.write_text(json.dumps(metrics))
    record = read_record(folder / "run.json", {})
    record["checksums"]["metrics.json"] = sha256_of(path)
    write_record(folder / "run.json", record)


@pytest.fixture(scope="module")
def pair(run, tmp_path_factory):
    """A folder with a run and a copy that predicts otherwise."""
    folder = tmp_path_factory.mktemp("pair")
    shutil.copytree(run.folder, folder / "seed_0")
    other(run, folder / "seed_1", shuffled)
    return folder


SPREADS = {
    "accuracy": {
        "mean": 0.8125,
        "std": 0.0442,
        "interval": [0.4154, 1.2096],
        "values": [0.85, 0.775],
    },
    "log_loss": {"mean": 0.5, "std": 0.1, "interval": [0.3, 0.7], "values": [0.4, 0.6]},
}


def test_a_series_has_the_numbers_of_its_record(pair, run, tmp_path):
    shutil.copytree(pair, tmp_path / "s")
    set_val_accuracy(tmp_path / "s/seed_0", 0.25)
    found = {"metrics": SPREADS, "baselines": {"majority": {"accuracy": 0.5}}}
    record_series(tmp_path / "s", run, found, ["seed_0", "seed_1"], kind="seeds", seeds=2)

    page = page_of(tmp_path / "s")

    assert page.table("metric", "mean") == [
        ["accuracy", "0.8125", "0.0442", "0.4154 to 1.2096", "0.5000"],
        ["log loss", "0.5000", "0.1000", "0.3000 to 0.7000", "-"],
    ]
    assert [row[2] for row in page.table("", "run", "accuracy")] == ["0.8125", "0.8500", "0.7750"]
    # The interval of the mean, 0.4154 to 1.2096, holds the baseline.
    assert "not clearly better than the baseline majority, 0.5000" in page.said
    # The first is better on test, which chooses nothing.
    assert f"best on val kt-recipe export {tmp_path / 's/seed_1'}" in page.said
    assert "<script>alert" in page.said
    assert "x" * 100 not in page.said


def test_equal_runs_are_not_clearly_better_on_few_test_examples(run, tmp_path):
    """Five equal models have no spread over seeds; that over the test examples is left."""
    places = [f"seed_{seed}" for seed in range(5)]
    for place in places:
        _, after = other(run, tmp_path / "s" / place, shuffled)
    value = float((after.decided == after.true).mean())
    spread = {"mean": value, "std": 0.0, "interval": [value, value], "values": [value] * 5}
    found = {"metrics": {"accuracy": spread}, "baselines": {"majority": {"accuracy": value - 0.01}}}
    record_series(tmp_path / "s", run, found, places, kind="seeds", seeds=5)

    said = page_of(tmp_path / "s").said

    assert "not clearly better than the baseline majority" in said
    # Twice the standard error of a share, sqrt(p (1 - p) / n), about.
    low, high = (float(x) for x in re.search(r"seeds is (\S+) to ([\d.]+):", said).groups())
    error = (value * (1 - value) / len(after.true)) ** 0.5
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.25)


@pytest.mark.parametrize(
    ("wide", "clear"), [([0.55, 0.8], True), ([0.4, 0.8], False), (None, False)]
)
def test_a_series_is_clearly_better_by_both_intervals(wide, clear):
    spread = {"mean": 0.7, "std": 0.01, "interval": [0.69, 0.71], "values": [0.7] * 5}
    said, fine = _series_verdict("accuracy", spread, {"majority": {"accuracy": 0.5}}, wide)
    assert (": clearly better" in said[1], fine) == (clear, clear)


def test_a_curve_has_the_numbers_of_its_record(pair, run, tmp_path):
    for size, place in (("10", "seed_1"), ("all", "seed_0")):
        shutil.copytree(pair / place, tmp_path / "c" / size / "seed_0")
    points = [
        {"examples": 10, "accuracy": 0.5, "accuracy_interval": [0.25, 0.75]},
        {"examples": 1200, "accuracy": 0.9, "accuracy_interval": None},
    ]
    doubling = {"gain": 0.0123, "interval": [-0.001, 0.02], "law": {}}
    found = {"points": points, "baselines": {"majority": {}}, "doubling": doubling}
    places = ["all/seed_0", "10/seed_0"]
    record_series(tmp_path / "c", run, found, places, kind="curve", seeds=1)

    page = page_of(tmp_path / "c")

    assert page.table("examples", "accuracy") == [
        ["10", "0.5000 (0.2500 to 0.7500)"],
        ["1,200", "0.9000 (-)"],
        ["baseline majority", "-"],
    ]
    folders = [str(tmp_path / "c" / place) for place in reversed(places)]
    row = compare_runs(folders, 1000)["others"][0]["accuracy"]
    assert f"from 10, changed it by {row['difference']:+.4f} (paired" in page.said
    assert "{:+.4f} to {:+.4f}".format(*row["interval"]) in page.said
    assert "would add 0.012 (95 % interval -0.001 to 0.020)" in page.said
    assert "worth their labels cannot be told: add sizes or seeds." in page.said


@pytest.mark.parametrize(
    ("interval", "said", "fine"),
    [
        ([0.005, 0.03], "More examples are worth their labels.", True),
        ([-0.02, 0.03], "cannot be told: add sizes or seeds.", False),
        ([-0.01, 0.004], "would bring little: try another backbone", False),
    ],
)
def test_more_examples_are_worth_it_by_the_interval(interval, said, fine):
    points = [{"examples": 50, "accuracy": 0.8, "accuracy_interval": [0.7, 0.9]}]
    found = {"points": points, "doubling": {"gain": 0.006, "interval": interval}}
    sentences, is_fine = _curve_verdict("accuracy", found, None)
    assert said in sentences[-1]
    assert is_fine is fine


def test_an_unfinished_series_is_refused_with_the_cure(run, tmp_path):
    (tmp_path / "s").mkdir()
    with (
        pytest.raises(KeyboardInterrupt),
        recorded_series(
            tmp_path / "s", {"recipe": "tiny", "kind": "seeds", "runs": []}, run.settings
        ),
    ):
        raise KeyboardInterrupt
    with pytest.raises(BadConfiguration, match=r"seeds in .*'interrupted'.*--resume"):
        write_report(tmp_path / "s")


def trial(number, value, **more):
    values = {"lr": 10.0**-number, "head.units": [HOSTILE]}
    rest = {"drawn": {}, "state": "complete", "metrics": [value or 2.0], "reason": ""}
    return {"number": number, "value": value, "values": values, **rest, **more}


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
def test_a_search_has_the_numbers_of_its_record(pair, tmp_path, monitor):
    folder = tmp_path / "t"
    for number, place in ((1, "seed_1"), (2, "seed_0")):
        shutil.copytree(pair / place, folder / str(number))
    pruned = trial(3, None, state="pruned", reason=HOSTILE)
    trials = [trial(1, 0.75), trial(2, 0.5), pruned, trial(4, None, state="running")]
    search = {"lr": ["log", 1e-4, 1e-1], "head.units": ["choice", [HOSTILE]]}
    write_record(folder / "search.json", {"asked": {"search": search}, "trials": trials})
    write_csv(folder / "trials.csv", ["trial", "state", monitor], [])

    page = page_of(folder)

    rows = page.table("trial", "state")
    assert [row[:5] for row in rows] == [
        ["1", "complete", "0.75", "1", "0.1"],
        ["2", "complete", "0.5", "1", "0.01"],
        ["3", "pruned", "-", "1", "0.001"],
    ]
    best, second = (2, 1) if monitor == "val_loss" else (1, 2)
    assert f"The best of 3 trials is number {best}, with {monitor}" in page.said
    assert f"val examples differs from that of the next best, trial {second}, by" in page.said
    assert f"-c {folder}/best.yaml" in page.said
    assert f"kt-recipe report {folder}/{best}" in page.said


def test_a_search_in_which_nothing_finished(tmp_path):
    trials = [trial(1, None, state="failed", metrics=[], reason="The loss became NaN.")]
    write_record(tmp_path / "search.json", {"asked": {}, "trials": trials})
    write_csv(tmp_path / "trials.csv", ["trial", "state", "val_loss"], [])
    page = page_of(tmp_path)
    assert "No trial came to its end" in page.said
    assert "The loss became NaN." in page.said


@pytest.mark.parametrize(
    ("lowest", "said"), [(0.001, "so any of them will do"), (1e-5, "try more")]
)
def test_a_sweep_has_the_numbers_of_its_record(tmp_path, lowest, said):
    rules = {"three quarters": 0.0033, "steepest": 0.005, "minimum/10": lowest}
    found = {"learning_rate": 0.0033, "rule": "three quarters", "rules": rules, "recipe": HOSTILE}
    write_record(tmp_path / "lr_find.json", found)
    rows = [(1e-7, 2.0, 1.5), (1e-3, 1.0, 1.25), (1.0, 1e4, 2.5)]
    write_csv(tmp_path / "lr_find.csv", ("learning_rate", "loss", "smoothed"), rows)

    page = page_of(tmp_path)

    assert page.table("learning rate", "loss") == [
        ["1e-07", "2", "1.5"],
        ["0.001", "1", "1.25"],
        ["1", "1e+04", "2.5"],
    ]
    assert [row[1] for row in page.table("rule")] == ["0.0033", "0.005", f"{lowest:.3g}"]
    assert said in page.said
    assert "--lr 0.0033" in page.said


def backbone(name, accuracy, rate, **more):
    return {
        "backbone": name, "name": "vgg16", "accuracy": accuracy, "interval": [accuracy - 0.1, 1.0],
        "images_per_second": rate, "parameters": 1234567, "estimated_megabytes": 4.7,
        "pareto": True,
        "log_me": 0.25, "regularized_h_score": None, "leep": None, "nce": None, **more,
    }  # fmt: skip


def test_a_ranking_has_the_numbers_of_its_record(tmp_path):
    close = {"difference": -0.02, "difference_interval": [-0.05, 0.01], "within_noise": True}
    far = {"difference": -0.3, "difference_interval": [-0.4, -0.2], "within_noise": False}
    rows = [
        backbone("best", 0.9, 10.0), backbone(HOSTILE, 0.88, 40.0, **close),
        backbone("far", 0.6, 90.0, **far),
    ]  # fmt: skip
    found = {"backbones": rows, "examples": 360, "classes": 6, "recommended": "best"}
    found |= {"agreement": {"log_me": 0.5}, "command": "kt-recipe run it"}
    write_record(tmp_path / "ranking.json", found)

    page = page_of(tmp_path)

    (table,) = (rows for rows in page.tables if "images/s" in rows[0])
    assert table[1] == [
        "1. best", "90.0 %", "80.0 to 100.0 %", "-", "10", "1,234,567", "5", "yes",
    ]  # fmt: skip
    assert table[2][3] == "-2.0 (-5.0 to +1.0), within noise"
    assert "Recommended is best: 90.0 % (95 % interval 80.0 to 100.0 %)" in page.said
    assert "computes 4 times as many images/s" in page.said
    assert "kt-recipe run it" in page.said

    write_record(tmp_path / "ranking.json", {**found, "recommended": None,
                                             "least_images_per_second": 100.0})  # fmt: skip
    assert "None reaches 100 images/s; the fastest has 90." in page_of(tmp_path).said


def test_a_ranking_says_which_better_ones_are_too_slow(tmp_path):
    """The recommended one, the best of at least 50 images/s, is not better than all others."""
    slow = {"difference": 0.05, "difference_interval": [0.03, 0.07], "within_noise": False}
    far = {"difference": -0.3, "difference_interval": [-0.4, -0.2], "within_noise": False}
    rows = [backbone("big", 0.95, 5.0, **slow), backbone("small", 0.9, 100.0)]
    found = {"backbones": rows, "examples": 360, "classes": 6, "recommended": "small"}
    found["least_images_per_second"] = 50.0
    write_record(tmp_path / "ranking.json", found)
    said = page_of(tmp_path).said
    assert (
        "big is more accurate by 5.0 points (3.0 to 7.0) but too slow (5 images/s, asked 50)."
    ) in said
    assert "by more than noise" not in said

    rows.append(backbone("far", 0.6, 90.0, **far))
    write_record(tmp_path / "ranking.json", found)
    said = page_of(tmp_path).said
    assert "but too slow (5 images/s, asked 50). It is better than the other one by more" in said


@pytest.mark.parametrize(
    ("file", "record"),
    [
        ("ranking.json", {"backbones": [backbone("a", 0.9, 1.0)], "examples": 9, "classes": 2}),
        ("series.json", {"recipe": "tiny", "kind": "seeds", "runs": ["seed_0"]}),
        ("lr_find.json", {}),
        ("domains.json", {"source": []}),
    ],
)
def test_a_record_that_lacks_something_is_damaged(pair, tmp_path, file, record):
    shutil.copytree(pair / "seed_0", tmp_path / "s/seed_0")
    write_record(tmp_path / "s" / file, record)
    with pytest.raises(BadData, match=f"{file} is damaged"):
        write_report(tmp_path / "s")


def test_a_run_with_a_sweep_is_a_run(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "run")
    write_record(tmp_path / "run/lr_find.json", {"learning_rate": 0.1})
    assert study_in(tmp_path / "run") is None
    assert "Class by class" in page_of(tmp_path / "run").said


def test_other_folders_and_data_are_refused(run, tmp_path):
    with pytest.raises(BadConfiguration, match=r"holds no run and no study.*lr-find, rank"):
        write_report(tmp_path)
    write_record(tmp_path / "ranking.json", {})
    with pytest.raises(BadConfiguration, match="--data is for runs"):
        write_report(tmp_path, data="images")


def test_a_comparison_of_domains(tmp_path, run):
    """Hostile classes, an image, a text, and a file that is no image."""
    distance = {
        "mmd": 0.0284, "mmd_p_value": 0.005, "a_distance": 1.94, "a_distance_low": 1.86,
        "a_distance_high": 1.97, "frechet": 2.5, "frechet_reference": 1.5, "coral": 0.25,
        "coral_reference": 0.125,
    }  # fmt: skip
    one = {"accuracy": 0.75, "low": 0.7, "high": 0.8}
    share = {"class": HOSTILE, "source": 0.25, "estimated": 0.5, "low": 0.4, "high": 0.6}
    document = {
        "source": {"name": HOSTILE}, "target": {"name": "dark", "examples": 40, "of": 41},
        "distances": distance, "distances_with_equal_shares": None,
        "per_class": [{"class": HOSTILE, "source": 9, "target": 8, **distance}],
        "label_shift": {"by": "labels", "found": False, "p_value": 0.088,
                        "classes": [{**share, "determined": True, "target": None}]},
        "accuracy": {"source": one, "target": None, "held_out": 0.76, "estimates": {
            "difference_of_confidences": {"value": 0.5, "low": 0.4, "high": 0.6}}},
        "loss": {"measured": False, "value": 0.25, "low": 0.2, "high": 0.3},
        "verdict": {"lost": True, "text": "Far domain."},
        "recommendation": {
            "text": "Label examples.", "commands": ["kt-recipe run a", "kt-recipe run b"],
        },
    }  # fmt: skip
    write_record(tmp_path / "domains.json", document)
    image = next(iter((run.folder.parent / "images").glob("*/*.png")))
    (tmp_path / "broken.png").write_text("no image")
    paths = [str(image), "a text\n<b>", str(tmp_path / "broken.png"), "y" * 5000]
    rows = [[path, HOSTILE, 0.9, 0.1, 2.5] for path in paths]
    header = ["path", "predicted", "probability", "entropy", "distance"]
    write_csv(tmp_path / "examples.csv", header, rows)

    page = page_of(tmp_path)

    assert "Far domain. Label examples." in page.said
    assert "kt-recipe run a Or kt-recipe run b" in page.said
    assert ["MMD²", "0.0284 (p = 0.005)"] in page.table("measure")
    assert page.table("", "accuracy and 95 % interval") == [
        ["1. accuracy on the source", "0.750 (0.700 to 0.800)"],
        ["2. on the target, estimated by the difference of confidences", "0.500 (0.400 to 0.600)"],
    ]
    assert page.table("class", "source", "target, estimated")[0][1:] == [
        "0.250", "0.500", "0.400 to 0.600", "-",
    ]  # fmt: skip
    assert sum(one.startswith("data:") for one in page.references) == 1
    assert "not shown" in page.said

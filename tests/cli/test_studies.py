"""Comparisons, seeds, curves and searches of labels, numbers and several outputs."""

import csv
import json

import numpy as np
import pytest
from changed_runs import other
from objectives_runs import PRICE, paint_table
from processes import kt
from scipy.stats import t, wilcoxon
from sklearn.metrics import f1_score, hamming_loss, mean_absolute_error, r2_score

from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.runs import Run
from keras_transfer.studies.comparison import compare_runs
from keras_transfer.studies.domains import compare_domains

RECIPE = '''"""A network so small that a test can train it."""
from keras_transfer import FineTune, Head, Stage

recipe = FineTune(
    data="table.csv",
    objective={objective},
    backbone="convnet_small",
    weights="none",
    image_size=16,
    batch_size=4,
    head=Head(pooling="avg"),
    stages=(Stage("all", epochs=1, unfreeze="all", learning_rate=2e-3),),
    baselines=("none",),
)
run = recipe.run
'''
OBJECTIVES = {
    "labels": "multilabel",
    "values": {"type": "regression", "columns": ["redness", "blueness"]},
    "tasks": {"colour": "classification", PRICE: "regression"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    paint_table(folder)
    for name, objective in OBJECTIVES.items():
        text = RECIPE.replace("{objective}", repr(objective))
        (folder / f"{name}.py").write_text(text)
    return folder


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_values_are_compared_by_errors_and_ranks(objective_run, tmp_path):
    run, rng = objective_run("values"), np.random.default_rng(0)
    first, second = other(
        run, tmp_path / "b", lambda true, said: (true, true + rng.normal(0, 5, true.shape))
    )

    found = compare_runs([str(run.folder), str(tmp_path / "b")], 200)

    (report,) = found["others"]
    assert (found["objective"], found["examples"]) == ("regression", 7)
    for key, said in (("first", first), ("second", second)):
        assert report["mae"][key] == pytest.approx(mean_absolute_error(said.true, said.scores))
        assert report["r2"][key] == pytest.approx(r2_score(said.true, said.scores))
    for place, test in enumerate(report["wilcoxon"]):
        errors = [np.abs(said.scores - said.true)[:, place] for said in (first, second)]
        assert test["p"] == pytest.approx(wilcoxon(errors[1], errors[0], method="exact").pvalue)
    assert list(report["per_target"]) == ["redness", "blueness"]
    text = kt("compare", run.folder, tmp_path / "b", cwd=tmp_path, check=0).stdout
    assert "MAE of redness (lower is better)" in text
    assert "Wilcoxon's signed-rank test of blueness: " in text
    assert "(exact)" in text


def test_labels_are_compared_by_their_metrics(objective_run, tmp_path):
    run, rng = objective_run("labels"), np.random.default_rng(0)
    said = other(run, tmp_path / "b", lambda true, scores: (true, rng.random(scores.shape)))

    (report,) = compare_runs([str(run.folder), str(tmp_path / "b")], 200)["others"]

    for key, one in zip(("first", "second"), said, strict=True):
        assert report["hamming_loss"][key] == pytest.approx(hamming_loss(one.true, one.decided))
        expected = f1_score(one.true, one.decided, average="micro")
        assert report["micro_f1"][key] == pytest.approx(expected)
    text = kt("compare", run.folder, tmp_path / "b", cwd=tmp_path, check=0).stdout
    assert "Hamming loss (lower is better)" in text
    assert "examples have all labels right only in this run" in text


def test_several_outputs_have_a_table_each(objective_run, tmp_path):
    run, file = objective_run("tasks"), f"predictions_{PRICE}.csv"
    other(run, tmp_path / "b", lambda true, said: (true, said + 1), PRICE, file)

    found = compare_runs([str(run.folder), str(tmp_path / "b")], 200)["outputs"]

    assert list(found) == ["colour", PRICE]
    assert found["colour"]["others"][0]["accuracy"]["difference"] == 0
    assert found["colour"]["examples"] == 7
    assert found[PRICE]["examples"] == 5  # two of seven have no price
    assert found[PRICE]["others"][0]["mae"]["difference"] != 0
    text = kt("compare", run.folder, tmp_path / "b", cwd=tmp_path, check=0).stdout
    assert f"Output {PRICE}: compared with" in text


def test_runs_that_predict_something_else_are_refused(objective_run, tmp_path):
    with pytest.raises(BadConfiguration, match=r"predicts multilabel; .*predicts regression\. "):
        compare_runs([str(objective_run(name).folder) for name in ("labels", "values")])
    with pytest.raises(BadConfiguration, match=r"predicts colour .classification., price-in.eur"):
        compare_runs([str(objective_run(name).folder) for name in ("tasks", "values")])
    run = objective_run("values")
    other(run, tmp_path / "cm", lambda true, said: (100 * true, 100 * said))
    with pytest.raises(BadData, match="they are 100 times as large, as in another unit"):
        compare_runs([str(run.folder), str(tmp_path / "cm")])


def test_domains_are_compared_for_one_class_each(objective_run, tmp_path):
    with pytest.raises(BadConfiguration, match="predicts other than one class"):
        compare_domains(objective_run("tasks").folder, tmp_path / "new", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_seeds_of_several_outputs_and_their_baselines(place):
    said = kt("run", "tasks.py", "--seeds", 2, "--out", "seeds", cwd=place, check=0).stdout

    outputs = json.loads((place / "seeds/series.json").read_text())["outputs"]
    runs = [Run(place / f"seeds/seed_{seed}") for seed in (0, 1)]
    each = [run.metrics["test"][PRICE]["mae"] for run in runs]
    found = outputs[PRICE]["metrics"]["mae"]
    margin = t.ppf(0.975, 1) * np.std(each, ddof=1) / 2**0.5
    assert found["values"] == each
    assert found["interval"] == pytest.approx([np.mean(each) - margin, np.mean(each) + margin])
    assert list(outputs[PRICE]["metrics"])[:3] == ["mae", "rmse", "r2"]
    assert list(outputs["colour"]["metrics"])[:2] == ["accuracy", "macro_f1"]
    table = [row for row in rows(place / "table.csv") if row[PRICE]]
    true, mean = (
        [float(row[PRICE]) for row in table if row["split"] == split] for split in ("test", "train")
    )
    expected = np.mean(np.abs(np.array(true) - np.mean(mean)))
    assert outputs[PRICE]["baselines"]["mean"]["mae"] == pytest.approx(expected)
    assert f"Output {PRICE}" in said
    assert "baseline (mean)" in said
    assert "baseline (majority)" in said


@pytest.mark.slow
def test_a_curve_of_values_has_their_errors_and_the_mean(place):
    said = kt("curve", "values.py", "--sizes", "50%", "--out", "curve", cwd=place, check=0).stdout

    points = rows(place / "curve/curve.csv")
    metadata = json.loads((place / "curve/series.json").read_text())
    folders = [f"{points[0]['examples']}/seed_0", "all/seed_0"]
    for point, folder in zip(points, folders, strict=True):
        run = Run(place / "curve" / folder)
        said_values = run.outputs["label"].objective.read_predictions(
            run.folder / "predictions.csv"
        )
        expected = mean_absolute_error(said_values.true, said_values.scores)
        assert float(point["mae"]) == pytest.approx(expected)
        assert float(point["mae_low"]) <= float(point["mae"]) <= float(point["mae_high"])
    assert [int(point["examples"]) for point in points][1] == 12
    assert metadata["baselines"]["mean"]["mae"] == run.metrics["baselines"]["mean"]["mae"]
    assert "MAE" in said
    assert "baseline (mean)" in said
    assert "No estimate for twice the examples: the power law describes the accuracy" in said
    assert (place / "curve/curve.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "monitor", "best"),
    [
        ("values.py", "val_mae", min),
        ("values.py", "val_loss", min),
        ("labels.py", "val_pr_auc", max),
        ("tasks.py", f"val_{PRICE}_mae", min),
    ],
)
def test_a_search_finds_the_best_by_the_objective(place, recipe, monitor, best):
    """A rate of 1e-7 learns nothing."""
    out = f"{recipe}_{monitor}"
    words = ["--search", "lr=1e-7,3e-3", "--trials", 3, "--monitor", monitor, "--out", out]
    done = kt("tune", recipe, *words, "--epochs", 2, "--json", cwd=place, check=0)

    found = json.loads(done.stdout)["best"]
    trials = rows(place / out / "trials.csv")
    assert len({row["lr"] for row in trials}) == 2
    assert found[monitor] == best(float(row[monitor]) for row in trials if row[monitor])
    history = rows(place / out / str(found["trial"]) / "history.csv")
    assert found[monitor] == best(float(row[monitor]) for row in history)


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_sweep_finds_a_rate_that_auto_takes(place, name):
    words = [f"{name}.py", "--batch-size", 6]
    found = json.loads(kt("lr-find", *words, "--json", cwd=place, check=0).stdout)
    kt("run", *words, "--lr", "auto", "--out", f"auto_{name}", cwd=place, check=0)

    stored = json.loads((place / f"auto_{name}/lr_find.json").read_text())
    history = rows(place / f"auto_{name}/history.csv")
    assert stored["learning_rate"] == found["suggested"]
    assert float(history[0]["learning_rate"]) == pytest.approx(found["suggested"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["curve", "values.py", "--sizes", "5"], "counts examples of each class, and objective is"),
        (["run", "values.py", "--monitor", "val_accuracy"], "monitor: No metric of regression"),
        (["tune", "labels.py", "--search", "label_smoothing=0:0.2"], "--monitor val_pr_auc"),
        (["tune", "values.py", "--search", "error=mse,mae"], "--monitor val_mae"),
    ],
)
def test_what_a_user_can_mend_is_said_before_data_are_read(place, words, said):
    done = kt(*words, "--data", "nowhere", "--out", "no", cwd=place, check=2)
    assert said in done.stderr
    assert not (place / "no").exists()

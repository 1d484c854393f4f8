"""Searching for settings from the command line: lr-find, --lr auto, tune."""

import csv
import json
import signal
import subprocess

import pytest
import yaml
from html_pages import Page
from processes import KT, TINY, kt, paint

from keras_transfer import Classify, FineTune, Stage
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.methods.matching import DAN, DeepCORAL
from keras_transfer.methods.self_training import MCC
from keras_transfer.objectives.table import OBJECTIVES
from keras_transfer.runs.records import read_record, write_record
from keras_transfer.runs.searches import COMPLETE, Trial
from keras_transfer.studies.search import Search
from keras_transfer.studies.spaces import read_space, with_values
from keras_transfer.training.monitors import mode


@pytest.fixture(autouse=True)
def _one_cache(_own_cache, work, monkeypatch):
    """The choice of engine, made by timing, is remembered there: another may round otherwise."""
    monkeypatch.setenv("KT_CACHE_DIR", str(work / "cache"))


ONE = ["--set", "stages=[{name: head, epochs: 2}]"]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def found(work):
    words, env = ["lr-find", "tiny.py", *ONE, "--json"], {"KT_CACHE_DIR": str(work / "cache")}
    return json.loads(kt(*words, cwd=work, check=0, **env, KT_REPORT="1").stdout)


def test_lr_find_writes_its_curve(work, found):
    curve = rows(work / found["run"] / "lr_find.csv")

    assert found["run"] == "runs/tiny/lr_find/1"
    assert list(found["rules"]) == ["three quarters", "steepest", "minimum/10"]
    assert found["suggested"] == found["rules"][found["rule"]]
    assert float(curve[0]["learning_rate"]) == 1e-7
    tried = [float(row["learning_rate"]) for row in curve]
    assert any(found["suggested"] == pytest.approx(rate, rel=0.01) for rate in tried)
    assert (work / found["run"] / "lr_find.png").stat().st_size > 1000
    assert not (work / "runs/tiny/1").exists()


def test_a_sweep_has_a_page(work, found):
    page = Page((work / found["run"] / "report.html").read_text("utf-8")).check()
    rates = {name: f"{rate:.3g}" for name, rate in found["rules"].items()}
    assert {row[0]: row[1] for row in page.table("rule", "rate")} == rates
    assert f"kt-recipe run tiny.py --lr {found['suggested']:.3g}" in page.said
    assert len(page.table("learning rate", "loss")) == len(
        rows(work / found["run"] / "lr_find.csv")
    )


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["--schedule", "bit"], 2, "BiT-HyperRule sets the rate itself"),
        (["--set", "lr=0.1"], 2, "a sweep tries all rates"),
        (["--data", "nowhere"], 3, "nowhere"),
        (["--data", "doubles", "--strict"], 4, "Keep one copy of each"),
    ],
)
def test_a_sweep_that_is_refused_leaves_nothing(work, tmp_path, words, code, reason):
    (tmp_path / "tiny.py").write_text((work / "tiny.py").read_text())
    for split in ("train", "val", "test"):  # the same images on all sides
        paint(tmp_path / "doubles" / split)
    done = kt("lr-find", "tiny.py", *words, cwd=tmp_path, check=code)

    assert reason in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_auto_is_the_rate_that_lr_find_suggests_and_leaves_nothing_else_behind(work, found):
    words = ["run", "tiny.py", *ONE, "--lr"]
    kt(*words, "auto", "--out", "auto", cwd=work, check=0)
    kt(*words, found["suggested"], "--out", "said", cwd=work, check=0)

    assert (
        yaml.safe_load((work / "auto/recipe.yaml").read_text())["stages"][0]["learning_rate"]
        == "auto"
    )
    stored = json.loads((work / "auto/lr_find.json").read_text())
    assert stored["learning_rate"] == found["suggested"]
    for name in ("history.csv", "predictions.csv"):
        assert (work / "auto" / name).read_text() == (work / "said" / name).read_text()

    # Interrupted before its first epoch was over; a second sweep would find what the first did.
    metadata = json.loads((work / "auto/run.json").read_text())
    write_record(work / "auto/run.json", {**metadata, "status": "interrupted"})
    write_record(work / "auto/lr_find.json", {**stored, "learning_rate": 0.0456})
    said = kt("run", "tiny.py", "--resume", "--out", "auto", cwd=work, check=0)
    assert "Learning rate 0.0456, from the sweep when the run started" in said.stderr
    assert float(rows(work / "auto/history.csv")[0]["learning_rate"]) == pytest.approx(0.0456)


def started(work, *words):
    return subprocess.Popen(
        [*KT, *map(str, words)],
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def stopped(work, line, how, *words):
    """Send a signal once the log begins a line so."""
    process = started(work, *words)
    next(text for text in process.stderr if text.startswith(line))
    process.send_signal(how)
    process.communicate()
    return process.returncode


@pytest.mark.slow
def test_resume_takes_the_rate_that_was_found(work, tmp_path):
    words = ["run", "tiny.py", "--out", tmp_path / "cut", "--lr", "auto", *ONE]
    stopped(work, "head 1/", signal.SIGKILL, *words, "--epochs", 200)
    metadata = json.loads((tmp_path / "cut/lr_find.json").read_text())
    metadata["learning_rate"] = 0.0123  # so that a second search would show
    write_record(tmp_path / "cut/lr_find.json", metadata)
    settings = (tmp_path / "cut/recipe.yaml").read_text().replace("epochs: 200", "epochs: 2")
    (tmp_path / "cut/recipe.yaml").write_text(settings)
    run = read_record(tmp_path / "cut/run.json", {})
    del run["checksums"]["recipe.yaml"]
    write_record(tmp_path / "cut/run.json", run)

    said = kt("run", "tiny.py", "--out", tmp_path / "cut", "--resume", cwd=work, check=0)

    assert "Learning rate 0.0123, from the sweep when the run started" in said.stderr


SCHEDULED = """stages:
- {name: head, epochs: 2, optimizer: sgd, schedule: one_cycle, accumulate: 2, ema: 0.9}
- {name: all, epochs: 1, unfreeze: all, layer_decay: 0.5, schedule: cosine, l2_sp: 0.01}
mixup: 0.2
imbalance: oversample
label_smoothing: 0.1
"""


@pytest.mark.slow
def test_auto_goes_with_everything_that_a_stage_can_have(work):
    (work / "scheduled.yaml").write_text(SCHEDULED)
    words = ["run", "tiny.py", "-c", "scheduled.yaml", "--strategy", "one_device"]
    kt(*words, "--lr", "auto", "--out", "scheduled", cwd=work, check=0)
    rate = json.loads((work / "scheduled/lr_find.json").read_text())["learning_rate"]
    said = ["--set", f"stages.0.learning_rate={rate}", "--out", "scheduled_said"]
    kt(*words, *said, cwd=work, check=0)
    assert (work / "scheduled/history.csv").read_text() == (
        work / "scheduled_said/history.csv"
    ).read_text()


@pytest.mark.slow
def test_each_of_several_seeds_and_sizes_finds_its_own(work):
    kt("run", "tiny.py", "--lr", "auto", "--seeds", 2, "--epochs", 1, "--out", "seeds",
       cwd=work, check=0)  # fmt: skip
    kt("curve", "tiny.py", "--lr", "auto", "--sizes", "50%", "--epochs", 1, "--out", "sizes",
       cwd=work, check=0)  # fmt: skip
    for run in ("seeds/seed_0", "seeds/seed_1", "sizes/all/seed_0", "sizes/6/seed_0"):
        assert json.loads((work / run / "lr_find.json").read_text())["learning_rate"] > 0


MIRRORED = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_transfer.cli import main
main(prog_name="kt-recipe")
"""


@pytest.mark.slow
def test_auto_on_two_devices(work):
    words = ["run", "tiny.py", "--strategy", "mirrored", "--epochs", "1"]
    for out in ("two", "two_said"):
        said = ["--lr", "auto"]
        if out == "two_said":
            rate = json.loads((work / "two/lr_find.json").read_text())["learning_rate"]
            said = ["--set", f"stages.0.learning_rate={rate}"]
        done = subprocess.run(
            [KT[0], "-c", MIRRORED, *words, "--out", out, *said],
            cwd=work, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (work / "two/history.csv").read_text() == (work / "two_said/history.csv").read_text()


SPACE = ["--search", "lr=log:1e-4:1e-2", "--search", "head.units=[],[4]", *ONE]


@pytest.fixture(scope="module")
def searched(work):
    """As many trials as begin in a millisecond, then more by the same command."""
    words = ["tune", "tiny.py", *SPACE, "--json"]
    env = {"KT_CACHE_DIR": str(work / "cache")}
    first = kt(*words, "--trials", 3, "--budget", "0.001s", cwd=work, check=0, **env)
    assert json.loads(first.stdout)["trials"] == 1
    return kt(*words, "--trials", 3, cwd=work, check=0, **env, KT_REPORT="1")


def test_a_search_has_a_page(work, searched):
    best = json.loads(searched.stdout)["best"]
    page = Page((work / "runs/tiny/tune/report.html").read_text("utf-8")).check()
    shown = [row[:3] for row in page.table("trial", "state", "val_loss")]
    assert shown == [
        [row["trial"], row["state"], f"{float(row['val_loss']):.4g}" if row["val_loss"] else "-"]
        for row in rows(work / "runs/tiny/tune/trials.csv")
    ]
    assert f"The best of 3 trials is number {best['trial']}" in page.said
    assert "within noise" in page.said or "more than noise" in page.said
    assert "kt-recipe run tiny.py -c runs/tiny/tune/best.yaml" in page.said


def test_the_same_command_goes_on_and_repeats_nothing(work, searched):
    table = rows(work / "runs/tiny/tune/trials.csv")

    assert [row["trial"] for row in table] == ["0", "1", "2"]
    assert "Trial 0" not in searched.stderr
    assert "Trial 1" in searched.stderr
    assert len({row["lr"] for row in table}) == 3
    again = kt("tune", "tiny.py", *SPACE, "--trials", 3, cwd=work, check=0)
    assert "Trial" not in again.stderr
    assert "kt-recipe run tiny.py -c runs/tiny/tune/best.yaml" in again.stdout


@pytest.mark.slow
def test_the_best_by_val_is_written_and_runs(work, searched):
    best = json.loads(searched.stdout)["best"]
    table = rows(work / "runs/tiny/tune/trials.csv")

    assert best["val_loss"] == min(float(row["val_loss"]) for row in table if row["val_loss"])
    trial = work / f"runs/tiny/tune/{best['trial']}"
    assert best["val_loss"] == min(float(row["val_loss"]) for row in rows(trial / "history.csv"))
    kept = {path.parent.name for path in (work / "runs/tiny/tune").glob("*/best.keras")}
    assert kept == {str(best["trial"])}
    kt("run", "tiny.py", "-c", "runs/tiny/tune/best.yaml", "--out", "won", cwd=work, check=0)
    for name in ("history.csv", "predictions.csv"):
        assert (work / "won" / name).read_text() == (trial / name).read_text()
    assert (work / "runs/tiny/tune/trials.png").stat().st_size > 1000


def test_another_search_is_not_mixed_in(work, searched):
    refused = kt("tune", "tiny.py", *SPACE, "--batch-size", 4, cwd=work, check=2)
    assert "batch_size = 8, not 4" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_was_stopped_ends_as_if_never_stopped(work, searched, tmp_path, how):
    words = ["tune", "tiny.py", *SPACE, "--trials", 2, "--out", tmp_path / "cut"]
    code = stopped(work, "Trial 1: ", how, *words)
    assert code == {signal.SIGKILL: -9, signal.SIGINT: 130}[how]
    before = (tmp_path / "cut/0/history.csv").stat().st_mtime_ns

    kt(*words, cwd=work, check=0)

    assert (tmp_path / "cut/0/history.csv").stat().st_mtime_ns == before
    whole = rows(work / "runs/tiny/tune/trials.csv")[:2]
    assert rows(tmp_path / "cut/trials.csv") == whole


@pytest.mark.slow
def test_bad_trials_are_given_up_or_recorded_and_the_search_goes_on(work):
    """Rates of 1e-8 and less learn nothing and are worse than the median; 1e39 gives NaN.

    They stand where the seed draws them last, after the four trials that end before any is pruned.
    """
    rates = "1e-2,5e-3,2e-2,1e-9,1e-8,1e-3,1e39"
    said = kt("tune", "tiny.py", "--search", f"lr={rates}", "--trials", 9, *ONE,
              "--out", "bad", "--json", cwd=work, check=0)  # fmt: skip
    table = rows(work / "bad/trials.csv")

    assert sorted(float(row["lr"]) for row in table) == sorted(map(float, rates.split(",")))
    assert "All 7 combinations have been tried." in said.stderr
    ended = {row["state"] for row in table}
    assert ended == {"complete", "pruned", "failed"}
    for row in table:
        if row["state"] == "pruned":
            assert float(row["lr"]) <= 1e-8
            assert row["epochs"] == "1"
            assert "median" in row["reason"]
        if row["state"] == "failed":
            assert "The loss became" in row["reason"]
    assert json.loads(said.stdout)["best"]["settings"]["lr"] > 1e-8

    # As if it had been killed after it gave a trial up, and before it wrote that down.
    record = read_record(work / "bad/search.json", {})
    number = next(n for n, row in enumerate(table) if row["state"] == "pruned")
    record["trials"] = record["trials"][: number + 1]
    record["trials"][number] |= {"state": "running", "metrics": [], "reason": ""}
    write_record(work / "bad/search.json", record)
    kt("tune", "tiny.py", "--search", f"lr={rates}", "--trials", number + 1, *ONE,
       "--out", "bad", cwd=work, check=0)  # fmt: skip
    assert rows(work / "bad/trials.csv") == table[: number + 1]


@pytest.mark.slow
def test_whole_numbers_that_are_drawn_again_are_not_trained_again(work):
    words = ["--search", "stages.0.epochs=1:2", "--trials", 4, "--out", "again"]
    kt("tune", "tiny.py", *words, *ONE, cwd=work, check=0)
    table = rows(work / "again/trials.csv")

    assert len(table) == 4
    again = [number for number, row in enumerate(table) if row["reason"].startswith("The same as")]
    assert again
    assert not any((work / "again" / str(number)).exists() for number in again)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["lr-find", "tiny.py", "--lr", "0.1"], 2, "No such option"),
        (["lr-find", "tiny.py", "--set", "lr=0.1"], 2, "a sweep tries all rates"),
        (["run", "tiny.py", "--lr", "atuo"], 2, "Did you mean 'auto'?"),
        (["tune", "tiny.py", "--search", "head.dropuot=0:0.5"], 2, "'head.dropout'"),
        (["tune", "tiny.py", "--search", "stages.1.unfreeze=all,block99"], 2, "block99"),
        (["tune", "tiny.py", "--search", 'method=supervised,"bagging:2"', *ONE], 2, "single heads"),
        (["tune", "tiny.py", "--method", "bagging:2", *ONE], 2, "single heads"),
        (["tune", "tiny.py", "--budget", "soon"], 2, "10m"),
        (["tune", "tiny.py", "--trials", "0"], 2, "1 or more"),
        (["tune", "tiny.py", "--data", "imags", "--out", "no"], 3, "imags"),
        (["tune", "tiny.py", "--out", "tiny.py"], 2, "already exists"),
    ],
)
def test_what_a_user_can_mend_has_a_message_and_no_traceback(work, words, code, said):
    done = kt(*words, cwd=work)

    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr
    assert not (work / "no").exists()


@pytest.mark.slow
def test_a_sweep_that_finds_nothing_is_an_error(work):
    """The labels of one class throughout: the head knows nothing to learn."""
    (work / "still.py").write_text(TINY.replace("weights=", "label_smoothing=0.999, weights="))
    done = kt("lr-find", "still.py", "--out", "still", cwd=work, check=4)
    assert "no rate can be suggested" in done.stderr
    assert (work / "still/lr_find.csv").exists()


def test_without_optuna_one_line_says_how_to_install_it(work):
    hidden = "import sys; sys.modules['optuna'] = None; " + KT[2]
    done = subprocess.run(
        [KT[0], "-c", hidden, "tune", "tiny.py"], cwd=work, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1:] == [
        "Error: tune needs Optuna: pip install 'keras_transfer[tune]'."
    ]


RECIPE = Classify(
    data="nowhere",
    backbone="convnet_small",
    stages=(Stage("head"), Stage("all", unfreeze="all")),
)


def space(*texts, **settings):
    return read_space(texts, RECIPE.changed(**settings), RECIPE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("head.dropout", "should be KEY=LOW:HIGH"),
        ("head.dropout=", "should be KEY=LOW:HIGH"),
        ("head.dropout=0.5:0.1", "the lower one"),
        ("head.dropout=0:0.5:1", "numbers as ends"),
        ("head.dropout=low:high", "numbers as ends"),
        ("batch_size=log:0:8", "above 0 with log"),
        ("batch_size=8.0:64.0", "batch_size"),
        ("head.dropuot=0:0.5", "Did you mean 'head.dropout'"),
        ("lrr=0.1:1.0", "Did you mean 'lr'"),
        ("stage.0.epochs=1:3", "Did you mean 'stages'"),
        ("head.dropout=0:1.5", "less than 1"),
        ("stages.0.optimizer=adam,sdg", "Did you mean 'sgd'"),
        ("epochs=3", "two values"),
        ("seed=0:9", "cannot be compared"),
        ("split.val=0.1:0.3", "cannot be compared"),
        ("imbalance=none,focal", "--monitor val_accuracy"),
        ("weights=[", "not YAML"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused_before_anything_is_read(text, reason):
    with pytest.raises(BadConfiguration, match=reason):
        space(text)


ADAPTED = {"head": {"units": (8,)}, "method": {"type": "deep_coral", "target_data": "target"}}


def test_the_weight_of_an_adaptation_is_searched_by_its_criterion():
    assert RECIPE.changed(**ADAPTED).chosen_by == "val_information_maximization"
    (setting,) = space("method.weight=1.0,10.0", **ADAPTED)
    assert setting.values == (1.0, 10.0)


def test_methods_are_searched_each_with_its_own_defaults():
    method = {**ADAPTED["method"], "weight": 7.0, "keep": "adapted"}
    recipe = RECIPE.changed(**{**ADAPTED, "method": method})
    for text in ("method=deep_coral,mcc,dan", "method.type=deep_coral,mcc,dan"):
        (setting,) = read_space([text], recipe, recipe)
        found = [with_values(recipe, {setting.path: value}).method for value in setting.values]
        assert found == [
            DeepCORAL(target_data="target", weight=7.0, keep="adapted"),
            MCC(target_data="target", keep="adapted"),
            DAN(target_data="target", keep="adapted"),
        ]
    both = with_values(recipe, {"method.weight": 0.5, "method.type": "mcc"}).method
    assert both == MCC(target_data="target", weight=0.5, keep="adapted")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("method=dan,adabn", "adabn cannot be compared"),
        ("method=dan,tca", "tca cannot be compared"),
        ("method.type=dan,supervised", "supervised cannot be compared"),
        ("method=dan,mc", "Did you mean 'mcc'"),
    ],
)
def test_methods_that_the_criterion_cannot_compare_are_refused(text, reason):
    with pytest.raises((BadConfiguration, UnknownName), match=reason):
        space(text, **ADAPTED)


@pytest.mark.parametrize("name", ["target_data=a,b", "choose_by=entropy,source"])
def test_what_an_adaptation_is_judged_by_is_not_searched(name):
    with pytest.raises(BadConfiguration, match=r"different method\..* cannot be compared"):
        space(f"method.{name}", **ADAPTED)


def test_what_trains_nothing_is_not_searched():
    with pytest.raises(BadConfiguration, match="Search without it"):
        space("lr=log:0.001:0.1", method={"type": "adabn", "target_data": "target"})


def test_trials_are_judged_on_the_val_part():
    with pytest.raises(BadConfiguration, match="judged on the val split"):
        space(monitor="loss")


def test_a_setting_that_is_fixed_or_outweighed_is_not_searched():
    with pytest.raises(BadConfiguration, match="fixed by another option"):
        space("lr=0.1:1.0", lr=0.5)
    with pytest.raises(BadConfiguration, match="fixed by another option"):
        space("stages.1.epochs=1:3", epochs=2)
    with pytest.raises(BadConfiguration, match="lr is searched too"):
        space("lr=0.1:1.0", "stages.0.learning_rate=0.1:1.0")
    with pytest.raises(BadConfiguration, match="more than once"):
        space("lr=0.1:1.0", "lr=0.2:0.3")
    with pytest.raises(BadConfiguration, match="fixed by another option"):
        space("stages.*.schedule=cosine,constant", schedule="one_cycle")
    with pytest.raises(BadConfiguration, match="fixed by another option"):
        space("stages.*.optimizer=adam,sgd", stages=[{"optimizer": "lion"}])
    assert [setting.path for setting in space(lr=0.5)] == ["head.dropout", "label_smoothing"]
    assert [
        setting.path for setting in space(schedule="bit", stages=[Stage("all", unfreeze="all")])
    ] == [
        "head.dropout",
        "label_smoothing",
    ]


def test_a_setting_of_another_objective_is_not_fixed():
    (setting,) = space("delta=0.5,1", objective="regression", monitor="val_mae")

    assert setting.path == "delta"


def test_ranges_and_choices():
    first, second, third = space("lr=log:1e-4:1e-2", "batch_size=8:64", "head.units=[],[64]")
    assert (first.values, first.how) == ((1e-4, 1e-2), "log")
    assert (second.values, second.how) == ((8, 64), "range")
    assert (third.values, third.how) == (([], [64]), "choice")
    (choices,) = space("stages.0.learning_rate=1e-3,1e-4")
    assert choices.values == (1e-3, 1e-4)
    assert space()[0][:2] == ("lr", (1e-4, 1e-2))


def objectives(*texts, objective, **settings):
    base = FineTune(data="nowhere", backbone="convnet_small", objective=objective)
    return read_space(texts, base.changed(**settings), base)


TASKS = {"kind": "classification", "price": "regression", "tags": "multilabel"}


@pytest.mark.parametrize(
    ("objective", "text", "monitor", "reason"),
    [
        ("regression", "error=mse,mae", "val_loss", "error changes val_loss .* --monitor val_mae"),
        ("regression", "delta=0.5:2", "val_loss", "delta changes val_loss"),
        ("regression", "objective.columns=[a],[b]", "val_mae", "predict something else"),
        ("multilabel", "label_smoothing=0:0.2", "val_loss", "Add --monitor val_pr_auc"),
        ("multilabel", "imbalance=none,pos_weight", "val_loss", "imbalance changes val_loss"),
        (TASKS, "objective.price.error=mse,mae", "val_loss", "val_kind_accuracy or val_price_mae"),
        (TASKS, "objective.price.error=mse,mae", "val_price_loss", "error changes val_price_loss"),
        (TASKS, "objective.kind.imbalance=none,focal", "val_loss", "draws examples|changes"),
        (TASKS, "objective.price.weight=0.1:1.0", "val_loss", "weight changes val_loss"),
        ("regression", "head.dropout=0:0.5", "mae", "--monitor val_loss or val_mae"),
    ],
)
def test_trials_of_another_loss_are_not_compared_by_it(objective, text, monitor, reason):
    """The mean absolute error of 3 standard deviations is 3, the mean squared error is 9."""
    with pytest.raises(BadConfiguration, match=reason):
        objectives(text, objective=objective, monitor=monitor)


def test_trials_of_another_loss_are_compared_by_a_metric():
    assert objectives("error=mse,mae", objective="regression", monitor="val_mae")
    assert objectives("label_smoothing=0:0.2", objective="multilabel", monitor="val_pr_auc")
    assert objectives("objective.price.weight=0.1:1.0", objective=TASKS, monitor="val_price_mae")
    assert objectives("objective.price.weight=0.1:1.0", objective=TASKS, monitor="val_kind_loss")
    for objective in ("regression", "multilabel"):  # without label_smoothing
        paths = [setting.path for setting in objectives(objective=objective)]
        assert paths == ["lr", "head.dropout"]


@pytest.mark.parametrize("monitor", ["val_mae", "val_loss"])
def test_the_best_trial_of_a_regression_has_the_smallest_error(tmp_path, monitor):
    recipe = FineTune(
        data="nowhere", backbone="convnet_small", objective="regression", monitor=monitor
    )
    search = Search(
        recipe, "some", objectives("lr=1e-4:1e-2", objective="regression"), tmp_path / "t"
    )
    search.record.trials = [
        Trial(number, {"lr": 1e-3}, {"lr": 1e-3}, COMPLETE, metrics, search.better(metrics))
        for number, metrics in enumerate([[9.0, 4.0], [3.0, 5.0], [8.0, 8.0]])
    ]

    assert search._study(3).direction.name == "MINIMIZE"
    assert (search.best.number, search.best.value) == (1, 3.0)


def test_the_better_epoch_is_that_which_the_objective_says():
    """``training.monitors`` goes by names; each objective's own word has to agree."""
    monitors = [pair for row in OBJECTIVES.values() for pair in row.monitors.items()]
    assert {mode(f"val_price_{name.removeprefix('val_')}") == how for name, how in monitors} == {
        True
    }
    assert {mode(name) == how for name, how in monitors} == {True}

"""The command line as others rely on it: exit codes, files, what is printed where."""

import csv
import io
import json

import pytest
import yaml
from processes import kt, kt_process, paint


@pytest.fixture(scope="module")
def done(work):
    """One run with --json, which the tests below look at."""
    return kt_process("run", "tiny.py", "--json", "--seed", 3, cwd=work, check=0)


def test_json_is_one_document_and_nothing_else(work, done):
    document = json.loads(done.stdout)

    assert set(document) == {"recipe", "run", "metrics", "baselines", "seconds"}
    assert (document["recipe"], document["run"]) == ("tiny", "runs/tiny/1")
    assert {"accuracy", "macro_f1", "balanced_accuracy", "n"} <= set(document["metrics"]["test"])
    assert document["metrics"]["test"]["n"] == document["metrics"]["val"]["n"] == 6
    assert document["seconds"]["total"] > 0


def test_the_run_folder_holds_what_it_should(work, done):
    folder = work / "runs/tiny/1"

    names = {path.name for path in folder.iterdir()}
    assert names == {
        "recipe.yaml", "run.json", "classes.json", "split.csv", "history.csv", "metrics.json",
        "predictions.csv", "predictions_val.csv", "outputs.json", "best.keras", "last.keras",
        "log.txt", "tensorboard", "augmented.png", "pr_curves.csv",
    }  # fmt: skip
    assert json.loads((folder / "classes.json").read_text()) == ["blue", "red"]
    metadata = json.loads((folder / "run.json").read_text())
    assert (metadata["status"], metadata["kind"]) == ("done", "Classify")
    assert {"tensorflow", "keras", "python"} <= set(metadata["versions"])
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == ["head", "head", "all", "all"]


def test_progress_is_quiet_where_stderr_is_no_terminal(done):
    assert "\r" not in done.stderr
    assert "it/s" not in done.stderr
    assert "tensorflow" not in done.stderr.lower()
    assert "oneDNN" not in done.stderr


def test_metrics_for_people(work, done):
    shown = kt("evaluate", "runs/tiny/1", cwd=work, check=0)
    metrics = json.loads(done.stdout)["metrics"]["test"]

    assert f"{metrics['accuracy']:.3f}"[:5] in shown.stdout


def test_evaluate_on_its_own_images_warns_of_those_it_was_trained_on(work, done):
    warned = kt_process("evaluate", "runs/tiny/1", "--data", "images", "--json", cwd=work, check=0)
    assert "18 of these 24 examples" in warned.stderr
    document = json.loads(warned.stdout)
    assert document["metrics"]["test"]["n"] == 24
    kt("evaluate", "runs/tiny/1", "--data", "images", "--strict", cwd=work, check=4)


def test_evaluate_refuses_a_class_that_the_model_does_not_know(work, done, tmp_path):
    paint(tmp_path / "other")
    (tmp_path / "other/red").rename(tmp_path / "other/blu")

    refused = kt("evaluate", "runs/tiny/1", "--data", tmp_path / "other", cwd=work, check=3)
    assert "Did you mean 'blue'" in refused.stderr


def test_predict_gives_a_row_a_file_and_never_a_neighbours(work, done, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"not an image")
    paths = ["images/red/1.png", tmp_path / "broken.png", "images/blue/1.png", "gone.png"]

    said = kt(
        "predict", "runs/tiny/1", *paths, "--format", "jsonl", "--top-k", 2, cwd=work, check=3
    )
    rows = [json.loads(line) for line in said.stdout.splitlines()]

    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert ["error" in row for row in rows] == [False, True, False, True]
    alone = kt(
        "predict", "runs/tiny/1", paths[2], "--format", "jsonl", "--top-k", 2, cwd=work, check=0
    )
    (top,) = (json.loads(line)["top"] for line in alone.stdout.splitlines())
    for one, same in zip(top, rows[2]["top"], strict=True):
        assert one["class"] == same["class"]
        assert one["probability"] == pytest.approx(same["probability"], abs=1e-5)
    for row in (rows[0], rows[2]):
        assert sum(one["probability"] for one in row["top"]) == pytest.approx(1.0)


def test_predict_as_a_table_names_a_bad_file_once(work, done, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"not an image")
    paths = ["images/red/1.png", tmp_path / "broken.png"]

    said = kt("predict", "runs/tiny/1", *paths, cwd=work, check=3)

    assert (said.stdout + said.stderr).count("broken.png") == 1
    assert "is text, not an image" in said.stdout
    assert said.stderr == "Error: 1 of 2 files cannot be used; see above.\n"


def test_predict_as_csv_and_table_from_folders_and_patterns(work, done):
    (work / "=1.png").write_bytes((work / "images/red/1.png").read_bytes())
    said = kt(
        "predict",
        "runs/tiny/1",
        "images/red",
        "images/blue/*.png",
        "=1.png",
        "--format",
        "csv",
        cwd=work,
        check=0,
    )
    rows = list(csv.DictReader(io.StringIO(said.stdout)))
    assert len(rows) == 25
    assert {row["class_1"] for row in rows} <= {"blue", "red"}
    assert rows[-1]["path"] == "'=1.png"  # no formula for a spreadsheet
    table = kt("predict", "runs/tiny/1", "images/red/1.png", cwd=work, check=0)
    assert table.stdout.startswith("images/red/1.png  ")


def test_predictions_file_and_predict_agree(work, done):
    with (work / "runs/tiny/1/predictions.csv").open() as file:
        first = next(csv.DictReader(file))
    words = ["predict", "runs/tiny/1", first["path"], "--format", "jsonl"]
    said = kt_process(*words, cwd=work, check=0)
    assert json.loads(said.stdout)["top"][0]["class"] == first["predicted"]


def test_list_show_and_copy(work):
    rows = json.loads(kt_process("list", "--json", cwd=work, check=0).stdout)
    assert "Cats or dogs" in rows["vgg16_catsdogs"]
    assert "vgg16_catsdogs" in kt_process("list", cwd=work, check=0).stdout
    shown = kt_process("show", "vgg16_catsdogs", cwd=work, check=0).stdout
    assert yaml.safe_load(shown)["backbone"]["name"] == "vgg16"
    kt_process("copy", "digits", "mine.py", cwd=work, check=0)
    again = kt_process("copy", "digits", "mine.py", cwd=work, check=2)
    assert "mine.py already exists" in again.stderr
    mine = json.loads(kt_process("show", "mine.py", "--json", cwd=work, check=0).stdout)
    digits = json.loads(kt_process("show", "digits", "--json", cwd=work, check=0).stdout)
    assert mine["settings"] == digits["settings"]


@pytest.mark.slow
def test_what_show_prints_is_what_config_takes(work):
    shown = kt_process("show", "tiny.py", cwd=work, check=0).stdout
    (work / "settings.yaml").write_text(shown)
    with (work / "settings.yaml").open("a") as file:
        file.write("\nlr: 0.25\nepochs: 7\nbatch_size: 4\n")
    text = (work / "settings.yaml").read_text()
    (work / "settings.yaml").write_text(text.replace("  batch_size: 8\n", ""))
    kt(
        "run", "tiny.py", "-c", "settings.yaml", "--epochs", 2, "--set", "epochs=1",
        "--out", "ranked",
        cwd=work, check=0,
    )  # fmt: skip
    ranked = yaml.safe_load((work / "ranked/recipe.yaml").read_text())
    assert [(stage["learning_rate"], stage["epochs"]) for stage in ranked["stages"]] == [
        (0.25, 1),
        (0.25, 1),  # both stages of the recipe have the same rate
    ]
    assert ranked["batches"]["batch_size"] == 4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["rum"], 2, "Did you mean 'run'?"),
        (["run", "vgg16_catdogs"], 2, "Did you mean 'vgg16_catsdogs'?"),
        (["show", "digit"], 2, "Did you mean 'digits'?"),
        (["run", "digits", "--epoch", "3"], 2, "--epochs"),
        (["run", "digits", "--epochs", "three"], 2, "epochs = 'three'"),
        (["run", "tiny.py", "--backbone", "vgg_16"], 2, "Did you mean 'vgg16'?"),
        (["run", "tiny.py", "--set", "stages.1.unfreeze=block99"], 2, "block99"),
        (["run", "tiny.py", "--set", "head.dropot=1"], 2, "Did you mean 'head.dropout'?"),
        (["run", "tiny.py", "--monitor", "val_acc"], 2, "Did you mean 'val_accuracy'?"),
        (["run", "tiny.py", "-c", "gone.yaml"], 2, "gone.yaml"),
        (["run", "tiny.py", "--data", "imags"], 3, "imags"),
        (["run", "tiny.py", "--weights", "gone.weights.h5"], 3, "gone.weights.h5"),
        (["run", "tiny.py", "--out", "images/out"], 2, "inside"),
        (["run", "tiny.py", "--resume"], 2, "unfinished"),
        (["evaluate", "images"], 2, "neither a run folder nor an export"),
        (["predict", "runs/none", "a.png"], 2, "neither a run folder nor an export"),
    ],
)
def test_what_a_user_can_mend_has_a_message_and_no_traceback(work, words, code, said):
    done = kt(*words, cwd=work)

    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr


def test_a_failed_start_leaves_nothing_in_the_way(work):
    kt("run", "tiny.py", "--data", "imags", "--out", "once", cwd=work, check=3)
    assert not (work / "once").exists()


def test_a_run_folder_is_never_overwritten(work, done):
    refused = kt("run", "tiny.py", "--out", "runs/tiny/1", cwd=work, check=2)
    assert "--resume" in refused.stderr

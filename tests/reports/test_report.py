"""The page of a run: what it says, and that it is one file without scripts."""

import csv
import json
import logging
import re
import shutil
import sys
import tarfile
from pathlib import Path

import keras
import numpy as np
import pytest
from html_pages import Page
from PIL import Image
from processes import paint
from stops import Stop
from tiny import RECIPE

from keras_transfer import BadConfiguration, BadData, Run
from keras_transfer.reports.page import render
from keras_transfer.reports.writing import after_run, write_report

FILES = Path(__file__).parents[1] / "fixtures/version1.tar.xz"
SCRIPT = "<script>alert(1)<"
NAMES = [SCRIPT, "a\"b'c&amp; $x^", "=cmd|' ", "x" * 180, "\u202egnp.exe"]


def page_of(run, data=None):
    return Page(write_report(run.folder, data).read_text("utf-8")).check()


@pytest.fixture(scope="module")
def copy(run, tmp_path_factory):
    """A function that copies the finished run, to change its files."""

    def copied():
        folder = tmp_path_factory.mktemp("copy") / "run"
        shutil.copytree(run.folder, folder)
        return Run(folder)

    return copied


def test_what_a_page_says(run):
    page = page_of(run)
    test = run.metrics["test"]
    low, high = (100 * bound for bound in test["accuracy_interval"])
    share = f"right on {100 * test['accuracy']:.1f} % of {test['n']} test images"
    assert share in page.said
    assert f"95 % interval {low:.1f} to {high:.1f} %" in page.said
    assert "always answering “blue” would be right on 50.0 %" in page.said
    assert run.metadata["data"]["split.csv"] in page.said
    assert f"kt-recipe export {run.folder} --to models" in page.said
    for title in ("What to do next", "The least sure", "What it confuses", "Class by class"):
        assert title in page.said
    # Every test image: all are among the 24 least sure. And the sheet of augmented ones.
    assert sum(one.startswith("data:") for one in page.references) > test["n"]
    assert page.tags.count("svg") == 5  # confidence, abstaining, precision; accuracy, loss
    assert page.tags.count("details") >= 5  # a table behind each


def test_the_confusion_matrix_opens_its_images(run):
    page = page_of(run)
    counts = run.metrics["test"]["confusion_matrix"]["counts"]
    cells = [one for one in page.ids if "-cell-" in one]
    there = [(i, j) for i in range(2) for j in range(2) if counts[i][j]]
    assert cells == [f"o0-cell-{i}-{j}" for i, j in there]
    assert all(f"#{cell}" in page.references for cell in cells)


def test_numbers_of_the_data_card(run):
    page = page_of(run)
    with (run.folder / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    splits = [sum(row["split"] == name for row in rows) for name in ("train", "val", "test")]
    assert "all {} {} {}".format(*splits) in page.said
    assert "width, pixels 24 24 24 24 24" in page.said
    assert "height, pixels 20 20 20 20 20" in page.said
    grey = [
        np.asarray(Image.open(row["path"]).convert("L")).mean() for row in rows
    ]  # all of them: there are fewer than are sampled
    shown = re.search(r"brightness, 0 to 255 ([\d ]+)", page.said)[1].split()
    quantiles = np.quantile(grey, (0, 0.25, 0.5, 0.75, 1))
    np.testing.assert_allclose([float(one) for one in shown[:5]], quantiles, atol=1.5)


def test_images_that_moved_are_found_by_name_and_content(copy, tmp_path):
    run = copy()
    home = run.settings["data"]["source"]
    before = page_of(run)
    shutil.copytree(home, tmp_path / "moved/deeper")
    moved = page_of(run, str(tmp_path / "moved/deeper"))
    assert moved.references == before.references
    shutil.rmtree(tmp_path / "moved/deeper/red")
    fewer = page_of(run, str(tmp_path / "moved/deeper"))
    assert "images are not shown" in fewer.said
    assert len(fewer.references) < len(before.references)


def test_an_image_that_changed_is_not_shown(copy, tmp_path):
    run = copy()
    shutil.copytree(run.settings["data"]["source"], tmp_path / "changed")
    for path in (tmp_path / "changed").glob("*/*.png"):
        Image.new("RGB", (20, 20)).save(path)
    assert "images are not shown" in page_of(run, str(tmp_path / "changed")).said


def test_images_are_left_out_of_a_page_that_would_be_too_large(run):
    whole = render(run)
    smaller = Page(render(run, max_bytes=len(whole.encode()) - 1)).check()
    assert "images of the confusion matrix were left out" in smaller.said
    assert len(smaller.html) < len(whole)
    least = Page(render(run, max_bytes=1)).check()
    assert not [one for one in least.ids if "-cell-" in one]
    assert "Training examples as augmented" not in least.said
    # Every test image is among the least sure ones, and these stay.
    assert least.tags.count("img") >= run.metrics["test"]["n"]


def test_a_page_is_the_same_each_time(run):
    assert write_report(run.folder).read_bytes() == write_report(run.folder).read_bytes()


def rewritten(run, name, change):
    """Change a JSON file of a copied run, and forget its checksum."""
    path = run.folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    record = json.loads((run.folder / "run.json").read_text())
    record.pop("checksums")
    (run.folder / "run.json").write_text(json.dumps(record))
    return Run(run.folder)


@pytest.mark.parametrize(
    ("interval", "said"),
    [([0.4, 0.7], "not clearly above the baseline"), ([0.6, 0.9], "test images are few")],
)
def test_the_first_worry(copy, interval, said):
    def change(metrics):
        metrics["test"]["accuracy_interval"] = interval

    page = page_of(rewritten(copy(), "metrics.json", change))
    first = page.said.partition("Main concern:")[2].partition("What to do next")[0]
    assert said in first


def test_the_chosen_epoch(copy):
    """The best val_loss of two stages is in the first; the later stage brought nothing."""
    run = copy()
    rows = ["stage,epoch,loss,val_loss,learning_rate"]
    losses = [
        ("head", 1, 0.9),
        ("head", 2, 0.3),
        ("head", 3, 0.4),
        ("tune", 1, 0.3),
        ("tune", 2, 1),
    ]
    rows += [f"{stage},{epoch},0.1,{loss},0.001" for stage, epoch, loss in losses]
    (run.folder / "history.csv").write_text("\n".join(rows) + "\n")
    page = page_of(rewritten(run, "metrics.json", lambda metrics: None))
    assert "The circle is the chosen epoch: head 2." in page.said
    assert "The stage “tune” brought nothing" in page.said
    assert "head 3 2 " in page.said  # three epochs, the second one chosen


def test_leaks_and_copies_are_named(copy):
    run = copy()
    path = run.folder / "split.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    train = [row for row in rows if row[2] == "train"]
    test = [row for row in rows if row[2] == "test"]
    test[0][4] = train[0][4]  # the digests
    test[2][4] = test[1][4]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    page = page_of(rewritten(run, "metrics.json", lambda metrics: None))
    assert "Main concern: Test images that are also in train or val: 1." in page.said
    assert "has never seen" not in page.said
    assert "Exact copies within the test split: 1. " in page.said
    assert "train 0, val 0, test 1" in page.said


def test_a_copy_in_train_and_val_says_nothing_of_test(copy):
    run = copy()
    path = run.folder / "split.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    train, val = (next(row for row in rows if row[2] == split) for split in ("train", "val"))
    val[4] = train[4]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    page = page_of(rewritten(run, "metrics.json", lambda metrics: None))
    assert "Images that are in train and in val: 1. The val metrics flatter" in page.said
    assert "has never seen" in page.said


def test_a_baseline_that_is_as_good_is_named(copy):
    def change(metrics):
        metrics["baselines"]["tfidf_svm"] = {"accuracy": metrics["test"]["accuracy"]}

    page = page_of(rewritten(copy(), "metrics.json", change))
    assert "The baseline tfidf_svm is right on" in page.said


def test_an_epoch_is_not_called_too_early_where_the_rate_decays(copy):
    for rate, said in (("0.001", True), ("0.0001", False)):
        run = copy()
        rows = ["stage,epoch,loss,val_loss,learning_rate", "head,1,0.5,0.9,0.001"]
        rows += [f"head,2,0.4,0.3,{rate}"]
        (run.folder / "history.csv").write_text("\n".join(rows) + "\n")
        page = page_of(rewritten(run, "metrics.json", lambda metrics: None))
        assert ("still improving" in page.said) is said


def test_a_page_with_images_stays_where_they_cannot_be_read(copy, tmp_path):
    run = copy()
    before = write_report(run.folder).read_bytes()
    with pytest.raises(BadData, match="nowhere"):
        write_report(run.folder, str(tmp_path / "nowhere"))
    assert (run.folder / "report.html").read_bytes() == before
    (run.folder / "report.html").unlink()
    with pytest.raises(BadData, match="nowhere"):
        write_report(run.folder, str(tmp_path / "nowhere"))


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Runs write reports here."""
    monkeypatch.setenv("KT_REPORT", "1")
    monkeypatch.chdir(tmp_path)


def test_hostile_names(asked, tmp_path):
    """Hundreds of classes, some with names that are markup, too long or misleading."""
    names = [*NAMES, *(f"class {number}" for number in range(200))]
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (4 * len(names), 8, 8, 3), "uint8")
    y = np.array(4 * names)
    stages = [{"name": "head", "epochs": 1}]
    recipe = RECIPE.changed(batch_size=64)
    run = recipe.run((x, y), name=SCRIPT, out=tmp_path / "r<b>'\"", stages=stages)
    page = Page((run.folder / "report.html").read_text("utf-8")).check()
    assert SCRIPT in page.said
    assert "<script" not in page.html
    assert "\u202e" not in page.html
    assert "x" * 100 not in page.html
    assert "205 classes are too many for a matrix" in page.said
    assert "Most confused pairs" in page.said
    assert sum(one.startswith("data:") for one in page.references) > 48  # from memory
    # The arrays are gone now.
    with pytest.raises(BadData, match="were arrays"):
        write_report(run.folder)
    (run.folder / "report.html").unlink()
    assert "No images are shown. The examples of the run" in page_of(run).said


def paint_hostile(folder):
    """Images with control characters and markup in their names, and a table of three classes.

    The test split has no example of green.
    """
    paint(folder / "images", blue=8, red=8, green=4)
    of = {"green": "train train train val"}
    rows = [["path", "label", "split"]]
    for path in sorted((folder / "images").glob("*/*.png")):
        splits = of.get(path.parent.name, "train train train val val test test test").split()
        name = f"images/{path.parent.name}/{path.stem}\x1b[31m\n<img src=x>\x7f.png"
        path.rename(folder / name)
        rows.append([name, path.parent.name, splits[int(path.stem)]])
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "table.csv"


def test_a_resumed_run_has_a_report_and_is_like_one_without(asked, tmp_path, monkeypatch, caplog):
    recipe = RECIPE.changed(data=str(paint_hostile(tmp_path)))
    monkeypatch.setenv("KT_REPORT", "0")
    plain = recipe.run(out="plain", name="tiny")
    monkeypatch.setenv("KT_REPORT", "1")
    caplog.set_level("INFO", "keras_transfer")
    logger, stop = logging.getLogger("keras_transfer"), Stop("head 1/2")
    logger.addHandler(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            recipe.run(out="run", name="tiny")
    finally:
        logger.removeHandler(stop)
    assert not (tmp_path / "run/report.html").exists()
    run = recipe.run(out="run", name="tiny", resume=True)

    page = Page((run.folder / "report.html").read_text("utf-8")).check()
    assert "“green” has no test example: nothing is known about it." in page.said
    assert "green - -" in page.said
    assert "\\x1b[31m\\n&lt;img src=x&gt;\\x7f.png" in page.html
    assert page.tags.count("img") > 6
    names = {path.name for path in run.folder.iterdir()} - {"report.html", "README.md"}
    assert names == {path.name for path in plain.folder.iterdir()}
    for name in names - {"run.json", "log.txt", "tensorboard", "best.keras", "last.keras"}:
        assert (run.folder / name).read_bytes() == (plain.folder / name).read_bytes(), name
    for one, other in zip(
        *(keras.models.load_model(one.folder / "best.keras").weights for one in (run, plain)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_written_harms_no_run(copy, caplog, monkeypatch):
    monkeypatch.setenv("KT_REPORT", "1")
    run = copy()
    (run.folder / "report.html").unlink(missing_ok=True)
    (run.folder / "report.html").mkdir()
    with caplog.at_level("WARNING", "keras_transfer"):
        after_run(run.folder, run.settings["data"]["source"])
    assert "report.html was not written" in caplog.text
    assert Run(run.folder).metrics == run.metrics
    with pytest.raises(BadConfiguration, match=r"report\.html cannot be written"):
        write_report(run.folder)


def test_without_the_extra(copy, caplog, monkeypatch):
    monkeypatch.setenv("KT_REPORT", "1")
    run = copy()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with caplog.at_level("INFO", "keras_transfer"):
        after_run(run.folder, "images")
    (line,) = caplog.records
    assert line.levelname == "INFO"
    assert "pip install 'keras_transfer[report]'" in line.message
    with pytest.raises(BadConfiguration, match=r"jinja2.*keras_transfer\[report\]"):
        write_report(run.folder)


def test_a_run_of_version_1(tmp_path, monkeypatch):
    with tarfile.open(FILES) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    (folder,) = {path.parent for path in tmp_path.rglob("done/run.json")}
    page = page_of(Run(folder))
    assert "right on 36.7 %" in page.said
    assert sum(one.startswith("data:") for one in page.references) > 48


@pytest.mark.parametrize(
    ("name", "said", "unit"),
    [
        pytest.param("labels", "mean average precision is", "bright", marks=pytest.mark.slow),
        pytest.param("values", "MAE is", "redness", marks=pytest.mark.slow),
    ],
)
def test_several_labels_and_values(objective_run, name, said, unit):
    page = page_of(objective_run(name))
    assert said in page.said
    assert unit in page.said
    assert "of the baseline that looks at no input" in page.said
    assert "rests on 7 test examples only" in page.said
    for wrong in ("What it confuses", "Where it fails", "Can its probabilities"):
        assert wrong not in page.said


def test_several_outputs(objective_run):
    page = page_of(objective_run("tasks"))
    assert "Output colour" in page.said
    assert "Output price-in.eur" in page.said
    assert page.said.count("What it confuses") == 1


def test_texts_in_place_of_images(text_run):
    run = text_run("classes")
    page = page_of(run)
    assert f"of {run.metrics['test']['n']} test texts" in page.said
    assert page.tags.count("blockquote") >= 10
    assert "img" not in page.tags
    assert "width, pixels" not in page.said
    assert f"kt-recipe predict {run.folder} 'a text'" in page.said


def test_heat_maps_of_mistakes_and_unsure_examples(copy):
    run = copy()
    plain = page_of(run)
    path = write_report(run.folder, map_seconds=9)
    page = Page(path.read_text("utf-8")).check()

    found = json.loads((run.folder / "heat_maps.json").read_text())["label"]
    shown = page.html.count("Where the model looked in it")
    wrong = round((1 - run.metrics["test"]["accuracy"]) * run.metrics["test"]["n"])
    assert shown == wrong + run.metrics["test"]["n"]  # all are among the 24 least sure
    assert len(found["images"]) == run.metrics["test"]["n"]
    assert page.tags.count("img") == plain.tags.count("img") + shown
    summary = found["summary"]
    assert f"Mean deletion score {summary['deletion']:.3f}, {summary['random']:.3f}" in page.said
    assert f"{summary['sanity']['all']:.2f} for all weights" in page.said

    # They are kept, so that the page can be written again without the model.
    (run.folder / "best.keras").unlink()
    assert write_report(run.folder, map_seconds=9).read_text("utf-8") == page.html
    assert write_report(run.folder).read_text("utf-8") == page.html


def test_damaged_heat_maps_are_left_out(copy):
    run = copy()
    plain = write_report(run.folder).read_bytes()
    stored = {"label": {"summary": {}, "scored": 1, "images": {"a": "javascript:alert(1)"}}}
    for content in ("{", "[]", '{"label": 1}', json.dumps(stored)):
        (run.folder / "heat_maps.json").write_text(content)
        assert write_report(run.folder).read_bytes() == plain


def test_a_run_of_texts_has_no_heat_maps(text_run, tmp_path):
    shutil.copytree(text_run("classes").folder, tmp_path / "run")
    page = write_report(tmp_path / "run", map_seconds=9).read_text("utf-8")
    assert "Where the model looked" not in page
    assert not (tmp_path / "run/heat_maps.json").exists()

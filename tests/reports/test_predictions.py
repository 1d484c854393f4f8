"""The page of predictions: what was answered, least sure first, and what was left out."""

import json
import shutil

import numpy as np
import pytest
from html_pages import Page
from objectives_runs import PRICE
from PIL import Image
from processes import kt

from keras_transfer.objectives.outputs import Output
from keras_transfer.reports.answered import answered as describe
from keras_transfer.reports.predictions import write_predictions
from keras_transfer.runs import Prediction

HOSTILE = "<script>alert(1)</script>\"' \u202egnp"


def page_of(path):
    page = Page(path.read_text("utf-8")).check()
    assert "\u202e" not in page.html
    assert "<script" not in page.html
    return page


def written(folder, model, given, predictions, **how):
    return page_of(write_predictions(folder / "p.html", model, given, predictions, **how))


def cards(page):
    return page.html.count('<figure class="card')


def test_the_command_writes_a_page(run, odd, tmp_path):
    """Of files of all formats and one that is no image."""
    shutil.copytree(odd[0].parent, tmp_path / "odd")
    (tmp_path / "odd" / "<b>broken.png").write_text("no image")
    words = ["predict", run.folder, "odd", "--format", "jsonl", "--report", "out.html"]
    done = kt(*words, "--top-k", 2, cwd=tmp_path, check=3)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    answers = [row["top"] for row in rows if "top" in row]

    page = page_of(tmp_path / "out.html")

    assert len(answers) == len(odd)
    counted = {row[0]: int(row[1]) for row in page.table("answer", "examples")}
    said = [top[0]["class"] for top in answers]
    assert counted == {name: said.count(name) for name in set(said)}
    assert "odd/<b>broken.png" in page.table("image", "reason")[0]
    assert cards(page) == 2 * len(odd)  # among the least sure, and by answer
    assert page.tags.count("img") >= 2 * (len(odd) - 1)  # Pillow may read less than training
    least = min(top[0]["probability"] for top in answers)
    shown = page.said[page.said.index("The least sure The ") :]
    assert f"{100 * least:.1f} %" in shown[:200]
    assert f"kt-recipe evaluate {run.folder} --data LABELLED_DATA" in page.said
    low, high = run.metrics["test"]["accuracy_interval"]
    assert f"interval {low:.4f} to {high:.4f}" in page.said


def test_what_cannot_be_written_is_said_before_images_are_read(run, tmp_path):
    words = ["predict", run.folder, "gone", "--report"]
    assert "end in .html" in kt(*words, "p.csv", cwd=tmp_path, check=2).stderr
    assert "there is no folder" in kt(*words, "gone/p.html", cwd=tmp_path, check=2).stderr


def answered(outputs, paths, shares, unknown=()):
    """Predictions of two classes by the probability of the first."""
    found = []
    for place, (path, share) in enumerate(zip(paths, shares, strict=True)):
        scores = {"label": np.array([share, 1 - share])}
        scores["label_unknown"] = np.array([0.9 if place in unknown else 0.1])
        found.append(Prediction(path, scores, outputs))
    return found


@pytest.fixture
def hostile(run, tmp_path):
    """Outputs with a hostile class, and images with hostile names."""
    output = run.outputs["label"]
    outputs = {"label": Output(output.objective, (HOSTILE, "red"), output.decision)}
    paths = []
    for number in range(30):
        path = tmp_path / f"{number:02}<img src=x>\n{'y' * 100}.png"
        Image.new("RGB", (9, 9), (8 * number, 0, 0)).save(path)
        paths.append(str(path))
    return outputs, paths


def test_unknown_comes_first_and_classes_are_escaped(run, hostile, tmp_path):
    outputs, paths = hostile
    shares = np.linspace(0.51, 0.99, 30)
    found = answered(outputs, paths, shares, unknown=(3, 29))

    page = written(tmp_path, run, paths, found)

    first, second = page.table("answer", "examples")
    assert first[:3] == ["unknown", "2", "6.7 %"]
    mean = 100 * np.delete(shares, [3, 29]).mean()
    assert second[1:4] == ["28", "93.3 %", f"{mean:.1f} %"]
    assert second[0].startswith("<script>")
    assert page.html.count('class="card unknown"') == 2
    assert "most like" in page.said
    assert "All are shown." in page.said
    assert f"{sum(shares < 0.7)} of 30 answers have a probability below 0.7" in page.said
    assert cards(page) == 24 + 30


def test_what_is_left_out_is_said(run, hostile, tmp_path):
    outputs, paths = hostile
    found = answered(outputs, paths, np.linspace(0.99, 0.51, 30))
    whole = written(tmp_path, run, paths, found)

    page = written(tmp_path, run, paths, found, max_bytes=len(whole.html.encode()) - 1)

    assert len(page.html) < len(whole.html)
    assert "24 of 30 images are shown, the least sure of each answer; 6 are left out" in page.said
    assert page.table("answer", "examples")[0][1] == "30"  # of all
    least = written(tmp_path, run, paths, found, max_bytes=1)
    assert "img" not in least.tags
    assert "30 are left out" in least.said


def test_more_images_than_are_shown(run, hostile, tmp_path):
    outputs, paths = hostile
    many = [paths[place % 30] for place in range(1500)]
    found = answered(outputs, many, np.tile([0.2, 0.8], 750))
    page = written(tmp_path, run, many, found)
    assert cards(page) <= 24 + 600
    assert "1,500 images" in page.said
    assert "are left out to keep this file small" in page.said


def test_a_folder_that_changed_meanwhile(run, hostile, tmp_path):
    outputs, paths = hostile
    found = answered(outputs, ["gone.png", paths[0]], [0.9, 0.8])
    page = written(tmp_path, run, [paths[0]], found)
    assert page.said.count("not shown") == 2  # of the least sure, and by answer


def test_labels_and_values(objective_run, tmp_path):
    for name, said in (("labels", "bright"), ("values", "redness")):
        run = objective_run(name)
        images = sorted((run.folder.parent / "images").glob("*.png"))[:4]
        found = run.predict(images)
        page = written(tmp_path, run, images, found)
        assert said in page.said
        assert "The least sure" not in page.said
        if name == "labels":
            counted = {row[0]: row[1] for row in page.table("answer", "examples")}
            expected = [label for one in found for label in one.label or ("no label",)]
            assert counted == {label: str(expected.count(label)) for label in set(expected)}
        else:
            assert f"redness {found[0].label['redness']:.5g}" in page.said


def test_texts_and_entities(text_run, token_run, tmp_path):
    texts = ["a <b>good</b> film", "a bad one"]
    run = text_run("classes")
    page = written(tmp_path, run, texts, run.predict(texts))
    assert page.tags.count("blockquote") == 4
    assert "a <b>good</b> film" in page.said
    run = token_run
    found = run.predict(["Bako Rumi lives in St. Doka ."])
    page = written(tmp_path, run, ["Bako Rumi lives in St. Doka ."], found)
    entity = found[0].label[0]
    assert f"{entity['type']}: {entity['text']} {entity['score']:.2f}" in page.said
    assert "kt-recipe domains" not in page.said


def test_groups_and_probability_are_of_one_output(objective_run):
    """A class that stands behind a number does not lend it its probability."""
    outputs = objective_run("tasks").outputs
    price = {PRICE: outputs[PRICE], "colour": outputs["colour"]}
    classes = len(outputs["colour"].names)
    scores = {PRICE: np.array([40.0]), "colour": np.full(classes, 1 / classes)}

    one = describe(0, Prediction("a.png", scores, price), None)

    assert (one.groups, one.share) == (("values",), None)
    behind = describe(0, Prediction("a.png", scores, dict(reversed(price.items()))), None)
    assert behind.share == pytest.approx(1 / classes)

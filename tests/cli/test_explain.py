"""``kt-recipe explain``, end to end on a tiny run."""

import csv
import json

import numpy as np
import pytest
from html_pages import Page
from PIL import Image
from processes import kt

from keras_transfer.cli.explain import METHODS as WORDS
from keras_transfer.explanations.attribution import METHODS

FOLDER = "looks"


@pytest.fixture(scope="module")
def explained(run, odd, tmp_path_factory):
    """The command on images of all formats and on a file that is none; where it ran."""
    work = tmp_path_factory.mktemp("explained")
    (work / "bad.jpg").write_bytes(b"no image")
    words = ["explain", run.folder, *odd, "bad.jpg", "--to", FOLDER]
    done = kt(*words, cwd=work, check=3)
    return work, done


def test_what_it_prints_and_writes(run, odd, explained):
    work, done = explained
    assert "bad.jpg" in done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[: len(odd)]] == [str(path) for path in odd]
    assert lines[-1] == FOLDER
    assert "Mean deletion score" in done.stdout
    assert "Rank correlation with maps of random weights" in done.stdout

    rows = list(csv.DictReader((work / FOLDER / "index.csv").open()))
    assert [row["path"] for row in rows] == [*map(str, odd), "bad.jpg"]
    predictions = run.predict([str(path) for path in odd])
    for row, wanted in zip(rows, predictions, strict=False):
        assert row["predicted"] == row["explained"] == wanted.label
        assert float(row["score"]) == pytest.approx(wanted.probabilities.max(), abs=1e-4)
        assert 0 <= float(row["deletion"]) <= 1
        assert Image.open(work / FOLDER / row["overlay"]).size == (16, 16)
        found = np.load(work / FOLDER / row["arrays"])
        assert found["heat"].dtype == "float32"
        assert found["heat"].shape == (16, 16)
        assert found["heat"].max() <= 1
        assert found["classes"].tolist() == ["blue", "red"]
        assert str(found["explained"]) == wanted.label
        score = float(found["score"])
        assert float(found["value"]) == pytest.approx(np.log(score / (1 - score)), abs=1e-3)
    assert rows[-1]["error"]
    assert rows[-1]["overlay"] == ""


def test_the_page_is_one_file_without_scripts(odd, explained):
    page = Page((explained[0] / FOLDER / "index.html").read_text("utf-8")).check()
    assert page.tags.count("img") == 2 * len(odd)
    assert "Rank correlation" in page.said


def test_json_and_other_methods(run, odd, tmp_path):
    words = ["explain", run.folder, odd[0], "--method", "occlusion", "--class", "red", "--json"]
    done = kt(*words, "--to", "new", "--no-sanity", cwd=tmp_path, check=0)
    found = json.loads(done.stdout)
    (one,) = found["explanations"]
    assert one["explained"] == "red"
    assert found["method"] == "occlusion"
    assert found["sanity"] is None
    assert found["deletion"] == pytest.approx(one["deletion"]["score"])
    assert json.loads((tmp_path / "new/summary.json").read_text())["examples"] == 1
    again = kt(*words, "--to", "new", cwd=tmp_path, check=2)
    assert "Name a new folder" in again.stderr


def test_what_cannot_be_explained_is_refused(run, saved, odd, tmp_path):
    for words, said in (
        ([run.folder, odd[0], "--class", "rad"], "Did you mean 'red'?"),
        ([run.folder, odd[0], "--method", "gradcam"], "Did you mean 'grad_cam'?"),
        ([saved.folder, odd[0]], "is an export"),
        ([run.folder, "nowhere.jpg"], "nowhere.jpg"),
    ):
        done = kt("explain", *words, "--to", said[-4:], cwd=tmp_path)
        assert done.returncode in (2, 3)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    # Only a bad file has a folder: its row in index.csv says why.
    assert [path.name for path in tmp_path.iterdir()] == [".jpg"]


def test_the_option_names_every_method():
    assert list(METHODS) == list(WORDS)

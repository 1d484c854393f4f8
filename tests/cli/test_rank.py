"""``kt-recipe rank``: the table, the JSON document, and what is refused."""

import json

import pytest
from html_pages import Page
from processes import kt, paint

from keras_transfer.networks.backbones import build_backbone


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Images and a file of weights."""
    folder = tmp_path_factory.mktemp("rank")
    paint(folder / "images")
    build_backbone("convnet_small", image_size=16).save_weights(folder / "small.weights.h5")
    return folder


SMALL = ("--image-size", 16, "--engine", "keras", "--weights", "convnet_small=small.weights.h5")


def test_a_ranking_is_a_table_and_a_command(work):
    done = kt("rank", "--data", "images", *SMALL, "--sample", 6, cwd=work, check=0, KT_REPORT="1")

    assert "cross-validated on 12 training images of 2 classes" in done.stdout
    assert "* convnet_small" in done.stdout
    assert "Recommended: convnet_small" in done.stdout
    assert "runs/rank/1" in done.stdout
    assert (
        "kt-recipe run auto_folder --data images --backbone convnet_small --weights "
        "small.weights.h5" in done.stdout
    )
    assert (work / "runs/rank/1/ranking.csv").exists()
    page = Page((work / "runs/rank/1/report.html").read_text("utf-8")).check()
    (row,) = json.loads((work / "runs/rank/1/ranking.json").read_text())["backbones"]
    header = ("backbone", "accuracy", "95 % interval", "difference, points")
    assert page.table(*header)[0][1] == f"{100 * row['accuracy']:.1f} %"
    assert "kt-recipe run auto_folder --data images --backbone convnet_small" in page.said


def test_a_ranking_as_json(work):
    done = kt(
        "rank", "--data", "images", *SMALL, "--min-images-per-s", 1e9, "--json", cwd=work, check=0
    )
    document = json.loads(done.stdout)

    assert document["examples"] == 16
    assert document["recommended"] is None
    assert document["command"] is None
    (row,) = document["backbones"]
    assert row["name"] == "convnet_small"
    assert 0 <= row["interval"][0] <= row["accuracy"] <= row["interval"][1] <= 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "rank needs --data"),
        (("--data", "images", "--all-local", "--backbones", "vgg16"), 2, "--all-local"),
        (("--data", "images", "--backbones", "vgg61"), 2, "No backbone is called 'vgg61'"),
        (("--data", "images", "--weights", "vgg16=gone.h5"), 3, "gone.h5 does not exist"),
        (("--data", "nowhere", *SMALL), 3, "nowhere"),
        (("--data", "images", *SMALL, "--sample", 1), 2, "sample = 1"),
        (("--data", "images", *SMALL, "--engine", "none"), 2, "engine = none"),
    ],
)
def test_what_cannot_be_ranked_is_refused(work, words, code, said):
    done = kt("rank", *words, cwd=work)

    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr

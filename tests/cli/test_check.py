"""``kt-recipe check``: what it finds, and a run with the labels that it corrected."""

import csv
import hashlib
import json
import shutil

import keras
import numpy as np
import pytest
from html_pages import Page
from PIL import Image
from processes import HEAD, kt, paint

from keras_transfer import Run


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Noise of two colours, 36 x each, of which one of red lies in blue; and a tiny network."""
    folder = tmp_path_factory.mktemp("check")
    paint(folder / "images", blue=36, red=36)
    shutil.move(folder / "images/red/7.png", folder / "images/blue/wrong.png")
    pixels = keras.Input((16, 16, 3))
    network = keras.Model(pixels, keras.layers.Conv2D(3, 1, name="colour")(pixels))
    network.set_weights([np.eye(3).reshape(1, 1, 3, 3), np.zeros(3)])
    network.save(folder / "colour.keras")
    return folder


NETWORK = ("--backbone", "colour.keras", "--preprocessing", "unit", "--engine", "keras")


def rows_of(path):
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_a_label_error_is_found_corrected_and_recorded(work):
    folder, data = work / "found", ("--data", "images")
    options = ("--label-errors", *NETWORK, "--split", "train", "--split", "val", "--split", "test")
    done = kt("check", *data, *options, "--out", folder, cwd=work, check=0)

    assert "Likely label errors: 1 of 72 examples, by a classifier on features of" in done.stdout
    (row,) = rows_of(folder / "relabel.csv")
    assert (row["path"], row["label"], row["new_label"]) == ("images/blue/wrong.png", "blue", "red")
    document = json.loads((folder / "check.json").read_text())
    assert document["label_errors"]["confident_joint"][0][1] == 1
    assert sum(document["examples"].values()) == 72
    page = (folder / "check.html").read_text()
    Page(page).check()
    assert page.count("data:image/jpeg") == 1
    assert "wrong.png" in page
    assert "red?" in page
    assert "1 of 72 labels are probably wrong" in Page(page).said
    assert "run RECIPE --data images --relabel" in Page(page).said

    (work / "recipe.py").write_text(
        "from keras_transfer import Classify\n"
        "recipe = Classify(data='images', backbone={'name': 'convnet_small'}, weights='none',"
        " image_size=16)\nrun = recipe.run\n"
    )
    table = folder / "relabel.csv"
    training = ("run", "recipe.py", *data, *HEAD, "--baselines", "none")
    kt(*training, "--out", work / "mended", "--relabel", table, cwd=work, check=0)

    plain, mended = (
        {r["path"]: r for r in rows_of(f / "split.csv")} for f in (folder, work / "mended")
    )
    changed = [path for path, row in plain.items() if row["label"] != mended[path]["label"]]
    assert changed == ["images/blue/wrong.png"]
    assert [r["split"] for r in plain.values()] == [r["split"] for r in mended.values()]
    run = Run(work / "mended")
    assert run.metadata["data"]["relabel.csv"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert (work / "mended/relabel.csv").read_bytes() == table.read_bytes()
    samples = run.samples([row["split"]])
    (place,) = (n for n, key in enumerate(samples.keys) if key.endswith("/wrong.png"))
    assert samples.classes[samples.labels[place]] == "red"


PIXELS = ("--set", "head.pooling=flatten", "--twin-cosine", 0.985)
"""The features are the pixels. Noise of one colour has cosines of 0.95."""


def compressed(path, new):
    """The same image in another file; no digest says so."""
    new.parent.mkdir(parents=True, exist_ok=True)
    Image.open(path).save(new, quality=98, subsampling=0)


def test_twins_across_own_splits_fail_with_strict(work):
    own = work / "twins"
    for name in ("blue", "red"):
        for number in range(8, 16):
            new = own / ("train" if number < 12 else "val") / name / f"{number}.png"
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(work / f"images/{name}/{number}.png", new)
    for number in (9, 10):
        compressed(work / f"images/red/{number}.png", own / f"test/red/{number}.jpg")
    compressed(work / "images/blue/8.png", own / "test/blue/8.jpg")
    compressed(work / "images/blue/8.png", own / "test/red/odd.jpg")
    words = ("check", "--data", "twins", "--twins", *NETWORK, *PIXELS)

    done = kt(*words, "--out", "twins_found", cwd=work, check=0)

    assert "4 of 4 test examples have a twin in train" in done.stdout
    assert "2 pairs have different labels" in done.stdout
    rows = {(r["path"], r["twin"]) for r in rows_of(work / "twins_found/twins.csv")}
    name = "twins/{}/{}".format
    assert rows == {
        (name("train", "red/9.png"), name("test", "red/9.jpg")),
        (name("train", "red/10.png"), name("test", "red/10.jpg")),
        (name("train", "blue/8.png"), name("test", "blue/8.jpg")),
        (name("train", "blue/8.png"), name("test", "red/odd.jpg")),
        (name("test", "blue/8.jpg"), name("test", "red/odd.jpg")),
    }
    cosines = [float(r["cosine"]) for r in rows_of(work / "twins_found/twins.csv")]
    assert cosines == sorted(cosines, reverse=True)
    page = (work / "twins_found/check.html").read_text()
    Page(page).check()
    assert page.index("different labels") < page.index("Twins in two splits")
    assert page.count("data:image/jpeg") == 10
    assert "4 of 4 test examples have a twin in train, which flatters" in Page(page).said
    assert "--groups twins_found/groups.csv" in Page(page).said

    done = kt(*words, "--strict", "--out", "twins_strict", cwd=work)
    assert done.returncode == 4
    assert "4 pairs of twins lie in two splits of the data" in done.stderr
    assert rows_of(work / "twins_strict/twins.csv")


def test_groups_keep_twins_in_one_split(work):
    """Half of the images have a twin: drawn splits divide some, but not with their groups."""
    shutil.copytree(work / "images", work / "drawn")
    for number in range(0, 36, 2):
        compressed(work / f"images/blue/{number}.png", work / f"drawn/blue/{number}.jpg")
    words = ("check", "--data", "drawn", "--twins", *NETWORK, *PIXELS, "--json", "--strict")

    found = json.loads(kt(*words, "--out", "before", cwd=work, check=0).stdout)["twins"]

    assert found["pairs"] == 18
    assert found["across_splits"] > 0
    assert found["across_own_splits"] == 0
    groups = ("--groups", "before/groups.csv")
    document = json.loads(kt(*words, *groups, "--out", "after", cwd=work, check=0).stdout)
    assert (document["twins"]["pairs"], document["twins"]["across_splits"]) == (18, 0)
    assert all(document["examples"].values())


def test_without_options_the_data_are_read_and_nothing_else(work):
    done = kt("check", "--data", "images", "--out", "plainly", "--json", cwd=work, check=0)
    document = json.loads(done.stdout)
    assert sum(document["examples"].values()) == 72
    assert sorted(p.name for p in (work / "plainly").iterdir()) == [
        *("check.json", "classes.json", "log.txt", "split.csv")
    ]


def test_copies_across_own_splits_fail_with_strict(work):
    own = work / "own"
    for split in ("train", "test"):
        shutil.copytree(work / "images", own / split)
    done = kt("check", "--data", "own", "--strict", cwd=work)
    assert done.returncode == 4
    assert "The same example lies in two splits, 72 times" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "check needs --data"),
        (("--data", "images", "--split", "val"), 2, "--split is for --label-errors"),
        (("--data", "images", "--twin-cosine", 0.9), 2, "--twin-cosine is for --twins"),
        (("--data", "images", "--run", "images"), 2, "--run is for --twins"),
        (("--data", "images", "--twins", "--run", "images"), 2, "images"),
        (("--data", "images", "--twins", "--twin-cosine", 2), 2, "above 0 and at most 1"),
        (("--data", "images", "--groups", "none.csv"), 3, "There is no file"),
        (("--data", "images", "--label-errors", "--split", "vall"), 2, "Did you mean 'val'?"),
        (("--data", "images", "--label-errors", "--weights", "none"), 2, "random weights"),
        (("--data", "images", "--backbone", "vgg61"), 2, "Did you mean 'vgg19'?"),
        (("--data", "imagse"), 3, "imagse"),
        (("--data", "images", "--relabel", "none.csv"), 3, "There is no file"),
    ],
)
def test_what_cannot_be_checked_is_refused(work, words, code, said):
    done = kt("check", *words, "--out", "refused", cwd=work)

    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (work / "refused").exists()

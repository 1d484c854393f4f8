"""``kt-recipe domains``: the report, the JSON document, and what is refused."""

import json
import shlex

import numpy as np
import pytest
from html_pages import Page
from PIL import Image
from processes import HEAD, TINY, kt, paint

from keras_transfer.networks.backbones import build_backbone


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A run on 60 images of each class, and a target in which they are dark and fewer are red."""
    folder = tmp_path_factory.mktemp("domains")
    paint(folder / "images", blue=60, red=60)
    for name, n in (("blue", 40), ("red", 40)):
        (folder / "dark" / name).mkdir(parents=True)
        for number in range(n):
            with Image.open(folder / "images" / name / f"{number}.png") as image:
                dark = np.asarray(image)[::-1] // 4
            Image.fromarray(dark).save(folder / "dark" / name / f"{number}.png")
    (folder / "tiny.py").write_text(TINY)
    kt("run", "tiny.py", "--out", "run", *HEAD, cwd=folder, check=0)
    build_backbone("convnet_small", image_size=16).save_weights(folder / "small.weights.h5")
    return folder


def test_a_report_is_text_and_a_command_that_works(work):
    done = kt("domains", "run", "--target", "dark", cwd=work, check=0, KT_REPORT="1")
    lines = done.stdout.splitlines()

    assert lines[0] == "Source: run (convnet_small, run); held-out examples: 30 test, 30 val"
    assert lines[1] == "Target: dark (with labels); 80 of 80 examples"
    for start in ("class shares", "MMD²", "proxy A-distance", "Fréchet", "by class", "accuracy"):
        assert [line for line in lines if line.startswith(start)]
    assert "domain: the examples look different (MMD p = 0.005" in done.stdout
    assert "examples are in runs/domains/1." in done.stdout
    names = {path.name for path in (work / "runs/domains/1").iterdir()}
    assert names >= {"domains.json", "domains.csv", "examples.csv", "to_label.csv", "map.png"}
    page = Page((work / "runs/domains/1/report.html").read_text("utf-8")).check()
    document = json.loads((work / "runs/domains/1/domains.json").read_text())
    assert document["verdict"]["text"] in page.said
    assert page.table("measure")[1][1].split()[0] == f"{document['distances']['a_distance']:.2f}"
    assert sum(one.startswith("data:") for one in page.references) == 25  # with the map
    (command,) = [line.strip() for line in lines if line.startswith("  kt-recipe")]
    words = shlex.split(command)[1:]
    kt(*words, *(["--to", "exported"] if words[0] == "export" else HEAD), cwd=work, check=0)


def test_a_report_on_data_as_json(work):
    given = ("--backbone", "convnet_small", "--weights", "small.weights.h5", "--unlabelled")
    small = ("--set", "image_size=16", "--set", "engine=keras", "--sample", 30)
    done = kt("domains", "images", "--target", "dark", *given, *small, "--json", cwd=work, check=0)
    found = json.loads(done.stdout)

    assert found["folder"].startswith("runs/domains/")
    assert found["source"]["model"] == "logistic regression on frozen features"
    assert found["target"]["examples"] == 30
    assert found["target"]["labelled"] is False
    assert set(found["verdict"]) == {"shift", "lost", "text"}
    assert found["recommendation"]["commands"][0].startswith("kt-recipe run auto_folder --data")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run",), 2, "--target"),
        (("run", "--target", "gone"), 3, "gone does not exist"),
        (("gone", "--target", "dark"), 3, "gone does not exist"),
        (("run", "--target", "dark", "--backbone", "vgg16"), 2, "run is a run, which has its own"),
        (("images", "--target", "dark", "--data", "images"), 2, "--data is for a run"),
        (("images", "--target", "dark", "--weights", "gone.h5"), 3, "gone.h5 does not exist"),
        (("run", "--target", "dark", "--sample", 5), 2, "sample = 5"),
        (("run", "--target", "images"), 3, "120 are examples of the source"),
        (("run", "--target", "dark", "--classes", "green"), 2, "No class of the target"),
    ],
)
def test_what_cannot_be_compared_is_refused(work, words, code, said):
    done = kt("domains", *words, cwd=work)

    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr, done.stderr

"""Pairs of arrays in a file as the data of a run, of an evaluation, and as a target."""

import numpy as np
import pytest
import yaml
from scipy.io import savemat

from keras_transfer import Classify, Head, Split, Stage
from keras_transfer.runs.run import Run
from keras_transfer.workflows.domain_target import read_target

CLASSES = ("1", "2")


def striped(n, rng):
    """(64, n) flat images of 8 x 8 in 0..1, and their labels: 1 is dark, 2 is bright."""
    labels = np.arange(n) % 2
    return (rng.random((64, n)) + labels) / 2, labels[None] + 1.0


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder of a MATLAB file of two data sets, and of a run on the first of them."""
    folder, rng = tmp_path_factory.mktemp("arrays"), np.random.default_rng(0)
    (xs, ys), (xt, yt) = striped(40, rng), striped(10, rng)
    savemat(folder / "two.mat", {"Xs": xs, "Ys": ys, "Xt": xt, "Yt": yt})
    recipe = Classify(
        data="two.mat:Xs",
        backbone="convnet_small",
        weights="none",
        image_size=16,
        split=Split(val=8, test=8),
        head=Head(pooling="avg"),
        stages=(Stage("head", epochs=1),),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KT_CACHE_DIR", str(folder / "cache"))
        recipe.run(out="run")
    return folder


def test_the_run_keeps_the_name_of_the_array(work):
    assert yaml.safe_load((work / "run/recipe.yaml").read_text())["data"]["source"] == "two.mat:Xs"
    assert Run(work / "run").classes == CLASSES


def test_examples_of_the_run_are_read_again_from_another_folder(work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert len(Run(work / "run").samples(["train"])) == 24


@pytest.mark.parametrize(("name", "n"), [("Xs", 40), ("Xt", 10)])
def test_a_run_is_evaluated_on_an_array(work, monkeypatch, name, n):
    monkeypatch.chdir(work)

    metrics = Run("run").evaluate(f"two.mat:{name}")
    assert sum(row["support"] for row in metrics["per_class"].values()) == n


@pytest.mark.parametrize("unlabelled", [False, True])
def test_an_array_is_a_target(work, unlabelled):
    target = read_target(f"{work}/two.mat:Xt", CLASSES, unlabelled=unlabelled)

    assert target.labelled is not unlabelled
    assert target.samples.counts().tolist() == ([10, 0] if unlabelled else [5, 5])

"""Weights from earlier runs and from other recipes."""

from pathlib import Path

import numpy as np
import pytest

from keras_transfer import BadConfiguration, BadWeights, Classify, Head, Split, Stage, load
from keras_transfer.workflows.pretrained import check_chain

SMALL = Classify(
    data="sklearn:digits",
    classes=("0", "1"),
    limit=60,
    split=Split(val=0.2, test=0.2),
    backbone="convnet_small",
    weights="none",
    image_size=8,
    batch_norm="train",
    head=Head(pooling="avg"),
    stages=(Stage("all", epochs=1, unfreeze="all"),),
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def backbone_weights(run):
    return run.model.get_layer("backbone").get_weights()


def same(ones, others):
    return all(np.array_equal(a, b) for a, b in zip(ones, others, strict=True))


def test_the_backbone_of_an_earlier_run_is_taken_over_and_frozen(here):
    source = SMALL.run(name="source")

    target = SMALL.changed(classes=("2", "3"), stages=[Stage("head", epochs=1)])
    run = target.run(name="target", weights=f"run:{source.folder}")

    assert same(backbone_weights(source), backbone_weights(run))
    assert run.classes == ("2", "3")


EARLIER = f'"""An earlier one."""\nfrom keras_transfer import *\n\nrecipe = {SMALL!r}\n'


def test_a_recipe_without_a_run_is_run_first_and_only_once(here, recipe_package):
    recipe_package("acme_earlier", {"earlier": EARLIER})

    for n in (1, 2):
        run = SMALL.run(name="later", weights="recipe:earlier", stages=[Stage("head", epochs=1)])
        assert run.folder == Path(f"runs/later/{n}")

    one, other = (Path(f"runs/later/{n}/predictions.csv").read_text() for n in (1, 2))
    assert one == other, "whether the source ran first must not show"
    assert same(backbone_weights(load("runs/earlier/1")), backbone_weights(run))
    assert not (here / "runs/earlier/2").exists()


def test_recipes_that_wait_for_each_other_are_refused(recipe_package):
    one, other = (
        EARLIER.replace("weights='none'", f"weights='recipe:{name}'") for name in ("other", "one")
    )
    recipe_package("acme_circle", {"one": one, "other": other})

    with pytest.raises(BadConfiguration, match="one -> other -> one"):
        check_chain("one")


def test_a_run_of_another_network_does_not_fit(here):
    SMALL.run(name="source")

    with pytest.raises(BadWeights, match=r"runs/source/1 does not fit: .*'(?:Conv1|block1)"):
        SMALL.run(
            name="target", backbone="mobilenet_v2", image_size=32, weights="run:runs/source/1"
        )


def test_no_run_folder_is_an_error(here):
    with pytest.raises(BadConfiguration, match="no run folder"):
        SMALL.run(weights="run:runs/none")

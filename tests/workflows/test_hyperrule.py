"""BiT-HyperRule: by the numbers of its paper, and in a run."""

import numpy as np
import pytest
import tensorflow as tf
from processes import paint

from keras_transfer import BadConfiguration, Classify, Stage
from keras_transfer.data.samples import Samples
from keras_transfer.training.optimizers import build_optimizer
from keras_transfer.workflows.hyperrule import hyperrule
from keras_transfer.workflows.imbalance import strategy_for

RECIPE = Classify(data="photos", backbone="convnet_small", weights="none", schedule="bit")


class Blank:
    """Images of one size."""

    def __init__(self, height, width):
        self.shape = (height, width, 3)

    def read(self, row):
        return tf.zeros(self.shape, tf.uint8)


def images(n, height=300, width=200):
    labels = np.arange(n) % 2
    splits = np.full(n, "train", object)
    return Samples.of(
        Blank(height, width), ("a", "b"), [str(i) for i in range(n)], labels, splits=splits
    )


def ruled(recipe, samples):
    """What the rule decides for a recipe and these images."""
    train = samples.split("train")
    length = strategy_for(recipe.objectives, train, recipe.seed).length
    size = recipe.input.image_size
    return hyperrule(recipe.stages[0], recipe.batches, size, train, length, recipe.input.shapes)


@pytest.mark.parametrize(
    ("n", "batch", "epochs", "warmup", "mixup"),
    [
        (1000, 512, 250, 50, 0),  # 2 batches a pass: 500 updates, 100 of them rising
        (1400, 32, 12, 100 / 44, 0),  # 44 batches a pass: 11.4 passes
        (20_000, 512, 250, 12.5, 0.1),  # 40 batches a pass: 10,000 updates, 500 rising
        (500_000, 500, 20, 0.5, 0.1),  # 1,000 batches a pass: 20,000 updates
    ],
)
def test_numbers_of_the_paper(n, batch, epochs, warmup, mixup):
    found = ruled(RECIPE.changed(batch_size=batch), images(n))
    stage = found.stage

    assert (stage.epochs, stage.warmup_epochs) == (epochs, pytest.approx(warmup))
    assert stage.learning_rate == pytest.approx(0.003 * batch / 512)
    assert stage.unfreeze == "all"
    assert (stage.optimizer.name, stage.optimizer.momentum) == ("sgd", 0.9)
    assert (stage.schedule, stage.decay) == ("staircase", 0.1)
    assert (found.mixup, found.image_size) == (mixup, 384)


@pytest.mark.parametrize(
    ("imbalance", "epochs"),
    # 800 of one class and 200 of the other, in batches of 50.
    [
        ("none", 25),  # 20 batches a pass
        ("class_weight", 25),
        ("undersample", 63),  # 400 images an epoch: 8 batches
        ("oversample", 16),  # 1,600: 32 batches
        ("balanced_batches", 25),
    ],
)
def test_epochs_are_as_long_as_the_remedy_makes_them(imbalance, epochs):
    labels = (np.arange(1000) < 200).astype(int)
    splits = np.full(1000, "train", object)
    samples = Samples.of(
        Blank(300, 200), ("a", "b"), [str(i) for i in range(1000)], labels, splits=splits
    )

    found = ruled(RECIPE.changed(batch_size=50, imbalance=imbalance), samples)

    assert found.stage.epochs == epochs


def test_accumulated_batches_are_one():
    """8 of 64 images make the 512 of the paper; 16 batches a pass, 500 times 8 of them."""
    recipe = RECIPE.changed(batch_size=64, stages=[Stage(accumulate=8).model_dump()])
    stage = ruled(recipe, images(1000)).stage

    assert (stage.learning_rate, stage.optimizer.accumulate) == (0.003, 8)
    assert stage.epochs == 250


@pytest.mark.parametrize(("height", "width", "side"), [(96, 95, 128), (96, 96, 384), (32, 32, 128)])
def test_small_images_become_small_squares(height, width, side):
    assert ruled(RECIPE, images(100, height, width)).image_size == side


def test_what_the_recipe_says_holds():
    found = ruled(RECIPE.changed(image_size=64, mixup=0.3), images(100))

    assert (found.image_size, found.mixup) == (64, 0.3)


@pytest.mark.parametrize("settings", [{"method": "bagging:3"}, {"imbalance": "smote"}])
def test_what_wants_a_frozen_backbone_is_refused_at_once(settings):
    with pytest.raises(BadConfiguration, match=r"unfreezes all blocks \(schedule = bit\)"):
        RECIPE.changed(**settings)


@pytest.mark.parametrize("settings", [{"epochs": 3}, {"lr": 0.1}, {"lr": "auto"}])
def test_what_the_rule_decides_is_refused(settings):
    (name,) = settings
    with pytest.raises(BadConfiguration, match=f"bit finds {name} by"):
        RECIPE.changed(**settings)


def test_the_rate_rises_and_falls_to_a_tenth_three_times():
    optimizer = build_optimizer(
        "sgd", learning_rate=1.0, schedule="staircase", steps=500, warmup_steps=100
    )
    rate = optimizer._learning_rate
    found = [float(rate(step)) for step in (0, 50, 100, 150, 151, 301, 451, 499)]

    assert found == pytest.approx([0, 0.5, 1, 1, 0.1, 0.01, 0.001, 0.001])


def test_a_run_by_the_rule(tmp_path, caplog):
    """48 images with 24 to train on: 12 batches of two a pass, so 500 updates in 42 epochs."""
    caplog.set_level("INFO", "keras_transfer")
    paint(tmp_path / "images", blue=24, red=24)
    stages = [Stage(patience=2, optimizer="adam").model_dump()]
    run = RECIPE.changed(stages=stages, schedule="bit", data=str(tmp_path / "images")).run(
        out=tmp_path / "run",
        name="bit",
        image_size=16,
        batch_size=2,
        split={"val": 0.25, "test": 0.25},
    )

    log = (run.folder / "log.txt").read_text()
    assert "500 updates of 2 images in 42 epochs" in log
    assert {row["stage"] for row in run.history} == {"bit"}
    (stage,) = run.settings["stages"]
    assert (stage["schedule"], stage["optimizer"]["name"]) == ("bit", "adam")  # as asked for
    assert len(run.predict([tmp_path / "images" / "red" / "0.png"])) == 1

"""The setting imbalance: refusals, and runs that go on as if never stopped."""

import csv
import logging

import keras
import numpy as np
import pytest
from processes import paint
from tiny import RECIPE

from keras_transfer.errors import BadConfiguration
from keras_transfer.training import trainer


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"imbalance": "smote", "engine": "none"}, "no image, so smote .* engine = none"),
        (
            {"imbalance": "smote", "stages": [{"name": "tune", "unfreeze": "all"}]},
            "'tune' unfreezes",
        ),
        ({"imbalance": "smote", "cutmix": 1}, "cutmix needs pixels"),
        ({"imbalance": "smote", "views": "fresh"}, "views = fresh"),
        ({"imbalance": "class_weight", "class_weight": {"a": 1}}, "Leave one of them out"),
        ({"class_weight": "balanced"}, "imbalance = class_weight"),
        ({"class_weight": {"blue": -1, "red": 1}}, "class_weight.*blue.* greater than or equal"),
        ({"class_weight": {"blue": 0, "red": 0}}, "no weight above 0"),
    ],
)
def test_what_cannot_go_together_is_refused_before_anything_is_read(settings, message):
    with pytest.raises(BadConfiguration, match=message):
        RECIPE.changed(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"imbalance": "oversample", "augment": {"horizontal_flip": True}, "mixup": 0.4},
        pytest.param({"imbalance": "balanced_batches", "engine": "none"}, marks=pytest.mark.slow),
        pytest.param({"imbalance": "smote"}, marks=pytest.mark.slow),
        pytest.param({"imbalance": "focal"}, marks=pytest.mark.slow),
    ],
    ids=lambda settings: settings["imbalance"],
)
def test_a_stopped_run_ends_as_if_never_stopped(tmp_path, monkeypatch, caplog, settings):
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "images", blue=5, red=12)
    recipe = RECIPE.changed(**settings)
    caplog.set_level(logging.INFO, "keras_transfer")
    whole = recipe.run(out="whole", name="tiny")

    class Stop(trainer.Progress):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt
            super().on_epoch_begin(epoch, logs)

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "Progress", Stop)
        with pytest.raises(KeyboardInterrupt):
            recipe.run(out="stopped", name="tiny")
    again = recipe.run(out="stopped", name="tiny", resume=True)

    assert again.history == whole.history
    for one, other in zip(
        *(
            keras.models.load_model(f"{name}/last.keras").get_weights()
            for name in ("whole", "stopped")
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert f"Imbalance: {recipe.objective.imbalance} (requested)" in caplog.text
    assert whole.metrics["test"]["minority_class"] == "blue"
    with (whole.folder / "pr_curves.csv").open() as file:
        assert {row["class"] for row in csv.DictReader(file)} == {"blue", "red"}


def test_smote_has_a_baseline_that_samples(tmp_path, monkeypatch):
    """From scratch everything trains, so there are no features to make others up from."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "images", blue=5, red=12)

    run = RECIPE.changed(imbalance="smote").run(
        out="run", name="tiny", baselines="scratch", epochs=1
    )

    assert 0 <= run.metrics["baselines"]["scratch"]["accuracy"] <= 1
    assert "imbalance: oversample" in (run.folder / "baseline/recipe.yaml").read_text()


def test_a_stage_that_would_make_no_update_is_refused(tmp_path, monkeypatch):
    """12 images to train on are three batches of four, in two epochs six."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "images")
    stages = [{"name": "head", "epochs": 2, "accumulate": 7}]

    with pytest.raises(BadConfiguration, match=r"accumulate = 7: the stage 'head' has 6 batches"):
        RECIPE.run(out="run", name="tiny", stages=stages)
    assert not (tmp_path / "run").exists()


def test_the_rarest_class_is_that_of_the_training(tmp_path, monkeypatch):
    """As many of each in the test split; of red there are few to train on, and it comes second."""
    monkeypatch.chdir(tmp_path)
    for split, red in (("train", 3), ("val", 4), ("test", 4)):
        paint(tmp_path / "images" / split, blue=4 if split != "train" else 12, red=red)

    run = RECIPE.run(out="run", name="tiny", epochs=1, imbalance="none", on_bad="skip")

    for metrics in (run.metrics["val"], run.metrics["test"], run.evaluate()):
        assert metrics["minority_class"] == "red"
        assert metrics["minority_recall"] == metrics["per_class"]["red"]["recall"]

"""Settings of version 1, read as those of today."""

import pytest

from keras_transfer import BadConfiguration, Classify, FineTune
from keras_transfer.config.upgrade import renamed, stored, upgraded, versioned

VERSION_1 = {
    "data": "photos",
    "data_dir": None,
    "classes": ["cat", "dog"],
    "split": {"val": 0.2, "test": 0.1, "train": None, "seed": 4},
    "limit": 50,
    "on_bad": "skip",
    "strict": True,
    "backbone": "mobilenet_v2",
    "variant": {"alpha": 0.35},
    "weights": "none",
    "batch_norm": "train",
    "image_size": 96,
    "resize": "pad",
    "augment": {"zoom_range": 0.1},
    "head": {"pooling": "max", "units": [8], "batch_norm": True},
    "stages": [
        {"name": "head", "epochs": 3, "learning_rate": 0.01, "optimizer": "sgd", "momentum": 0.8},
        {"name": "tune", "epochs": 2, "unfreeze": "block_13", "ema": 0.9, "accumulate": 2},
    ],
    "epochs": None,
    "lr": None,
    "schedule": None,
    "views": None,
    "layer_decay": None,
    "batch_size": 16,
    "mixup": 0.2,
    "cutmix": 0.0,
    "mixup_off_epoch": 2,
    "imbalance": "class_weight",
    "class_weight": None,
    "label_smoothing": 0.1,
    "precision": "float32",
    "strategy": "one_device",
    "engine": "keras",
    "engine_error": 0.0,
    "cache": False,
    "deterministic": True,
    "ensemble": "none",
    "baseline": True,
    "monitor": "val_accuracy",
    "seed": 7,
}
"""As recipe.yaml of version 1 had them."""


def recipe():
    return Classify(**upgraded(VERSION_1))


def test_every_setting_of_version_1_is_where_it_belongs():
    found = recipe()

    assert (found.data.source, found.data.classes, found.data.limit) == (
        "photos",
        ("cat", "dog"),
        50,
    )
    assert (found.data.split.val, found.data.split.seed, found.data.on_bad) == (0.2, 4, "skip")
    assert found.data.strict
    assert (found.backbone.name, found.backbone.variant) == ("mobilenet_v2", {"alpha": 0.35})
    assert (found.backbone.weights, found.backbone.batch_norm) == ("none", "train")
    assert (found.input.image_size, found.input.resize) == (96, "pad")
    assert found.input.augment.zoom_range == 0.1
    assert (found.head.pooling, found.head.units) == ("max", (8,))
    assert found.head.batch_normalization
    assert (found.batches.batch_size, found.batches.mixup) == (16, 0.2)
    assert found.batches.mixup_off_epoch == 2
    assert (found.objective.imbalance, found.objective.label_smoothing) == ("class_weight", 0.1)
    assert (found.runtime.strategy, found.runtime.engine, found.runtime.cache) == (
        "one_device", "keras", False
    )  # fmt: skip
    assert found.runtime.deterministic
    assert (found.method.type, found.baselines) == ("supervised", ("scratch",))
    assert (found.monitor, found.seed) == ("val_accuracy", 7)


def test_settings_of_stages_are_where_they_belong():
    head, tune = recipe().stages

    assert (head.optimizer.name, head.optimizer.momentum) == ("sgd", 0.8)
    assert (head.epochs, head.learning_rate) == (3, 0.01)
    assert (tune.average.ema, tune.optimizer.accumulate, tune.unfreeze) == (0.9, 2, "block_13")


def test_shorthand_that_was_stored_is_applied():
    found = Classify(**upgraded({**VERSION_1, "epochs": 9, "lr": 0.1}))

    assert [stage.epochs for stage in found.stages] == [9, 9]
    assert [stage.learning_rate for stage in found.stages] == pytest.approx([0.1, 0.01])


@pytest.mark.parametrize(
    ("old", "method", "baselines"),
    [
        ({"ensemble": "none", "baseline": False}, "supervised", ()),
        ({"ensemble": "bagging:3", "baseline": False}, "bagging", ()),
        ({"ensemble": "boosting", "baseline": False}, "supervised", ("boosted_trees",)),
        ({"ensemble": "boosting", "baseline": True}, "supervised", ("scratch", "boosted_trees")),
        ({"ensemble": "bagging:3", "baseline": True}, "bagging", ("scratch",)),
    ],
)
def test_ensembles_became_methods_and_baselines(old, method, baselines):
    plain = {"data": "d", "backbone": "vgg16"}

    for found in (Classify(**plain, **old), Classify(**upgraded({**plain, **old}))):
        assert (found.method.type, set(found.baselines)) == (method, set(baselines))
        assert getattr(found.method, "members", 3) == 3


def test_settings_of_today_come_back_as_they_were_stored():
    found = recipe()

    stored = versioned(found.settings())

    assert stored["version"] == 2
    assert upgraded(stored) == found.settings()
    assert Classify(**upgraded(stored)) == found


def test_settings_of_a_later_version_are_refused():
    with pytest.raises(BadConfiguration, match=r"of version 3.*up to 2. Upgrade keras_transfer"):
        upgraded({"version": 3, "data": {"source": "d"}})


def test_what_is_read_is_not_changed():
    before = {**VERSION_1, "head": dict(VERSION_1["head"])}

    upgraded(VERSION_1)
    renamed(VERSION_1)

    assert before == VERSION_1


def test_stored_settings_of_several_outputs_are_those_of_the_recipe():
    """Such a run could not be resumed: a type was added beside its columns."""
    several = {"kind": "classification", "price": "regression"}
    given = FineTune(data="shoes.csv", backbone="convnet_small", objective=several)
    assert given.changed(**stored(versioned(given.settings()))) == given

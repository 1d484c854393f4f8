"""Recipes as values: what they take, refuse, and become."""

import pytest
import yaml

from keras_transfer import Augment, BadConfiguration, Classify, Head, Split, Stage, UnknownName
from keras_transfer.config.tree import read_options, with_setting

RECIPE = Classify(
    data="photos",
    backbone="vgg16",
    head=Head(pooling="flatten", units=(256,), dropout=0.5),
    stages=(Stage("head", learning_rate=1e-3), Stage("tune", learning_rate=1e-5, epochs=3)),
)


def test_recipes_of_the_same_settings_are_equal():
    assert Classify(data="a", backbone="vgg16") == Classify(data="a", backbone="vgg16")
    assert Classify(data="a", backbone="vgg16") != Classify(data="b", backbone="vgg16")


def test_a_recipe_is_frozen():
    with pytest.raises(Exception, match="frozen"):
        RECIPE.seed = 3


def test_a_changed_copy_leaves_the_original():
    changed = RECIPE.changed(seed=7, head={"dropout": 0.1})

    assert (changed.seed, changed.head) == (7, Head(pooling="flatten", units=(256,), dropout=0.1))
    assert (RECIPE.seed, RECIPE.head.dropout) == (0, 0.5)


def test_a_group_can_be_given_whole():
    assert RECIPE.changed(head=Head()).head == Head()
    assert RECIPE.changed(augment=Augment(rotation_range=3)).input.augment.rotation_range == 3


def test_class_weights_are_replaced_not_merged():
    both = RECIPE.changed(class_weight={"cat": 1, "dog": 2})
    assert both.changed(class_weight={"cat": 3}).objective.class_weight == {"cat": 3.0}


def test_settings_survive_yaml():
    assert Classify(**yaml.safe_load(yaml.safe_dump(RECIPE.settings()))) == RECIPE


def test_epochs_and_rate_reach_the_stages():
    """5 epochs each; rates in proportion: 1e-2 and a hundredth of it."""
    changed = RECIPE.changed(epochs=5, lr=1e-2).stages

    assert [stage.epochs for stage in changed] == [5, 5]
    assert [stage.learning_rate for stage in changed] == pytest.approx([1e-2, 1e-4])
    assert [stage.epochs for stage in RECIPE.stages] == [10, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"epoch": 3}, "No setting is called 'epoch'. Did you mean 'epochs'?"),
        (
            {"head": {"drop_out": 1}},
            "No setting is called 'head.drop_out'. Did you mean 'head.dropout'?",
        ),
        ({"backbone": "vgg_16"}, "No backbone is called 'vgg_16'. Did you mean 'vgg16'?"),
        (
            {"resize": "strech"},
            "No value of input.resize is called 'strech'. Did you mean 'stretch'?",
        ),
        (
            {"monitor": "val_acc"},
            "monitor: No metric of classification is called 'val_acc'. Did you mean "
            "'val_accuracy'? There are: val_loss, val_accuracy, loss, accuracy.",
        ),
        (
            {"monitor": "val_accuracy", "objective": "regression"},
            "monitor: No metric of regression is called 'val_accuracy'. There are: val_loss, "
            "val_mae, loss, mae.",
        ),
        (
            {"monitor": "val_a_mea", "objective": {"a": "regression", "b": "multilabel"}},
            "Did you mean 'val_a_mae'? There are: val_loss, loss, val_a_loss, val_a_mae",
        ),
        (
            {"stages": [{"name": "a"}, {"name": "b", "optimizer": "sdg"}]},
            "stages.1.optimizer.name: No optimizer is called 'sdg'. Did you mean 'sgd'?",
        ),
        (
            {"objective": {"a": {"type": "regression", "error": "msee"}, "b": "multilabel"}},
            "No value of objective.a.error is called 'msee'. Did you mean 'mse'?",
        ),
        (
            {"objective": {"a": {"type": "regression", "eror": "mse"}, "b": "multilabel"}},
            "No setting is called 'objective.a.eror'. Did you mean 'objective.a.error'?",
        ),
        (
            {"objective": {"type": "regression", "eror": "mse"}},
            "No setting is called 'objective.eror'. Did you mean 'objective.error'?",
        ),
        (
            {"augment": {"flip": True}},
            "No setting is called 'input.augment.flip'. There are: input.augment.rotation_range, ",
        ),
        ({"imbalance": "oversampl"}, "Did you mean 'oversample'"),
        ({"stages": [{"name": "a", "optimizer": "adm"}]}, "Did you mean 'adam'?"),
        ({"stages": [{"name": "a", "schedule": "cosin"}]}, "Did you mean 'cosine'?"),
        ({"stages": [{"name": "a", "epoch": 1}]}, "Did you mean 'stages.0.epochs'?"),
        ({"augment": {"zoom_rang": 1}}, "Did you mean 'input.augment.zoom_range'?"),
    ],
)
def test_a_wrong_name_is_near_another(settings, message):
    with pytest.raises(UnknownName) as error:
        RECIPE.changed(**settings)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": "three"}, "epochs = 'three'"),
        ({"epochs": 0}, "epochs = 0"),
        ({"lr": -1}, "lr = -1"),
        ({"lr": float("nan")}, "lr"),
        ({"head": {"dropout": 1.5}}, "head.dropout = 1.5"),
        ({"split": {"val": 0}}, "split.val = 0"),
        ({"stages": []}, "stages"),
        ({"seed": -1}, "seed = -1"),
        ({"augment": {"zoom_range": 1.5}}, "augment.zoom_range"),
        ({"data": None}, "data"),
    ],
)
def test_a_wrong_value_says_which_setting_and_what_it_was(settings, said):
    with pytest.raises(BadConfiguration) as error:
        RECIPE.changed(**settings)
    assert said in str(error.value)
    assert "pydantic" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stages": [{"name": "a", "carry": True}]}, "'a' is the first, so its adam has no state"),
        (
            {"stages": [{"name": "a"}, {"name": "b", "optimizer": "sgd", "carry": True}]},
            "'b' comes after adam",
        ),
        ({"stages": [{"optimizer": "nadam", "carry": True}]}, "carry with adam instead"),
        ({"stages": [{"soup": 3}], "monitor": "loss"}, "soup is judged on the validation split"),
        ({"mixup_off_epoch": 3}, "neither is on"),
        ({"mixup": 0.2, "batch_size": 1}, "batch_size is 1"),
        ({"mixup": 0.01}, "0.05 is the smallest"),
        ({"cutmix": 1, "views": 4}, "keeps features of its images"),
        ({"cutmix": 1, "stages": [{"name": "a"}, {"name": "b", "views": 2}]}, "The stage 'b'"),
        ({"cutmix": 1.5}, "cutmix = 1.5"),
        ({"label_smoothing": 1}, "label_smoothing = 1"),
        ({"augment": {"randaugment": 0.5, "augmix": 0.3}}, "choose one"),
        ({"augment": {"random_erasing": 2}}, "augment.random_erasing = 2"),
    ],
)
def test_augmentation_that_makes_no_sense_is_refused_with_a_reason(settings, said):
    with pytest.raises(BadConfiguration, match=said):
        RECIPE.changed(**settings)


def test_mixing_goes_with_everything_else():
    mixed = {"mixup": 0.2, "cutmix": 1, "label_smoothing": 0.1, "mixup_off_epoch": 5}
    recipe = RECIPE.changed(**mixed, imbalance="class_weight", augment={"augmix": 0.3})
    assert Classify(**yaml.safe_load(yaml.safe_dump(recipe.settings()))) == recipe


def test_a_missing_setting_is_named():
    with pytest.raises(BadConfiguration, match="backbone"):
        Classify(data="photos")


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("epochs=3", lambda r: [stage.epochs for stage in r.stages] == [3, 3]),
        ("head.dropout=0.25", lambda r: r.head.dropout == 0.25),
        ("head.units=[8, 4]", lambda r: r.head.units == (8, 4)),
        ("stages.1.learning_rate=0.5", lambda r: r.stages[1].learning_rate == 0.5),
        ("stages.*.ema=0.9", lambda r: [stage.average.ema for stage in r.stages] == [0.9, 0.9]),
        ("variant.alpha=0.35", lambda r: r.backbone.variant == {"alpha": 0.35}),
        ("class_weight.cat=2", lambda r: r.objective.class_weight == {"cat": 2.0}),
        ("split.train=50", lambda r: r.data.split == Split(train=50)),
        ("classes=[a, b]", lambda r: r.data.classes == ("a", "b")),
        ("image_size=null", lambda r: r.input.image_size is None),
    ],
)
def test_any_setting_can_be_set_by_its_path(setting, read):
    assert read(RECIPE.changed(**with_setting(RECIPE.settings(), setting)))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("epochs", "KEY=VALUE"),
        ("heads.dropout=1", "Did you mean 'head'?"),
        ("head.dropuot=1", "Did you mean 'head.dropout'?"),
        ("stages.7.epochs=1", "stages.7.epochs"),
        ("head.units=[1", "not YAML"),
        ("seed.x=1", "seed"),
    ],
)
def test_a_wrong_path_says_what_there_is(setting, said):
    with pytest.raises(BadConfiguration) as error:
        RECIPE.changed(**with_setting(RECIPE.settings(), setting))
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["- a list", "just words", "a: [", "\xff"])
def test_a_file_that_is_no_yaml_mapping_is_refused(tmp_path, text):
    file = tmp_path / "settings.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadConfiguration, match=r"settings\.yaml"):
        read_options(file)


def test_a_missing_file_of_settings_is_named(tmp_path):
    with pytest.raises(BadConfiguration, match=r"none\.yaml cannot be read: No such file"):
        read_options(tmp_path / "none.yaml")


def test_positional_name_of_a_stage():
    assert Stage("head", epochs=2) == Stage(name="head", epochs=2)

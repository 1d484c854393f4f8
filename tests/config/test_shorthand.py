"""Shorthand: settings that stand for one of every stage, applied once."""

import pytest

from keras_transfer import BadConfiguration, Classify, Stage, UnknownName
from keras_transfer.config.shorthand import SHORTHAND, apply

STAGES = (
    Stage("head", epochs=3, learning_rate=1e-2),
    Stage("tune", epochs=5, learning_rate=1e-4, unfreeze="block5", layer_decay=0.9),
)
RECIPE = Classify(data="d", backbone="vgg16", stages=STAGES)


def of_stages(recipe, name):
    return [getattr(stage, name) for stage in recipe.stages]


@pytest.mark.parametrize(
    ("given", "name", "values"),
    [
        ({"epochs": 7}, "epochs", [7, 7]),
        ({"lr": 1e-3}, "learning_rate", pytest.approx([1e-3, 1e-5])),
        ({"lr": "auto"}, "learning_rate", ["auto", 1e-4]),
        ({"schedule": "cosine"}, "schedule", ["cosine", "cosine"]),
        ({"layer_decay": 0.5}, "layer_decay", [0.5, 0.5]),
        ({"views": 3}, "views", [3, 3]),
        ({"views": "fresh"}, "views", ["fresh", "fresh"]),
        ({"lr": None, "epochs": None}, "epochs", [3, 5]),
    ],
)
def test_it_is_a_setting_of_every_stage(given, name, values):
    made = Classify(data="d", backbone="vgg16", stages=STAGES, **given)
    changed = RECIPE.changed(**given)

    assert of_stages(made, name) == of_stages(changed, name) == values
    assert made == changed


def test_it_is_never_stored():
    changed = RECIPE.changed(epochs=7, lr=1e-3, views=2)

    assert not set(SHORTHAND) & set(changed.settings())
    assert changed.changed(seed=1).changed(seed=0) == changed


def test_a_number_after_auto_leaves_the_other_stages():
    """What proportion they had to a rate that is not known yet, nobody knows."""
    assert of_stages(RECIPE.changed(lr="auto").changed(lr=0.5), "learning_rate") == [0.5, 1e-4]


def test_bit_is_one_stage_which_keeps_what_the_first_had():
    recipe = RECIPE.changed(schedule="bit")

    (stage,) = recipe.stages
    assert (stage.name, stage.schedule, stage.epochs, stage.carry) == ("bit", "bit", 3, False)


@pytest.mark.parametrize("given", [{"epochs": 3}, {"lr": 0.1}])
def test_bit_finds_epochs_and_rate_itself(given):
    (name,) = given
    with pytest.raises(BadConfiguration, match=rf"schedule = bit finds {name} .*leave {name} out"):
        RECIPE.changed(schedule="bit", **given)
    with pytest.raises(BadConfiguration, match=f"leave {name} out"):
        RECIPE.changed(schedule="bit").changed(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epochs": 0}, "epochs = 0"),
        ({"lr": -1}, "lr"),
        ({"lr": "outo"}, "Did you mean 'auto'"),
        ({"views": "cleen"}, "views"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"layer_decay": 2}, "layer_decay = 2"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(given, said):
    with pytest.raises((BadConfiguration, UnknownName), match=said):
        RECIPE.changed(**given)


def test_the_stages_that_are_given_are_not_changed():
    stages = [{"epochs": 1, "schedule": "constant"}, {"epochs": 2, "schedule": "constant"}]

    assert [stage["epochs"] for stage in apply(stages, {"epochs": 9})] == [9, 9]
    assert [stage["epochs"] for stage in stages] == [1, 2]

"""The options of `kt-recipe run NAME`: one for each setting, as the recipe's own groups have it."""

import pytest

from keras_transfer import Classify, FeatureExtraction
from keras_transfer.cli.run import setting_options
from keras_transfer.config.tree import nested
from keras_transfer.objectives.multilabel import MultiLabel


def options(**settings):
    recipe = Classify(data="d", backbone="vgg16", **settings)
    return {option.name: option for option in setting_options(recipe)}


@pytest.mark.parametrize(
    ("settings", "values", "now"),
    [
        ({}, "auto|none|class_weight|effective_number|oversample|undersample", "auto"),
        ({"imbalance": "focal"}, "|balanced_batches|focal|smote", "focal"),
        ({"objective": MultiLabel()}, "none|pos_weight", "none"),
    ],
)
def test_an_option_lists_the_values_of_the_recipes_objective(settings, values, now):
    option = options(**settings)["imbalance"]

    assert values in option.metavar
    assert option.help.endswith(f"[{now}]")


def test_an_option_shows_what_the_recipe_says():
    found = options(image_size=96, batch_size=7, zoom_range=0.25, cache=False)

    shown = {name: found[name].help.rpartition("  ")[2] for name in found}
    assert [shown[name] for name in ("image_size", "batch_size", "zoom_range", "cache")] == [
        "[96]", "[7]", "[0.25]", "[no]"
    ]  # fmt: skip


def test_an_option_of_another_type_shows_the_default_of_that_type():
    found = options()

    assert found["length"].help.endswith("[128]")
    assert found["teacher"].help.endswith("[required]")
    assert found["input"].metavar == "image|text|text_pair"
    assert found["objective"].metavar == "classification|multilabel|regression|tokens"
    assert not [name for name, option in found.items() if option.help.startswith("None")]


def test_a_method_with_many_settings_is_shown_by_its_name():
    recipe = FeatureExtraction(data="d", backbone="vgg16", method="tca")
    found = {option.name: option for option in setting_options(recipe)}

    assert found["method"].help.endswith("[tca]")
    assert options(method="bagging:3")["method"].help.endswith("[bagging:3]")
    assert found["n_components"].help.endswith("[none]")


def test_a_method_in_one_word_takes_further_settings():
    given = nested(Classify, {"method": "distill:run:r", "temperature": 2})

    assert given == {"method": {"type": "distill", "teacher": "run:r", "temperature": 2}}

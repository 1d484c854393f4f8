"""Finding recipes: installed, of other packages, in files."""

import pytest

from keras_transfer import BadConfiguration, UnknownName, catalog

RECIPE = '''"""A small one."""
from keras_transfer import Classify

recipe = Classify(data="d", backbone="vgg16")
run = recipe.run
'''

OURS = {
    "auto_folder",
    "digits",
    "digits_source",
    "mobilenet_v2_catsdogs",
    "resnet50_catsdogs",
    "resnet50_cifar10",
    "resnet50_folder",
    "vgg16_catsdogs",
}


def test_ours_are_there_by_both_names():
    assert set(catalog.modules()) >= OURS
    from recipes import digits

    assert digits.recipe == catalog.find("digits").recipe


def test_those_of_other_packages_are_there_too(recipe_package):
    recipe_package("acme_vision", {"acme_bolts": RECIPE})

    assert catalog.modules()["acme_bolts"] == "acme_vision.acme_bolts"
    assert catalog.summary(catalog.find("acme_bolts")) == "A small one."


def test_two_recipes_of_one_name_are_an_error_naming_both(recipe_package):
    recipe_package("acme_vision", {"digits": RECIPE})

    with pytest.raises(
        BadConfiguration, match=r"acme_vision\.digits and keras_transfer\.recipes\.digits"
    ):
        catalog.modules()


def test_a_broken_package_takes_nobody_along(recipe_package, caplog):
    recipe_package("acme_broken", {"__init__": "1 / 0", "acme_one": RECIPE})

    assert set(catalog.modules()) >= OURS
    assert "division by zero" in caplog.text


def test_a_wrong_name_is_near_another():
    with pytest.raises(UnknownName, match="Did you mean 'vgg16_catsdogs'"):
        catalog.find("vgg16_catdogs")


def test_a_file_is_a_recipe(tmp_path):
    (tmp_path / "mine.py").write_text(RECIPE)

    module = catalog.find(str(tmp_path / "mine.py"))

    assert module.recipe.backbone.name == "vgg16"
    assert catalog.name_of(module.recipe) == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recipe = 3", "defines no recipe"),
        ("1 / 0", "division by zero"),
        (RECIPE.replace("vgg16", "vgg_16"), "Did you mean 'vgg16'"),
        ("recipe =", "SyntaxError"),
    ],
)
def test_a_file_that_is_none_says_why(tmp_path, text, said):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(BadConfiguration, match=said):
        catalog.find(str(tmp_path / "mine.py"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadConfiguration, match=r"no file .*gone\.py"):
        catalog.find(str(tmp_path / "gone.py"))


def test_a_recipe_is_named_for_its_module():
    from recipes import digits

    assert catalog.name_of(digits.recipe) == "digits"
    assert catalog.name_of(digits.recipe.changed(seed=3)) == "classify"

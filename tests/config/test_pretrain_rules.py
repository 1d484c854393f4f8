"""What a pretraining excludes: every example of its rules is refused by its own rule."""

import re

import pytest

from keras_transfer import BadConfiguration, Classify, Pretrain, TextPair, UnknownName
from keras_transfer.config.pretrain_rules import PRETRAIN_RULES

EXAMPLES = [
    pytest.param(rule, changes, id=", ".join(f"{k}={v}" for k, v in changes.items()))
    for rule in PRETRAIN_RULES
    for changes in rule.refused
]


def recipe(changes):
    stage = {k.removeprefix("stage."): v for k, v in changes.items() if k.startswith("stage.")}
    stages = [{"name": "all", "epochs": 2, "unfreeze": "all", **stage}]
    settings = {k: v for k, v in changes.items() if not k.startswith("stage.")}
    given = {"data": "d", "backbone": "transformer_tiny", "weights": "none", "stages": stages}
    return Pretrain(**{**given, **settings})


@pytest.mark.parametrize(("rule", "changes"), EXAMPLES)
def test_an_example_is_refused_with_a_reason_that_names_its_settings(rule, changes):
    with pytest.raises(BadConfiguration) as error:
        recipe(changes)

    said = {*re.findall(r"\w+", str(error.value))}
    assert {*rule.settings} & said


def test_pairs_of_texts_are_refused():
    for given in ("text_pair", {"type": "text_pair"}, TextPair()):
        with pytest.raises(BadConfiguration, match="input"):
            recipe({"input": given})


@pytest.mark.parametrize("setting", [{"head": {"dropout": 0.1}}, {"objective": "regression"}])
def test_settings_of_labels_are_not_there(setting):
    with pytest.raises(BadConfiguration, match=next(iter(setting))):
        recipe(setting)


def test_a_recipe_with_labels_names_the_way():
    with pytest.raises(BadConfiguration, match="Run the recipe mlm first"):
        Classify(data="d", backbone="transformer_tiny", method="masked_lm")


def test_a_share_that_is_none_is_refused():
    for share in (0, 1, -0.1):
        with pytest.raises(BadConfiguration, match="mask_share"):
            recipe({"mask_share": share})
    assert recipe({"mask_share": 0.2}).method.mask_share == 0.2


def test_a_near_miss_of_a_monitor_is_suggested():
    with pytest.raises(UnknownName, match="Did you mean 'val_perplexity'"):
        recipe({"monitor": "val_perplexiti"})

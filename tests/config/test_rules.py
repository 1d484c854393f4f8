"""Which settings exclude each other: every example of the table is refused by its own rule."""

import re

import pytest

from keras_transfer import BadConfiguration, Classify, FineTune, Stage
from keras_transfer.config.rules import RECIPE_RULES, STAGE_RULES, Rule, broken, table
from keras_transfer.config.tree import leaves

STAGES = [{"name": "head", "epochs": 2}, {"name": "tune", "epochs": 2, "unfreeze": "block5"}]


def recipe(changes):
    """A recipe with some settings, of which ``stage.`` are those of the last stage."""
    stages = [dict(stage) for stage in STAGES]
    settings = {}
    for name, value in changes.items():
        if name == "stages":
            stages = stages[-value:]
        elif not name.startswith("stage."):
            settings[name] = value
    stages[-1] |= {k.removeprefix("stage."): v for k, v in changes.items() if "stage." in k}
    frozen = ("smote", "bagging:2")
    if {settings.get("imbalance"), settings.get("method")} & {*frozen} and (
        "stage.unfreeze" not in changes
    ):
        stages[-1]["unfreeze"] = None
    kind = FineTune if "objective" in settings else Classify
    return kind(**{"data": "d", "backbone": "vgg16", "stages": stages, **settings})


EXAMPLES = [
    pytest.param(rule, changes, id=", ".join(f"{k}={v}" for k, v in changes.items()))
    for rule in (*STAGE_RULES, *RECIPE_RULES)
    for changes in rule.refused
]


@pytest.mark.parametrize(("rule", "changes"), EXAMPLES)
def test_an_example_is_refused_with_a_reason_that_names_its_settings(rule, changes):
    with pytest.raises(BadConfiguration) as error:
        recipe(changes)

    names = {name.partition("=")[0] for name in rule.settings}
    said = {*re.findall(r"\w+", str(error.value))}
    assert names & said or any(str(value) in said for value in changes.values())


@pytest.mark.parametrize(("rule", "changes"), EXAMPLES)
def test_one_setting_of_an_example_alone_is_not_what_is_refused(rule, changes):
    """The stages of the example stay, so a rule about them is left out."""
    for name in changes:
        others = {key: value for key, value in changes.items() if key != name}
        try:
            found = recipe(others)
        except BadConfiguration:
            continue
        assert not broken([rule], found.stages[-1] if rule in STAGE_RULES else found)


def test_a_recipe_without_special_wishes_breaks_no_rule():
    found = recipe({})

    assert broken(RECIPE_RULES, found) == ""
    assert all(broken(STAGE_RULES, stage) == "" for stage in found.stages)


def test_every_rule_has_an_example():
    assert [rule.why for rule in (*STAGE_RULES, *RECIPE_RULES) if not rule.refused] == []


def test_the_first_broken_rule_speaks():
    rules = [Rule((), "", lambda subject, said=said: said, ()) for said in ("", "first", "second")]

    assert broken(rules, None) == "first"
    assert broken(rules[:1], None) == ""


def test_rules_name_settings_that_there_are():
    known = {*leaves(Classify), *Classify.model_fields, *Stage.model_fields}
    for name in Stage.lifted:
        known |= set(Stage.model_fields[name].annotation.model_fields)

    for rule in (*STAGE_RULES, *RECIPE_RULES):
        assert {name.partition("=")[0] for name in rule.settings} <= known


def test_the_documentation_has_a_line_for_each_rule():
    lines = table().splitlines()

    assert lines[:2] == ["| settings | why they exclude each other |", "|---|---|"]
    assert len(lines) == 2 + len(STAGE_RULES) + len(RECIPE_RULES)
    assert "| `clipnorm`, `clipvalue` | both bound the gradients |" in lines

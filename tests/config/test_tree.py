"""Nested settings: found by name, merged, changed by a path; checked on small groups."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from keras_transfer import BadConfiguration, Classify, FineTune, UnknownName
from keras_transfer.config.messages import readable
from keras_transfer.config.tree import (
    completed_types,
    full_path,
    groups_in,
    leaves,
    merged,
    nested,
    with_setting,
)
from keras_transfer.group import Group


class Inner(Group):
    section: ClassVar[str] = "Inner"
    depth: int = Field(1, description="a setting two groups down")


class Outer(Group):
    section: ClassVar[str] = "Outer"
    primary: ClassVar[str] = "name"
    name: str = "a"
    width: int = Field(2, json_schema_extra={"section": "Shape"})
    inner: Inner = Inner()


class Hidden(Group):
    secret: int = 3


class Root(Group):
    outer: Outer = Outer()
    hidden: Hidden = Hidden()
    seed: int = 0


SETTINGS = Root().model_dump()


def test_leaves_are_the_settings_of_groups_with_a_section():
    found = leaves(Root)

    assert {name: leaf.path for name, leaf in found.items()} == {
        "width": ("outer", "width"),
        "inner": ("outer", "inner"),
        "depth": ("outer", "inner", "depth"),
    }
    assert {name: leaf.section for name, leaf in found.items()} == {
        "width": "Shape", "inner": "Outer", "depth": "Inner"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "groups"),
    [(Inner, [Inner]), (Inner | Outer | None, [Inner, Outer]), (tuple[Inner, ...], []), (int, [])],
)
def test_groups_of_a_field(annotation, groups):
    assert groups_in(annotation) == groups


class TestNested:
    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            ({"width": 5}, {"outer": {"width": 5}}),
            ({"depth": 5}, {"outer": {"inner": {"depth": 5}}}),
            ({"outer": "b", "depth": 5}, {"outer": {"name": "b", "inner": {"depth": 5}}}),
            ({"outer": {"width": 1}, "depth": 5}, {"outer": {"width": 1, "inner": {"depth": 5}}}),
            ({"seed": 1}, {"seed": 1}),
            ({"unknown": 1}, {"unknown": 1}),  # the model says what is wrong with it
            ({"inner": Inner(depth=4)}, {"outer": {"inner": {"depth": 4}}}),
        ],
    )
    def test_a_setting_goes_to_its_group(self, given, wanted):
        assert nested(Root, given) == wanted

    def test_a_setting_that_is_given_twice_is_refused(self):
        with pytest.raises(BadConfiguration, match="width is given twice"):
            nested(Root, {"outer": {"width": 1}, "width": 2})

    def test_a_group_that_is_given_in_full_and_in_part_is_refused(self):
        with pytest.raises(BadConfiguration, match="given twice"):
            nested(Root, {"outer": Outer(), "depth": 2})


class TestMerged:
    def test_settings_that_are_not_named_stay(self):
        found = merged(SETTINGS, {"outer": {"inner": {"depth": 7}}})

        assert found == {**SETTINGS, "outer": {**SETTINGS["outer"], "inner": {"depth": 7}}}
        assert SETTINGS["outer"]["inner"]["depth"] == 1

    def test_a_mapping_of_the_users_own_names_is_replaced(self):
        found = merged({"class_weight": {"cat": 1, "dog": 2}}, {"class_weight": {"cat": 3}})

        assert found == {"class_weight": {"cat": 3}}

    def test_a_group_of_another_type_replaces_the_old_one(self):
        old = {"method": {"type": "bagging", "members": 3}}

        assert merged(old, {"method": {"type": "supervised"}}) == {"method": {"type": "supervised"}}
        assert merged(old, {"method": {"members": 4}}) == {
            "method": {"type": "bagging", "members": 4}
        }

    def test_a_setting_of_another_type_does_not_change_the_type(self):
        old = {"input": {"type": "text", "length": 8}}

        assert merged(old, {"input": {"image_size": 4}}) == {
            "input": {"type": "text", "length": 8, "image_size": 4}
        }

    def test_several_objectives_replace_one(self):
        outputs = {"kind": {"type": "classification"}, "price": {"type": "regression"}}

        assert merged({"objective": {"type": "classification"}}, {"objective": outputs}) == {
            "objective": outputs
        }

    trees = st.recursive(
        st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    )
    mappings = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)

    @given(mappings, mappings)
    def test_laws(self, settings, changes):
        """Nothing changes nothing; a change holds however often it is made."""
        once = merged(settings, changes)

        assert merged(settings, {}) == settings
        assert merged({}, changes) == changes
        assert merged(once, changes) == once


class TestWithSetting:
    TREE: ClassVar = {
        "head": {"dropout": 0.1, "units": [4]},
        "batches": {"batch_size": 8},
        "objective": {"class_weight": None},
        "stages": [
            {"name": "a", "epochs": 1, "average": {"ema": None}},
            {"name": "b", "epochs": 2, "average": {"ema": None}},
        ],
    }

    @pytest.mark.parametrize(
        ("assignment", "path", "value"),
        [
            ("head.dropout=0.5", ("head", "dropout"), 0.5),
            ("dropout=0.5", ("head", "dropout"), 0.5),
            ("head.units=[8, 4]", ("head", "units"), [8, 4]),
            ("batch_size=16", ("batches", "batch_size"), 16),
            ("stages.1.epochs=9", ("stages", 1, "epochs"), 9),
            ("stages.1.ema=0.9", ("stages", 1, "average", "ema"), 0.9),
            ("class_weight.cat=2", ("objective", "class_weight", "cat"), 2),
            ("epochs=3", ("epochs",), 3),  # shorthand is applied later
            ("lr=auto", ("lr",), "auto"),
        ],
    )
    def test_one_value_is_set(self, assignment, path, value):
        found = with_setting(self.TREE, assignment)

        at = found
        for part in path:
            at = at[part]
        assert at == value
        assert "dropout" not in found
        assert self.TREE["head"]["dropout"] == 0.1

    def test_a_star_is_every_stage(self):
        found = with_setting(self.TREE, "stages.*.ema=0.9")

        assert [stage["average"]["ema"] for stage in found["stages"]] == [0.9, 0.9]
        assert [stage["epochs"] for stage in found["stages"]] == [1, 2]

    @pytest.mark.parametrize(
        ("assignment", "error", "said"),
        [
            ("head.dropout", BadConfiguration, "should be KEY=VALUE"),
            ("head.dropout=[", BadConfiguration, "the value is not YAML"),
            ("head.dropout=" + 5000 * "[", BadConfiguration, "more than 50 levels"),
            ("class_weight." + 5000 * "a." + "a=1", BadConfiguration, "more than 50 levels"),
            ("stages.2.epochs=1", UnknownName, "stages.2.epochs"),
            ("hed.dropout=1", UnknownName, "Did you mean 'head'"),
        ],
    )
    def test_what_cannot_be_set_says_why(self, assignment, error, said):
        with pytest.raises(error, match=said):
            with_setting(self.TREE, assignment)

    @pytest.mark.parametrize(
        ("path", "full"),
        [
            ("dropout", "head.dropout"),
            ("head.dropout", "head.dropout"),
            ("stages.0.ema", "stages.0.average.ema"),
            ("stages.*.epochs", "stages.*.epochs"),
            ("unknown", "unknown"),
        ],
    )
    def test_groups_that_were_left_out_are_found(self, path, full):
        assert ".".join(full_path(self.TREE, path)) == full


class TestReadable:
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"sed": 1}, "No setting is called 'sed'. Did you mean 'seed'"),
            ({"outer": {"widht": 1}}, "Did you mean 'outer.width'"),
            ({"dept": 1}, "Did you mean 'depth'"),
            ({"seed": "x"}, "seed = 'x': .*valid integer"),
        ],
    )
    def test_the_first_fault_is_named_with_a_near_miss(self, given, said):
        with pytest.raises(ValidationError) as error:
            Root(**given)

        assert readable(error.value, Root).args
        with pytest.raises(BadConfiguration, match=said):
            raise readable(error.value, Root)


def test_each_setting_of_a_recipe_can_be_given_without_its_group():
    """The default of every leaf, given by its name alone, changes nothing."""
    plain = Classify(data="d", backbone="vgg16")
    tree = plain.settings()

    for name, leaf in leaves(Classify).items():
        value = tree
        for part in leaf.path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and leaf.path[0] in ("data", "input", "head", "batches", "runtime"):
            given = {"data": "d", "backbone": "vgg16", name: value}
            assert Classify(**given) == plain, name


def test_of_two_settings_of_a_name_the_group_or_the_nearest_is_meant():
    settings = Classify(
        data="d", backbone="vgg16", method={"type": "pseudo_labels"}, units=(8,)
    ).settings()

    assert with_setting(settings, "threshold=0.8")["method"]["threshold"] == 0.8
    found = with_setting(settings, "threshold.precision=0.9")
    assert found["objective"]["threshold"]["precision"] == 0.9
    assert found["method"]["threshold"] == 0.9  # its own default
    found = with_setting(settings, "precision=float32")
    assert found["runtime"]["precision"] == "float32"
    assert found["objective"]["threshold"]["precision"] is None
    changed = Classify(data="d", backbone="vgg16").changed(
        threshold={"precision": 0.9, "positive": "dog"}
    )
    assert changed.objective.threshold.precision == 0.9


def test_a_group_of_another_type_has_its_settings_with_their_defaults():
    settings = {"objective": {"type": "multilabel", "separator": ";"}, "seed": 1}

    found = completed_types(FineTune, settings)

    assert found["seed"] == 1
    assert found["objective"]["separator"] == ";"
    assert found["objective"]["threshold"] == {"recall": None, "precision": None, "positive": None}
    assert with_setting(found, "threshold.recall=0.9")["objective"]["threshold"]["recall"] == 0.9

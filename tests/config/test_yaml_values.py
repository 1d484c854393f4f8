"""YAML of users: plain values, or an error that says what is wrong with it."""

import time

import pytest
import yaml

from keras_transfer.config.tree import read_options
from keras_transfer.config.yaml_values import load_yaml
from keras_transfer.errors import BadConfiguration

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join(10 * [f'*a{i - 1}'])}]\n" for i in range(1, 12)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join(10 * [f'*a{i - 1}'])}]}}\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: [1, 2.5, null, yes]", {"a": [1, 2.5, None, True]}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        (49 * "[" + 49 * "]", eval(49 * "[" + 49 * "]")),
    ],
)
def test_values(text, value):
    assert load_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "expected"),
        (5000 * "[", "levels"),
        (5000 * "[" + 5000 * "]", "levels"),
        (5000 * "{a: ", "levels"),
        (60 * "[" + 60 * "]", "levels"),
        (5000 * "- " + "a", "levels"),
        ("&a [*a]", "levels"),
        (BOMB, "100,000 values"),
        (MERGES, "100,000 values"),
        ("2024-13-45", "month must be in 1..12"),
        (5000 * "1", "4300 digits"),
        ("!!bool x", "cannot be read"),
        ("!!timestamp x", "cannot be read"),
        ("!!int ''", "cannot be read"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_wrong_is_said_in_a_moment(text, said, tmp_path):
    began = time.perf_counter()
    with pytest.raises(yaml.YAMLError, match=said):
        load_yaml(text)
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(BadConfiguration, match=r"settings\.yaml is not YAML"):
        read_options(tmp_path / "settings.yaml")
    assert time.perf_counter() - began < 10

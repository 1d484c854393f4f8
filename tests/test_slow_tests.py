"""The list of slow tests."""

from pathlib import Path

import pytest
import slow_tests

TESTS = Path(__file__).parent
DURATIONS = """
2.10s call     tests/a/test_a.py::test_of[some words-1]
9.99s setup    tests/a/test_a.py::test_b
1.99s call     tests/a/test_a.py::test_b
12.00s call     tests/test_c.py::Test::test_d
"""


def test_what_took_long_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(slow_tests, "LIST", tmp_path / "list.txt")
    slow_tests.write(DURATIONS)
    listed = (tmp_path / "list.txt").read_text()
    assert (
        listed
        == "2.1 tests/a/test_a.py::test_of[some words-1]\n12.0 tests/test_c.py::Test::test_d\n"
    )


@pytest.mark.parametrize("name", sorted({name.partition("[")[0] for name in slow_tests.measured()}))
def test_what_is_listed_exists(name):
    path, *_, function = name.split("::")
    assert f"def {function}(" in (TESTS.parent / path).read_text(encoding="utf-8")


class Item:
    """What pytest knows of a test, as far as ``part_of`` asks."""

    def __init__(self, nodeid, marked=False):
        self.nodeid, self.marked = nodeid, marked

    def get_closest_marker(self, name):
        return name if self.marked else None


@pytest.mark.parametrize("parts", [1, 3, 48])
def test_parts_have_each_test_once_and_take_about_as_long(parts):
    listed = slow_tests.measured()
    items = [*map(Item, listed), Item("tests/a.py::test_marked", marked=True), Item("z::quick")]
    found = [slow_tests.part_of(items[::-1], number, parts) for number in range(parts)]
    names = [item.nodeid for part in found for item in part]
    assert names == sorted({item.nodeid for item in items})
    seconds = [sum(listed.get(item.nodeid, 0) for item in part) for part in found]
    assert max(seconds) <= sum(listed.values()) / parts + max(listed.values())


def test_parts_of_quick_tests_have_each_once():
    items = [Item(name) for name in "abc"]
    assert sorted(len(slow_tests.part_of(items, number, 2)) for number in (0, 1)) == [0, 3]

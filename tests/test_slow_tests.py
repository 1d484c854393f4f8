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

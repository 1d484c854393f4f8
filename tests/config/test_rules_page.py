"""The page about training shows the table of settings that exclude each other, as it is today.

    python tests/config/test_rules_page.py

writes it again after a rule has changed.
"""

from pathlib import Path

from keras_transfer.config.rules import table

PAGE = Path(__file__).parents[2] / "docs/training.md"
BEGIN, END = "<!-- rules.table() begins -->", "<!-- rules.table() ends -->"


def with_table(page):
    """The page with the table of today between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def test_the_page_shows_the_table_of_today():
    page = PAGE.read_text(encoding="utf-8")

    assert (page.count(BEGIN), page.count(END)) == (1, 1)
    assert page == with_table(page), "python tests/config/test_rules_page.py writes it again"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

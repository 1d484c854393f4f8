"""No cell of a CSV file is a formula for a spreadsheet, and every text comes back."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keras_transfer.csv_cells import read_cells, write_cells

FORMULA = tuple("=+-@\t\r\n")


def written(rows, **form):
    file = io.StringIO(newline="")
    write_cells(file, rows, **form)
    return file.getvalue()


def read(text):
    return read_cells(io.StringIO(text, newline=""))


CELLS = st.text(st.sampled_from("'=+-@\t\r\n\",;1.e ax"), max_size=6) | st.text(max_size=6)


@given(st.lists(CELLS, min_size=2, max_size=4), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
@example(["'=1", "''=1", "'", "-1"], csv.QUOTE_ALL)
def test_texts_come_back_and_none_of_them_is_a_formula(cells, quoting):
    text = written([cells], quoting=quoting)

    assert read(text) == [cells]
    for cell in next(csv.reader(io.StringIO(text, newline=""))):
        if cell.startswith(FORMULA):
            float(cell)  # a number is no formula


@pytest.mark.parametrize(
    ("cell", "as_written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1-2", "'+1-2"),
        ("-cat.jpg", "'-cat.jpg"),
        ("\tcat", "'\tcat"),
        ("'=1", "''=1"),
        ("'cat'", "'cat'"),
        ("cat=dog", "cat=dog"),
        ("-0.5", "-0.5"),
        ("-1e-07", "-1e-07"),
        ("+3", "+3"),
        (-0.5, "-0.5"),
        (-1e-07, "-1e-07"),
        (float("-inf"), "-inf"),
        (None, ""),
    ],
)
def test_numbers_stay_numbers(cell, as_written):
    text = written([["a", cell]])

    assert next(csv.reader(io.StringIO(text, newline="")))[1] == as_written

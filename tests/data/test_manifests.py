"""Tables of images: what is read from them, and what is said of the rows that cannot be used."""

import sys
from pathlib import Path

import numpy as np
import pytest

from keras_transfer.data.manifests import read_manifest
from keras_transfer.errors import BadConfiguration, BadData, UnknownName


@pytest.fixture
def table(tmp_path):
    """Write a table beside images/1.jpg ... images/6.jpg (empty files)."""
    (tmp_path / "images").mkdir()
    for i in range(1, 7):
        (tmp_path / "images" / f"{i}.jpg").touch()

    def write(text, name="table.csv", encoding="utf-8"):
        (tmp_path / name).write_text(text, encoding=encoding)
        return tmp_path / name

    return write


def rows(samples):
    names = [samples.classes[label] for label in samples.labels]
    columns = ([Path(key).name for key in samples.keys], names, samples.splits, samples.groups)
    return list(zip(*columns, samples.weights.tolist(), strict=True))


FULL = """path,label,split,group,weight,photographer
images/6.jpg,dog,test,,,Ann
images/2.jpg,cat,,g1,0.5,Bob
images/1.jpg, dog ,train,g1,2,Ann
images/4.jpg,cat,Validation,g2,0,
images/3.jpg,cat,train,,1e1,Bob
"""


def test_all_columns_are_read_and_rows_sorted_by_part_and_path(table):
    samples = read_manifest(table(FULL))

    assert samples.classes == ("cat", "dog")
    assert rows(samples) == [
        ("1.jpg", "dog", "train", "g1", 2.0),
        ("3.jpg", "cat", "train", "", 10.0),
        ("4.jpg", "cat", "val", "g2", 0.0),
        ("6.jpg", "dog", "test", "", 1.0),
        ("2.jpg", "cat", "", "g1", 0.5),
    ]
    assert [samples.store.paths[row] for row in samples.rows] == list(samples.keys)
    assert all(Path(key).exists() for key in samples.keys)


def test_two_columns_are_enough(table):
    samples = read_manifest(table("path,label\nimages/1.jpg,b\nimages/2.jpg,a\n"))

    assert rows(samples) == [("1.jpg", "b", "", "", 1.0), ("2.jpg", "a", "", "", 1.0)]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("label;path\na;images/1.jpg\nb;images/2.jpg\n", {}),
        ("label\tpath\na\timages/1.jpg\nb\timages/2.jpg\n", {"name": "table.tsv"}),
        ('"label","path"\r\n"a","images/1.jpg"\r\n"b","images/2.jpg"\r\n', {}),
        ("label,path\na,images/1.jpg\nb,images/2.jpg", {"encoding": "utf-8-sig"}),
        (" Label , PATH\na,images/1.jpg\n\nb,images/2.jpg\n\n", {"name": "TABLE.CSV"}),
    ],
    ids=["semicolon", "tab", "quoted", "byte order mark", "case and blank lines"],
)
def test_dialects_are_understood(text, options, table):
    assert [row[:2] for row in rows(read_manifest(table(text, **options)))] == [
        ("1.jpg", "a"),
        ("2.jpg", "b"),
    ]


def test_absolute_paths_and_cells_with_separators(table, tmp_path):
    (tmp_path / "a, b.jpg").touch()
    text = f'path,label\n"{tmp_path}/a, b.jpg","x, y"\nimages/1.jpg,"say ""z"""\n'

    samples = read_manifest(table(text))

    assert samples.classes == ('say "z"', "x, y")
    assert samples.keys[0] == f"{tmp_path}/a, b.jpg"


def test_a_table_of_one_part_other_than_train_is_good_to_evaluate_on(table):
    text = "path,label,split\nimages/1.jpg,a,test\nimages/2.jpg,b,test\n"

    assert read_manifest(table(text)).classes == ("a", "b")


TWO = "path,label\nimages/1.jpg,a\nimages/2.jpg,b\n"

WRONG = {
    "column misspelled": ("path,lable\n", "No column is called 'label'. Did you mean 'lable'?"),
    "no such columns": ("x,y\n1,2\n", "There are: x, y."),
    "empty file": ("", "should have the columns path and label"),
    "header only": ("path,label\n", "has no rows"),
    "column twice": ("path,label,label\n1,2,3\n", "several columns called label"),
    "no label": (TWO + "images/3.jpg, \n", "1 of 3 rows of"),
    "no path": (TWO + ",a\n", "line 4: ''"),
    "missing file": (TWO + "images/9.jpg,a\n", "line 4: 'images/9.jpg'"),
    "ragged": (TWO + "images/3.jpg\n", "line 4: 1 cells"),
    "split": (
        "path,label,split\nimages/1.jpg,a,trian\n",
        "none of train, val, valid, validation, dev, test:\n  line 2: 'trian'",
    ),
    "weight": ("path,label,weight\nimages/1.jpg,a,heavy\n", "line 2: 'heavy'"),
    "weight below 0": ("path,label,weight\nimages/1.jpg,a,-1\n", "line 2: '-1'"),
    "weight infinite": ("path,label,weight\nimages/1.jpg,a,inf\n", "line 2: 'inf'"),
    "weight not a number": ("path,label,weight\nimages/1.jpg,a,nan\n", "line 2: 'nan'"),
    "one class": ("path,label\nimages/1.jpg,a\nimages/2.jpg,a\n", "only one class, 'a'"),
    "unknown class": (
        "path,label,split\nimages/1.jpg,cat,train\nimages/2.jpg,dog,train\nimages/3.jpg,Cat,test\n",
        "test: No class is called 'Cat'. Did you mean 'cat'?",
    ),
    "quote left open": ('path,label\nimages/1.jpg,"a\n', "unexpected end of data"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_line(case, table):
    text, message = WRONG[case]

    with pytest.raises(BadData) as error:
        read_manifest(table(text))
    assert message in str(error.value)


def test_missing_files_are_listed_up_to_ten_with_their_number(table):
    text = TWO + "".join(f"images/{i}.jpg,a\n" for i in range(100, 125))

    with pytest.raises(BadData, match="25 of 27 rows") as error:
        read_manifest(table(text))
    assert "line 13" in str(error.value)
    assert "line 14" not in str(error.value)
    assert "and 15 more" in str(error.value)


def test_other_encodings_are_named(table):
    with pytest.raises(BadData, match="is not UTF-8"):
        read_manifest(table("path,label\ngrün.jpg,a\n", encoding="latin-1"))


def test_a_missing_table_and_an_unknown_ending(table, tmp_path):
    with pytest.raises(BadData, match="There is no file"):
        read_manifest(tmp_path / "other.csv")
    with pytest.raises(UnknownName, match=r"Did you mean '\.csv'"):
        read_manifest(table(TWO, name="table.cvs"))


def test_parquet_says_the_same_as_csv(table, tmp_path):
    """Whole numbers as labels, missing cells, and rows counted from 1."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {
        "path": ["images/2.jpg", "images/1.jpg"],
        "label": [7, 10],
        "split": [None, "train"],
        "weight": [None, 0.25],
        "other": [[1], []],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")

    assert rows(read_manifest(tmp_path / "table.parquet")) == [
        ("1.jpg", "10", "train", "", 0.25),
        ("2.jpg", "7", "", "", 1.0),
    ]
    parquet.write_table(pyarrow.table({**columns, "label": [7, None]}), tmp_path / "table.parquet")
    with pytest.raises(BadData, match="row 2: ''"):
        read_manifest(tmp_path / "table.parquet")


def test_what_is_no_parquet_says_so(table):
    pytest.importorskip("pyarrow")

    with pytest.raises(BadData, match="cannot be read as Parquet"):
        read_manifest(table(TWO, name="table.parquet"))


def test_parquet_without_pyarrow_says_what_to_install(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(BadConfiguration, match=r"pip install 'keras_transfer\[parquet\]'"):
        read_manifest(table(TWO, name="table.parquet"))


@pytest.mark.slow
def test_a_large_table_is_read_fast(table):
    """100,000 rows take about a second; a slow machine has five."""
    import time

    lines = [f"images/{1 + i % 6}.jpg,{i % 10},{'train' if i % 2 else ''}" for i in range(100_000)]
    file = table("path,label,split\n" + "\n".join(lines))

    begun = time.perf_counter()
    samples = read_manifest(file)
    assert time.perf_counter() - begun < 5
    assert np.array_equal(samples.counts(), [10_000] * 10)

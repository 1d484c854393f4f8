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
        ("sep=;\nlabel;path\na;images/1.jpg\nb;images/2.jpg\n", {}),
        ('"sep=,"\r\nlabel,path\r\na,images/1.jpg\r\nb,images/2.jpg\r\n', {}),
        ("sep=\t\nlabel\tpath\na\timages/1.jpg\nb\timages/2.jpg\n", {"encoding": "utf-8-sig"}),
        ("label, path\na, images/1.jpg\n b , images/2.jpg \n", {}),
        ('label, path\na, "images/1.jpg"\nb, "images/2.jpg"\n', {}),
        (" Label , PATH\na,images/1.jpg\n\nb,images/2.jpg\n\n", {"name": "TABLE.CSV"}),
    ],
    ids=[
        *["semicolon", "tab", "quoted", "byte order mark"],
        *["Excel's separator", "in quotes", "a tab", "spaces", "spaces before quotes"],
        "case and blank lines",
    ],
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


def test_spaces_that_belong_to_a_file_name_are_kept(table, tmp_path):
    (tmp_path / " a.jpg").touch()
    (tmp_path / "a.jpg").touch()

    samples = read_manifest(table('path,label\n" a.jpg",x\na.jpg,y\n'))

    assert [Path(key).name for key in samples.keys] == [" a.jpg", "a.jpg"]


def test_lines_are_counted_from_the_top_of_the_file(table):
    with pytest.raises(BadData, match=r"line 4: 'images/9\.jpg'"):
        read_manifest(table("sep=;\npath;label\nimages/1.jpg;a\nimages/9.jpg;b\n"))


@pytest.mark.parametrize(
    ("column", "cells", "meant"),
    [
        ("set", "x,y", "split"),
        ("splits", "train,test", "split"),
        ("Splitt", "1,2", "split"),
        ("usage", "Training,test", "split"),
        ("groups", "x,y", "group"),
        ("group_id", "1,2", "group"),
        ("GroupID", "1,2", "group"),
        ("weights", "1,2", "weight"),
        ("wieght", "1,2", "weight"),
        ("sample_weight", "1,2", "weight"),
    ],
)
def test_a_column_that_seems_meant_for_another_is_refused(column, cells, meant, table):
    first, second = cells.split(",")
    text = f"path,label,{column}\nimages/1.jpg,a,{first}\nimages/2.jpg,b,{second}\n"

    with pytest.raises(BadData) as error:
        read_manifest(table(text))
    assert f"has a column {column.lower()!r}, which is not read" in str(error.value)
    assert f"Rename it to {meant!r}" in str(error.value)


def test_other_columns_are_named_in_the_log(table, caplog):
    caplog.set_level("INFO", "keras_transfer")
    header = "path,label,split,split_old,height,width,age_group,patient,"
    read_manifest(
        table(f"{header}\nimages/1.jpg,a,,test,1,2,3,x,0\nimages/2.jpg,b,,test,1,2,3,y,1\n")
    )

    assert "split_old, height, width, age_group, patient, (without a name); read are" in caplog.text


def test_weights_are_shown_in_the_log(table, caplog):
    caplog.set_level("INFO", "keras_transfer")
    read_manifest(table(FULL))

    assert "0 to 10, mean 2.7; 1 of 5 images have weight 0" in caplog.text


def test_splits_go_by_other_words_too(table):
    cells = ["Training", "dev", "TEST", "test_set", "", "train"]
    rows = [f"images/{i}.jpg,{'ab'[i % 2]},{cell}" for i, cell in enumerate(cells, 1)]

    samples = read_manifest(table("\n".join(["path,label,split", *rows])))

    assert samples.splits.tolist() == ["train", "train", "val", "test", "test", ""]


def test_a_group_that_is_missing_is_none(table):
    text = "path,label,group\nimages/1.jpg,a,nan\nimages/2.jpg,b,NaN\nimages/3.jpg,b,p1\n"

    assert read_manifest(table(text)).groups.tolist() == ["", "", "p1"]


def test_one_class_is_enough_where_the_classes_are_known(table):
    text = "path,label\nimages/1.jpg,b\n"

    assert read_manifest(table(text), ["a", "b"]).classes == ("b",)


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
        "none of train, training, val, valid, validation, dev, test, testing:\n  line 2: 'trian'",
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
    "other words": ("filename,class\n1,2\n", "Rename the column 'filename' to 'path'"),
    "nan as label": (TWO + "images/3.jpg,nan\n", "1 of 3 rows"),
    "a list as label": (
        TWO + "images/3.jpg,\"['red', 'blue']\"\n",
        "hold a list as label, where one name is expected",
    ),
    "one-hot labels": (TWO + "images/3.jpg,[0 1 0]\n", "hold a list as label"),
    "paths of Windows": (
        "path,label\nimages\\1.jpg,a\nimages\\2.jpg,b\n",
        "They are separated by \\ as on Windows; write / instead",
    ),
    "paths of a Windows disk": (
        TWO + "C:\\images\\3.jpg,b\n",
        "They are paths of a Windows disk; write them from the folder of the table, with /",
    ),
    "a path beyond 4,096 bytes": (TWO + "a/" * 3000 + "1.jpg,b\n", "... (6,005 characters)"),
    "NUL in a path": (TWO + "images/\0.jpg,b\n", "1 of 3 rows"),
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


NAN = float("nan")


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("label", [["red", "blue"], ["red"]], "hold a list as label"),
        ("label", [[], ["red"]], "hold a list as label"),
        ("label", [{"name": "red"}, {"name": "blue"}], "hold a list as label"),
        ("label", [1.0, NAN], "have no label:\n  row 2: 'nan'"),
        ("weight", [1.0, NAN], "no number from 0 up:\n  row 2: 'nan'"),
        ("group_id", [[1], [2]], "Rename it to 'group'"),
        ("phase", ["train", "test"], "Rename it to 'split'"),
    ],
)
def test_parquet_cells_that_are_no_value(column, cells, message, table, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"path": ["images/1.jpg", "images/2.jpg"], "label": ["a", "b"], column: cells}
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")

    with pytest.raises(BadData) as error:
        read_manifest(tmp_path / "table.parquet")
    assert message in str(error.value)


def test_parquet_numbers_are_labels_and_groups_without_decimals(table, tmp_path):
    """As pandas stores whole numbers of which some are missing: as floats, with NaN."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {
        "path": ["images/1.jpg", "images/2.jpg", "images/3.jpg"],
        "label": [0.0, 1.0, 1.0],
        "group": [7.0, NAN, NAN],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")

    samples = read_manifest(tmp_path / "table.parquet")

    assert samples.classes == ("0", "1")
    assert samples.groups.tolist() == ["7", "", ""]


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

"""Corrected labels from a table that a user has edited."""

import logging

import numpy as np
import pytest

from keras_transfer import BadConfiguration, BadData
from keras_transfer.data.relabel import corrected, read_corrections
from keras_transfer.data.samples import Samples

KEYS = ("a/1.jpg", "a/2.jpg", "a/3.jpg", "b/1.jpg", "b/2.jpg", "b/=x.jpg")


def table(labels=(0, 0, 0, 1, 1, 1), splits=("train", "val", "test", "train", "test", "train")):
    return Samples.of(None, ["cat", "dog"], KEYS, labels, splits=splits)


def written(folder, text):
    file = folder / "relabel.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_labels_change_where_the_table_says_so(tmp_path, caplog):
    file = written(
        tmp_path,
        "rank,path,split,label,new_label\n"
        "1,a/1.jpg,train,cat,dog\n"
        "2,a/2.jpg,val,cat,\n"  # left as it is
        "3,b/2.jpg,test,dog,cat\n"
        "4,b/=x.jpg,train,dog,cat\n",
    )
    samples = table()
    with caplog.at_level(logging.INFO, "keras_transfer"):
        changed = corrected(samples, read_corrections(file, samples))

    assert changed.labels.tolist() == [1, 0, 0, 1, 0, 0]
    assert samples.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert changed.splits.tolist() == samples.splits.tolist()
    assert "2 train, 1 test" in caplog.text


@pytest.mark.parametrize("split", ["", "train", "val"])
def test_a_test_example_keeps_its_label_unless_the_table_says_test(tmp_path, caplog, split):
    """It may have been in train when the table was written: splits depend on the seed."""
    file = written(
        tmp_path, f"path,split,label,new_label\na/3.jpg,{split},cat,dog\nb/1.jpg,,dog,cat\n"
    )
    changed = corrected(table(), read_corrections(file, table()))

    assert changed.labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert "1 test examples keep their labels" in caplog.text


def test_tables_of_spreadsheets_are_read(tmp_path):
    """A byte order mark, semicolons, spaces, other columns, and formulas that were escaped."""
    samples = Samples.of(None, ["cat", "dog"], ["-1.jpg", "b.jpg"], [0, 1])
    file = tmp_path / "relabel.csv"
    file.write_text(
        "Path;Label;New_label;remark\n'-1.jpg;cat; dog ;sure\nb.jpg;dog;cat;\n",
        encoding="utf-8-sig",
    )
    assert read_corrections(file, samples).labels == {"-1.jpg": 1, "b.jpg": 0}


def test_a_label_that_was_corrected_in_the_data_too_is_no_error(tmp_path):
    file = written(tmp_path, "path,label,new_label\na/1.jpg,cat,dog\n")
    samples = table(labels=(1, 0, 0, 1, 1, 1))
    assert corrected(samples, read_corrections(file, samples)).labels[0] == 1


def test_a_path_that_the_data_list_twice_is_changed_twice(tmp_path):
    samples = Samples.of(None, ["cat", "dog"], ["a.jpg", "a.jpg", "b.jpg"], [0, 0, 1])
    file = written(tmp_path, "path,label,new_label\na.jpg,cat,dog\na.jpg,cat,dog\n")
    assert read_corrections(file, samples).labels == {"a.jpg": 1}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a/1.jpeg,cat,dog", "line 2: a/1.jpeg (did you mean a/1.jpg?)"),
        ("/data/b/=x.jpg,dog,cat", "line 2: /data/b/=x.jpg (did you mean b/=x.jpg?)"),
        ("a/1.jpg,cat,dgo", "No class is called 'dgo'. Did you mean 'dog'?"),
        ("a/1.jpg,cat,dog\na/1.jpg,cat,cat", "line 3: a/1.jpg has two new labels"),
        ("b/1.jpg,cat,cat\na/1.jpg,dog,dog", "a/1.jpg has the label 'cat' in the data, and 'dog'"),
        ("a/1.jpg,dog", "line 2: 2 cells"),
    ],
)
def test_rows_that_do_not_fit_the_data_are_refused(tmp_path, rows, said):
    file = written(tmp_path, f"path,label,new_label\n{rows}\n")
    with pytest.raises(BadData) as refused:
        read_corrections(file, table())
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("path,label", "No column is called 'new_label'. Did you mean 'label'?"),
        ("path,label,newlabel", "Did you mean 'newlabel'?"),
        ("path,path,label,new_label", "several columns called path"),
        ("path,split,split,label,new_label", "several columns called split"),
    ],
)
def test_other_tables_are_refused(tmp_path, header, said):
    with pytest.raises(BadData) as refused:
        read_corrections(written(tmp_path, f"{header}\n"), table())
    assert said in str(refused.value)


def test_a_table_that_is_not_there_or_no_csv(tmp_path):
    with pytest.raises(BadData, match="There is no file"):
        read_corrections(tmp_path / "none.csv", table())
    with pytest.raises(BadConfiguration, match=r"ends in \.csv"):
        read_corrections(tmp_path / "none.parquet", table())


def test_a_class_must_keep_training_examples(tmp_path):
    rows = "".join(f"{key},dog,cat\n" for key in KEYS[3:])
    file = written(tmp_path, f"path,label,new_label\n{rows}")
    with pytest.raises(BadData, match="leaves no example of 'dog' in the train split"):
        corrected(table(), read_corrections(file, table()))


def test_examples_that_were_left_out_do_not_count(tmp_path):
    file = written(tmp_path, "path,label,new_label\na/1.jpg,cat,dog\n")
    corrections = read_corrections(file, table())
    few = table().take(np.arange(1, 6))
    assert corrected(few, corrections).labels.tolist() == few.labels.tolist()

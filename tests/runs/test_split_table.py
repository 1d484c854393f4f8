"""split.csv: what is written, read, recognized and refused; of this version and of version 1."""

import numpy as np
import pytest

from keras_transfer.data.samples import Samples
from keras_transfer.errors import BadData
from keras_transfer.runs.split_table import (
    RELABEL,
    fingerprint,
    keep_table,
    read_digests,
    read_rows,
    read_train_counts,
    write_bad_files,
    write_split,
)

ROWS = """\
path,label,split,group,digest
a.png,cat,train,,d0
"b,1.png",dog,train,g1,d1
c.png,dog,val,,d2
d.png,dog,test,g2,d3
"""


def samples(digests=("d0", "d1", "d2", "d3")):
    return Samples.of(
        None,
        ("cat", "dog"),
        ["a.png", "b,1.png", "c.png", "d.png"],
        [0, 1, 1, 1],
        splits=["train", "train", "val", "test"],
        groups=["", "g1", "", "g2"],
        digests=list(digests),
    )


@pytest.fixture(params=["split", "part"])
def table(request, tmp_path):
    """The file as it is written now, and as version 1 wrote it."""
    path = tmp_path / "split.csv"
    path.write_text(ROWS.replace("split", request.param, 1).replace("\n", "\r\n"), newline="")
    return path


def test_the_table_is_written_as_documented(tmp_path):
    write_split(tmp_path / "split.csv", samples())

    assert (tmp_path / "split.csv").read_text().splitlines() == ROWS.splitlines()
    assert [path.name for path in tmp_path.iterdir()] == ["split.csv"]


def test_rows_have_the_names_of_today(table):
    rows = read_rows(table)

    assert [row["path"] for row in rows] == ["a.png", "b,1.png", "c.png", "d.png"]
    assert [row["split"] for row in rows] == ["train", "train", "val", "test"]
    assert set(rows[0]) == {"path", "label", "split", "group", "digest"}


def test_counts_and_digests_are_those_of_the_splits(table):
    assert read_train_counts(table, ("dog", "cat", "bird")) == [1, 1, 0]
    assert read_digests(table, ["train", "val"]) == {"d0", "d1", "d2"}


def test_a_resumed_run_finds_its_table_again(table):
    write_split(table, samples())

    assert table.read_text().splitlines() == ROWS.splitlines()


@pytest.mark.parametrize("written", ["'=a.png,'-cat", "=a.png,-cat"], ids=["now", "earlier"])
def test_names_that_are_formulas_are_escaped_and_come_back(tmp_path, written):
    """A run that an earlier version began resumes, although that did not escape them."""
    table = tmp_path / "split.csv"
    data = Samples.of(
        None, ("-cat",), ["=a.png"], [0], splits=["train"], groups=[""], digests=["d0"]
    )
    table.write_text(f"path,label,split,group,digest\r\n{written},train,,d0\r\n", newline="")

    write_split(table, data)

    assert table.read_text().splitlines()[1] == "'=a.png,'-cat,train,,d0"
    assert read_rows(table)[0]["path"] == "=a.png"
    assert read_train_counts(table, ["-cat"]) == [1]


def test_other_data_are_refused_and_the_table_stays(table):
    before = table.read_bytes()

    with pytest.raises(BadData, match=r"not those that the run in .* began with.*without --resume"):
        write_split(table, samples(digests=("d0", "d1", "d2", "other")))

    assert table.read_bytes() == before
    assert [path.name for path in table.parent.iterdir()] == ["split.csv"]


def test_a_fingerprint_changes_with_any_cell(tmp_path):
    prints = []
    for number, digest in enumerate(("d3", "d4", "d3")):
        path = tmp_path / str(number)
        path.mkdir()
        write_split(path / "split.csv", samples(("d0", "d1", "d2", digest)))
        prints.append(fingerprint(path / "split.csv")["split.csv"])

    assert prints[0] == prints[2] != prints[1]


def test_bad_files_are_written_with_their_reasons_if_there_are_any(tmp_path):
    reasons = np.array(["", "is empty", "", "is text"], object)
    write_bad_files(tmp_path / "bad.csv", samples(), reasons)
    write_bad_files(tmp_path / "none.csv", samples(), np.full(4, "", object))

    text = (tmp_path / "bad.csv").read_text()
    assert text.splitlines() == ["path,reason", '"b,1.png",is empty', "d.png,is text"]
    assert not (tmp_path / "none.csv").exists()


def test_a_table_that_a_run_was_given_is_kept_and_hashed(tmp_path):
    """A resumed run with another one is refused: its labels would be those of two tables."""
    run, given = tmp_path / "run", tmp_path / "mine.csv"
    run.mkdir()
    write_split(run / "split.csv", samples())
    plain = fingerprint(run / "split.csv")
    given.write_text("path,label,new_label\n")
    for _ in range(2):
        keep_table(run / RELABEL, given)
    with_table = fingerprint(run / "split.csv")
    assert with_table["split.csv"] == plain["split.csv"]
    assert plain.keys() == {"split.csv"}
    assert with_table.keys() == {"split.csv", "relabel.csv"}

    given.write_text("path,label,new_label\na.png,cat,dog\n")
    with pytest.raises(BadData, match=r"is not the table that the run .* began with"):
        keep_table(run / RELABEL, given)

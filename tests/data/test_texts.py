"""Tables of texts: what is read from them, and what is said of those that cannot be used."""

import csv
import hashlib
import logging

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer.data.scan import drop_invalid, scan
from keras_transfer.data.splits import conflicts, leaks
from keras_transfer.data.texts import Texts, has_labels, holds_texts, read_columns, read_texts
from keras_transfer.errors import BadData, UnknownName
from keras_transfer.inputs.text import Text


@pytest.fixture
def table(tmp_path):
    def write(content, name="reviews.csv"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


def rows(samples):
    names = [samples.classes[label] for label in samples.labels]
    texts = [samples.store.texts[row] for row in samples.rows]
    return list(zip(samples.keys, texts, names, samples.splits, strict=True))


# --- files ------------------------------------------------------------------------------------


def test_all_columns_are_read(table):
    samples = read_texts(
        table(
            "id,Text,label,split,group,weight\n"
            '1,"good, really",pos,test,,\n'
            '2,"two\nlines",neg,,g1,0.5\n'
            "3,bad, neg ,train,g1,2\n"
            "4,fine,pos,dev,,0\n"
            "5,nice,pos,train,,\n"
        )
    )

    assert samples.classes == ("neg", "pos")
    assert rows(samples) == [
        ("reviews.csv:5", "bad", "neg", "train"),
        ("reviews.csv:7", "nice", "pos", "train"),
        ("reviews.csv:6", "fine", "pos", "val"),
        ("reviews.csv:2", "good, really", "pos", "test"),
        ("reviews.csv:4", "two\nlines", "neg", ""),
    ]
    assert samples.weights.tolist() == [2.0, 1.0, 0.0, 1.0, 0.5]
    assert samples.groups.tolist() == ["g1", "", "", "", "g1"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_ways_to_write_a_csv(table, delimiter, mark, newline):
    lines = ["text|label", "good|1", "bad|0", ""]
    content = mark + newline.join(lines).replace("|", delimiter).encode()

    assert rows(read_texts(table(content))) == [
        ("reviews.csv:2", "good", "1", ""),
        ("reviews.csv:3", "bad", "0", ""),
    ]


def test_a_tsv_may_have_no_header(table):
    samples = read_texts(table("\ufeffgood film\t1\nbad\t0\n\nso so\t0\n", "r.tsv"))

    assert [(key, text, name) for key, text, name, _ in rows(samples)] == [
        ("r.tsv:1", "good film", "1"),
        ("r.tsv:2", "bad", "0"),
        ("r.tsv:4", "so so", "0"),
    ]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (['"Quoted" and more', "a"], ['"Quoted" and more', "a"]),
        (['" is an inch', "a"], ['" is an inch', "a"]),
        (['5" nails', '"good"'], ['5" nails', '"good"']),
        (['"say ""hi"" now"', "a"], ['say "hi" now', "a"]),
        (['"one ""', 'more"'], ['"one ""', 'more"']),
        (["'single'", "a"], ["'single'", "a"]),
        (["line\u2028break", "next\x85line"], ["line\u2028break", "next\x85line"]),
    ],
)
def test_quotes_in_a_tsv_are_characters_unless_all_are_quoting(table, cells, expected):
    content = "".join(f"{cell}\t{i}\n" for i, cell in enumerate(cells))

    assert [text for _, text, _, _ in rows(read_texts(table(content, "r.tsv")))] == expected


def test_a_quoted_tsv_may_have_tabs_and_lines_in_its_cells(table):
    samples = read_texts(table('text\tlabel\n"a\tb"\t1\n"c\n""d"""\t0\n', "r.tsv"))

    assert [text for _, text, _, _ in rows(samples)] == ["a\tb", 'c\n"d"']


CELLS = st.text(st.characters(blacklist_characters="\r\x00", codec="utf-8"), min_size=1)


@given(st.lists(CELLS, min_size=1, max_size=5), st.sampled_from([".csv", ".tsv"]))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, texts, ending):
    file = tmp_path_factory.mktemp("round") / f"r{ending}"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter="\t" if ending == ".tsv" else ",")
        writer.writerow(["text", "label"])
        writer.writerows([text, str(i % 2)] for i, text in enumerate([*texts, "end"]))

    assert [text for _, text, _, _ in rows(read_texts(file))] == [*texts, "end"]


PLAIN = st.text(st.characters(blacklist_characters='\r\n\t\x00"', codec="utf-8"), min_size=1)


@given(st.lists(PLAIN, min_size=1, max_size=5))
def test_a_tsv_without_quoting_is_read_back(tmp_path_factory, texts):
    """With a quote somewhere inside a cell, which no quoting writes so."""
    texts = [f'5" {text}' for text in texts]
    file = tmp_path_factory.mktemp("round") / "r.tsv"
    file.write_bytes("".join(f"{t}\t{i % 2}\n" for i, t in enumerate([*texts, "end"])).encode())

    assert [text for _, text, _, _ in rows(read_texts(file))] == [*texts, "end"]


def test_a_text_may_be_longer_than_python_lets_a_cell_be(table):
    before = csv.field_size_limit()
    samples = read_texts(table(f"text,label\n{'long ' * 40_000},1\nb,0\n"))

    assert len(samples.store.texts[0]) == 200_000
    assert csv.field_size_limit() == before


def test_the_column_of_texts_may_be_called_otherwise(table):
    file = table("Sentence\tlabel\ngood\t1\nbad\t0\n", "r.tsv")

    assert [text for _, text, _, _ in rows(read_texts(file, ["sentence"]))] == ["good", "bad"]
    with pytest.raises(BadData, match=r"columns text and label.* No column is called 'text'"):
        read_texts(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "r.tsv is empty"),
        ("text\tlabel\n", "no rows below its header"),
        ("text\tlabl\na\t1\n", "lacks a column. No column is called 'label'. Did you mean 'labl'"),
        ("texts\tlabel\tid\na\t1\t2\n", "Did you mean 'texts'"),
        ("a\tb\tc\n", "should have the columns text and label"),
        ("text\ttext\tlabel\na\tb\t1\n", "several columns called text"),
        ("a\t1\nb\nc\t0\t\n", "2 of 3 rows .* 2 cells, text, label:\n  line 2: 1 .*\n  line 3: 3"),
        ("a\t1\nb\t\nc\t0\n", "have no label:\n  line 2: ''"),
        ("a\t1\nb\t1\n", "only one class, '1'"),
        ("text\tlabel\tsplit\na\t1\ttrian\nb\t0\t\n", "none of train.*\n  line 2: 'trian'"),
        ("text\tlabel\tweight\na\t1\t-1\nb\t0\t\n", "no number from 0 up:\n  line 2: '-1'"),
        (b"a\t1\nb\xe9\t0\n", r"not UTF-8: .* at byte 5, line 2. Save it as UTF-8"),
    ],
)
def test_files_that_cannot_be_used(table, content, message):
    with pytest.raises(BadData, match=f"(?s){message}"):
        read_texts(table(content, "r.tsv"))


def test_files_that_are_not_there_or_of_another_sort(table, tmp_path):
    with pytest.raises(BadData, match=r"r.tsv cannot be read \(No such file"):
        read_texts(tmp_path / "r.tsv")
    with pytest.raises(UnknownName, match=r"Did you mean '.csv'"):
        read_texts(table("text,label\na,1\n", "r.csvv"))
    with pytest.raises(BadData, match=r"r.csv cannot be read: .*line 3"):
        read_texts(table('text,label\n"a,1\nb,0\n', "r.csv"))


# --- folders ----------------------------------------------------------------------------------


def test_a_folder_has_a_file_for_each_split(table, tmp_path, caplog):
    table("c\t1\n", "data/test.tsv")
    table("b\t0\n", "data/dev.tsv")
    table("label,text\n1,a\n0,d\n", "data/train.csv")
    table("x\t1\n", "data/extra.tsv")
    table("read me", "data/README.txt")

    with caplog.at_level(logging.WARNING, "keras_transfer"):
        samples = read_texts(tmp_path / "data")

    assert rows(samples) == [
        ("train.csv:2", "a", "1", "train"),
        ("train.csv:3", "d", "0", "train"),
        ("dev.tsv:1", "b", "0", "val"),
        ("test.tsv:1", "c", "1", "test"),
    ]
    assert "named for no split: extra.tsv" in caplog.text
    assert "README" not in caplog.text


def test_a_folder_with_train_alone_is_undecided(table, tmp_path):
    table("a\t1\nb\t0\n", "data/train.tsv")

    assert [split for *_, split in rows(read_texts(tmp_path / "data"))] == ["", ""]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "should hold train.tsv .* found no tables"),
        ({"test.tsv": "a\t1\nb\t0\n"}, "should hold train.tsv .* found test.tsv"),
        (
            {"train.tsv": "a\t1\n", "dev.tsv": "b\t0\n", "val.csv": "text,label\na,1\n"},
            "several files for val: dev.tsv and val.csv",
        ),
        ({"train.tsv": "a\t1\nb\t0\n", "test.tsv": "c\t2\n"}, "test: No class is called '2'"),
        (
            {"train.csv": "text,label,split\na,1,val\nb,0,\n", "test.tsv": "c\t1\n"},
            "called by their split, and have a column split too",
        ),
    ],
)
def test_folders_that_cannot_be_used(table, tmp_path, files, message):
    (tmp_path / "data").mkdir()
    for name, content in files.items():
        table(content, f"data/{name}")

    with pytest.raises(BadData, match=message):
        read_texts(tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("r.csv", "text,label\n", True),
        ("r.csv", '"Text";"label"\n', True),
        ("r.csv", "path,label\n", False),
        ("r.tsv", "\ufeffa film\t1\n", True),
        ("r.tsv", "path\tlabel\n", False),
        ("r.tsv", "path\tlabel\ttext\n", True),
        ("r.jsonl", "text\tlabel\n", False),
        ("data/train.tsv", "a\t1\n", True),
        ("data/test.tsv", "a\t1\n", False),
    ],
)
def test_it_is_known_what_holds_texts(table, name, content, texts):
    file = table(content, name)

    assert holds_texts(file.parent if "/" in name else file) is texts


@pytest.mark.parametrize(
    ("name", "content", "labels"),
    [
        ("a.csv", "text,label\na,1\n", True),
        ("a.csv", 'Text;"Label"\na;1\n', True),
        ("a.csv", "text\na\n", False),
        ("a.tsv", "text\tstars\na\t1\n", False),
        ("a.tsv", "a film\tgood\n", True),  # without header
    ],
)
def test_it_is_known_which_tables_have_labels(table, name, content, labels):
    assert has_labels(table(content, name)) is labels


# --- the store --------------------------------------------------------------------------------


def test_a_graph_reads_texts_by_row():
    store = Texts(["a", "", "é中"])

    @tf.function
    def read(row):
        return store.read(row)

    assert read(tf.constant(2, tf.int64)).numpy().decode() == "é中"
    assert read(tf.constant([2, 0], tf.int64)).numpy().tolist() == ["é中".encode(), b"a"]


def test_a_check_digests_the_text_and_finds_empty_ones():
    store = Texts(["é", " \t"])

    assert store.check(0, Text().judge) == (hashlib.sha256("é".encode()).hexdigest(), "")
    assert store.check(1, Text().judge).reason == "is empty"
    assert store.stamp(0) is None


def test_empty_and_repeated_texts_are_reported(table, tmp_path):
    """As images are: by the scan, and by what finds equal digests across splits."""
    samples = read_texts(
        table(
            "text,label,split\nsame,1,train\nb,0,train\n  ,0,train\nsame,1,test\n"
            "d,1,test\nb,1,train\n"
        )
    )
    found = scan(samples, Text().judge, tmp_path)

    with pytest.raises(BadData, match=r"reviews.csv:4: is empty"):
        drop_invalid(samples, found, "fail")
    kept = drop_invalid(samples, found, "skip")

    assert len(kept) == 5
    assert leaks(kept) == ["reviews.csv:2 = reviews.csv:5"]
    assert conflicts(kept) == ["reviews.csv:3 (0) = reviews.csv:7 (1)"]


@pytest.mark.real_data
def test_real_sentences(shared_data):
    """SST-2 as its README counts it."""
    samples = read_texts(shared_data / "text/sst2")

    assert samples.classes == ("0", "1")
    assert [int((samples.splits == name).sum()) for name in ("train", "val", "test")] == [
        6920,
        872,
        1821,
    ]
    assert samples.keys[0] == "train.tsv:1"
    assert samples.store.texts[samples.rows[6920]] == "one long string of cliches"
    assert all(text == text.strip() and text for text in samples.store.texts)


# --- without labels ---------------------------------------------------------------------------


def test_a_column_of_texts_needs_no_labels(table):
    file = table('id,Review\n1,"good, really"\n2,"two\nlines"\n3,\n')

    found = read_columns(file, ["review"])

    assert found == (
        ["reviews.csv:2", "reviews.csv:4", "reviews.csv:5"],
        ["good, really", "two\nlines", ""],
    )


def test_a_column_that_is_not_there_is_said(table):
    with pytest.raises(BadData, match="txt"):
        read_columns(table("id,txt\n1,good\n"))

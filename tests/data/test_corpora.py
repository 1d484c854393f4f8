"""Texts without labels: lines, tables and folders of them."""

import pytest

from keras_transfer.data.corpora import read_corpus
from keras_transfer.errors import BadData, UnknownName


def rows(samples):
    texts = [samples.store.texts[row] for row in samples.rows]
    return list(zip(samples.keys, texts, samples.splits, strict=True))


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content.encode())
    return folder


def test_each_line_of_a_file_is_a_text(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_bytes("\ufeffA film.\r\n\n  Two  words \nlast\u2028line".encode())

    samples = read_corpus(file)

    assert rows(samples) == [
        ("texts.txt:1", "A film.", ""),
        ("texts.txt:3", "Two  words", ""),
        ("texts.txt:4", "last\u2028line", ""),
    ]
    assert samples.classes == ("",)
    assert samples.labels.tolist() == [0, 0, 0]


def test_files_of_a_folder_are_its_splits(tmp_path):
    write(tmp_path, test_txt="c", train_txt="a\nb", dev_txt="d")

    assert rows(read_corpus(tmp_path)) == [
        ("train.txt:1", "a", "train"),
        ("train.txt:2", "b", "train"),
        ("dev.txt:1", "d", "val"),
        ("test.txt:1", "c", "test"),
    ]


def test_files_of_other_names_are_read_one_after_the_other(tmp_path):
    write(tmp_path, two_txt="b", one_txt="a")
    (tmp_path / ".hidden.txt").write_text("x")

    assert rows(read_corpus(tmp_path)) == [("one.txt:1", "a", ""), ("two.txt:1", "b", "")]


def test_a_file_of_train_alone_is_divided(tmp_path):
    write(tmp_path, train_txt="a\nb")
    assert read_corpus(tmp_path).splits.tolist() == ["", ""]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "text,split\na film,train\na plot,dev\n"),
        ("t.csv", "label,text,split\n,a film,train\n,a plot,dev\n"),
        ("t.tsv", "text\tlabel\tsplit\na film\t1\ttrain\na plot\t\tdev\n"),
    ],
)
def test_labels_of_a_table_are_not_looked_at(tmp_path, name, content):
    (tmp_path / name).write_text(content)

    samples = read_corpus(tmp_path / name)

    assert rows(samples) == [
        (f"{name}:2", "a film", "train"),
        (f"{name}:3", "a plot", "val"),
    ]
    assert (samples.classes, samples.labels.tolist()) == (("",), [0, 0])


def test_tables_without_header_are_texts_and_labels(tmp_path):
    write(tmp_path, train_tsv="a film\t1\nb\t1\n", dev_tsv="a plot\t0\n")

    samples = read_corpus(tmp_path)

    assert [row[1:] for row in rows(samples)] == [
        ("a film", "train"),
        ("b", "train"),
        ("a plot", "val"),
    ]
    assert (samples.classes, samples.labels.tolist()) == (("",), [0, 0, 0])


def test_another_column_is_read(tmp_path):
    (tmp_path / "t.csv").write_text("review,text\na,b\n")
    assert [row[1] for row in rows(read_corpus(tmp_path / "t.csv", ("review",)))] == ["a"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no texts"),
        ({"a_txt": " \n\n"}, "holds no text"),
        ({"dev_txt": "a", "test_txt": "b"}, "should hold train.txt"),
        ({"train_txt": "a", "notes_txt": "b"}, "found notes.txt, train.txt"),
        ({"train_txt": "a", "dev_txt": "a", "val_txt": "b"}, "may hold val.txt or dev.txt"),
        ({"train_txt": "a", "train_csv": "text\na\n"}, "Keep one of the two"),
        ({"notes_csv": "text\na\n"}, "should hold train.tsv"),
    ],
)
def test_a_folder_that_cannot_be_read_is_refused(tmp_path, files, said):
    write(tmp_path, **files)
    with pytest.raises(BadData, match=said):
        read_corpus(tmp_path)


def test_other_files_are_refused(tmp_path):
    write(tmp_path, a_pdf="x", b_csv="words\na\n")
    (tmp_path / "c.txt").write_bytes("gr\xfcn".encode("latin-1"))

    with pytest.raises(UnknownName, match="ending of a file of texts"):
        read_corpus(tmp_path / "a.pdf")
    with pytest.raises(BadData, match="text"):
        read_corpus(tmp_path / "b.csv")
    with pytest.raises(BadData, match=r"is not UTF-8.*line 1.*iconv"):
        read_corpus(tmp_path / "c.txt")

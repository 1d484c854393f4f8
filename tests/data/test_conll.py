"""CoNLL files: columns, comments, documents, names of files, and what is refused."""

import numpy as np
import pytest

from keras_transfer.data import sources
from keras_transfer.data.conll import BLANK, holds_conll, read_conll
from keras_transfer.errors import BadData

GERMAN = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
German JJ B-NP B-MISC
call NN I-NP O

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER
"""


def write(folder, text, name="train.txt"):
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def sentences(samples):
    texts = samples.store.raw(samples.rows)
    return [*zip(samples.keys, texts, samples.cells["label"], strict=True)]


def test_a_file_of_conll_2003(tmp_path):
    samples = read_conll(write(tmp_path, GERMAN))
    assert sentences(samples) == [
        ("train.txt:3", "EU rejects German call", "B-ORG O B-MISC O"),
        ("train.txt:8", "Peter Blackburn", "B-PER I-PER"),
    ]
    assert set(samples.splits) == {""}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace(" ", "   "),
        lambda text: text.replace("\n\n", "\n \n\n\t\n"),
        lambda text: text.rstrip("\n"),
    ],
    ids=["bom", "crlf", "cr", "tabs", "blanks", "blank_lines", "no_last_newline"],
)
def test_files_are_written_in_many_ways(tmp_path, change):
    same = read_conll(write(tmp_path, change(GERMAN)))
    assert [row[1:] for row in sentences(same)] == [
        ("EU rejects German call", "B-ORG O B-MISC O"),
        ("Peter Blackburn", "B-PER I-PER"),
    ]


def test_comments_and_words_that_look_like_them(tmp_path):
    text = "# sent_id = 1\n# text = # no comment\n#\tO\nno\tO\n\n#newdoc\n#tag\tB-X\n# 1\tO\n"
    assert [row[1:] for row in sentences(read_conll(write(tmp_path, text)))] == [
        ("# no", "O O"),
        ("#tag #" + BLANK + "1", "B-X O"),
    ]


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ("EU B-ORG\nrejects\n", r"train\.txt.*\n.*line 2: no label: 'rejects'"),
        ("EU NNP B-ORG\nof O\n", r"line 2: 2 columns, not 3: 'of O'"),
        ("EU NNP\nof IN\n", r"2 lines .*\n.*line 1: 'NNP' is no label of an entity"),
        ("EU\tB-ORG\nof\t\n", r"line 2: no label|line 2: '' is no label"),
        ("\n\n-DOCSTART- O\n", "has no sentences"),
        (b"EU B-ORG\nM\xfcller B-PER\n", r"is not UTF-8: .*line 2"),
    ],
)
def test_lines_that_cannot_be_used_are_named(tmp_path, lines, wrong):
    with pytest.raises(BadData, match=wrong):
        read_conll(write(tmp_path, lines))


@pytest.mark.parametrize(
    "names",
    [
        ("train.txt", "dev.txt", "test.txt"),
        ("eng.train", "eng.testa", "eng.testb"),
        ("en_train.conll", "en-valid.conll", "en_test.conll"),
        ("train.bio", "val.bio", "test.bio"),
    ],
)
def test_names_of_files_say_the_split(tmp_path, names):
    for name in names:
        write(tmp_path, f"{name} O\n", name)
    write(tmp_path, "read me", "README")
    samples = sources.read(tmp_path, columns=("label",), texts=("text",))
    found = dict(zip(samples.store.raw(samples.rows), samples.splits, strict=True))
    assert found == dict(zip(names, ("train", "val", "test"), strict=True))


def test_files_that_leave_open_what_is_meant_are_refused(tmp_path):
    write(tmp_path, GERMAN, "train.txt")
    write(tmp_path, GERMAN, "train.conll")
    with pytest.raises(BadData, match=r"several files for train: train\.conll and train\.txt"):
        read_conll(tmp_path)
    with pytest.raises(BadData, match=r"a label for each word\. Use --objective tokens"):
        sources.read(tmp_path, texts=("text",))


def test_folders_of_other_files_are_not_meant(tmp_path):
    assert not holds_conll(tmp_path)
    write(tmp_path, "text\tlabel\na\t1\n", "train.tsv")
    write(tmp_path, GERMAN, "train.txt")
    assert not holds_conll(tmp_path)
    assert np.all([holds_conll(tmp_path / name) for name in ("x.conll", "eng.testa", "a.TXT")])


def test_numbers_of_words_are_no_words(tmp_path):
    """As in GermEval 2014, whose last column is another label as well."""
    file = write(tmp_path, "1\tEU\tO\tB-ORG\n2\trejects\tO\tO\n\n1\tPeter\tO\tB-PER\n")
    with pytest.raises(BadData, match="numbers the words in its first column"):
        read_conll(file)

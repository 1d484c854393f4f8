"""Texts without labels: lines of .txt files, or a column of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.regular_files import opened
from keras_transfer.data.samples import LABEL, SPLITS, Samples
from keras_transfer.data.split_names import SPLIT_WORDS
from keras_transfer.data.text_tables import TABLES, first_row, has_header
from keras_transfer.data.texts import Texts, read_texts
from keras_transfer.errors import BadData, UnknownName

__all__ = ["read_corpus"]

ENDING = ".txt"


def read_corpus(path: Path, columns: Sequence[str] = ("text",)) -> Samples:
    """Read texts; labels are not looked at.

    Args:
        path: A ``.txt`` file with a text in each line, in UTF-8; blank lines are left out. Or a
            ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file with the column, as for
            ``read_texts``. Or a folder: with such files called train, val (or dev, valid,
            validation) and test; or of ``.txt`` files with other names, which are read one after
            the other.
        columns: Name of the column of texts.

    Returns:
        Samples of one nameless class, with keys such as "train.txt:12" (file and line), and
        splits where files or a column of the table name them.

    Raises:
        BadData: A file cannot be used, or there is no text.
        UnknownName: The file has another ending.
    """
    files = _text_files(path) if path.is_dir() else [path] * (path.suffix.lower() == ENDING)
    samples = _of_lines(path, files) if files else _of_table(path, columns)
    ranks = {split: rank for rank, split in enumerate((*SPLITS, ""))}
    return samples.take(np.argsort([ranks[one] for one in samples.splits], kind="stable"))


def _text_files(folder: Path) -> list[Path]:
    """The .txt files of a folder; none where it has tables for the splits instead."""
    found = sorted(file for file in folder.iterdir() if file.name[0] != "." and file.is_file())
    tables = [file.name for file in found if file.suffix.lower() in TABLES]
    texts = [file for file in found if file.suffix.lower() == ENDING]
    if tables and any(_split_of(file) for file in texts):
        raise BadData(
            f"{folder} has texts in {ENDING} files and in tables ({', '.join(tables[:3])}). Keep "
            "one of the two."
        )
    if not texts and not tables:
        raise BadData(
            f"{folder} holds no texts: it should have {ENDING} files with a text in each line, or "
            "a table train.csv or train.tsv."
        )
    return [] if tables else texts


def _split_of(file: Path) -> str:
    return SPLIT_WORDS.get(file.stem.lower(), "")


def _of_lines(path: Path, files: Sequence[Path]) -> Samples:
    """A text in each line; the splits are those of the files' names if one of them is train."""
    named = [_split_of(file) for file in files] if path.is_dir() else [""]
    if any(named):
        _check_named(path, files, named)
    # A file of train alone is divided, as a table of that name is.
    given = [""] * len(named) if set(named) == {"train"} else named
    keys, texts, splits = [], [], []
    for file, split in zip(files, given, strict=True):
        for number, line in enumerate(_lines(file), start=1):
            if line.strip():
                keys.append(f"{file.name}:{number}")
                texts.append(line.strip())
                splits.append(split)
    if not texts:
        raise BadData(f"{path} holds no text.")
    store: Any = Texts(texts)
    return Samples.of(store, [""], keys, [0] * len(keys), splits=splits)


def _check_named(path: Path, files: Sequence[Path], named: Sequence[str]) -> None:
    others = [file.name for file, split in zip(files, named, strict=True) if not split]
    twice = [split for split in SPLITS if named.count(split) > 1]
    if "train" not in named or others or twice:
        listed = ", ".join(file.name for file in files[:10])
        raise BadData(
            f"{path} should hold train.txt, and may hold val.txt or dev.txt and test.txt, or only "
            f"files that are called otherwise; found {listed}."
        )


def _lines(file: Path) -> list[str]:
    with opened(file) as read:
        content = read.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadData(
            f"{file} is not UTF-8: {error.reason} at byte {error.start:,}, line {line:,}. Save it "
            "as UTF-8, for example by: iconv -f WINDOWS-1252 -t UTF-8"
        ) from error
    # Not splitlines(), which would also split at characters such as U+2028 in a text.
    return [line.removesuffix("\r") for line in text.split("\n")]


def _of_table(path: Path, columns: Sequence[str]) -> Samples:
    if not path.is_dir() and path.suffix.lower() not in TABLES:
        raise UnknownName("ending of a file of texts", path.suffix, (ENDING, *TABLES))
    tables = [path] if not path.is_dir() else [f for f in path.iterdir() if _is_train(f)]
    headless = any(not has_header(first_row(file), columns) for file in tables)
    # A table without header has two columns, the second of which are labels. As cells, any will do.
    samples = read_texts(path, columns, cells=(LABEL,) if headless else columns)
    labels = np.zeros(len(samples), "int32")
    return replace(samples, classes=("",), labels=labels, cells={})


def _is_train(file: Path) -> bool:
    return file.suffix.lower() in TABLES and _split_of(file) == "train"

"""Sentences in CoNLL files: a word and its label in each line, a blank line between sentences."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_transfer.data.samples import LABEL, SPLITS, Samples
from keras_transfer.data.split_names import SPLIT_WORDS, probable_split
from keras_transfer.data.tags import TAG
from keras_transfer.data.text_tables import TABLES, decoded
from keras_transfer.data.texts import Texts, holds_texts
from keras_transfer.errors import BadData

__all__ = ["BLANK", "ENDINGS", "holds_conll", "read_conll"]

logger = logging.getLogger("keras_transfer")

ENDINGS = (".txt", ".conll", ".bio", ".iob", ".iob2")
"""Of files of sentences."""

BLANK = "\u00a0"
"""What stands for a blank within a word, since blanks separate the words of a sentence."""

# Names of the files of CoNLL-2003: eng.train, eng.testa, eng.testb.
_SUFFIXES = {**SPLIT_WORDS, "testa": "val", "testb": "test"}
_DOCUMENT = "-DOCSTART-"


class _Sentence(NamedTuple):
    """Words and labels, and the number of the first line."""

    line: int
    words: list[str]
    tags: list[str]


def holds_conll(path: Path) -> bool:
    """Whether ``read_conll`` is meant: a file by its name, or a folder with such a train file."""
    if not path.is_dir():
        return path.suffix.lower() in ENDINGS or _suffix_split(path) != ""
    if holds_texts(path):
        return False
    return any(_split_of(file) == "train" for file in _files(path))


def read_conll(path: Path, column: str = LABEL) -> Samples:
    """Read sentences and the labels of their words.

    A line is a word: columns separated by tabs, or by blanks where it has no tab; the first is the
    word and the last its label. Blank lines end sentences, and so do lines that begin with
    ``-DOCSTART-``. A line that begins with ``#``, before the first word of a sentence and without
    a label, is a comment. UTF-8, with or without a byte order mark; lines end in LF or CRLF.

    Args:
        path: A file; or a folder with files called train, val (or dev, valid) and test, such as
            ``train.txt``, ``eng.testa`` or ``de_dev.conll``.
        column: Name of the cells of labels.

    Returns:
        An example for each sentence: its words joined by blanks, its labels in the cell of
        ``column`` likewise; keys such as "train.txt:12", file and first line. The splits are ""
        where there is one file.

    Raises:
        BadData: A file or a line cannot be used; lists the lines.
    """
    files = _split_files(path) if path.is_dir() else {"": path}
    alone = len(files) == 1
    rows = [
        (f"{file.name}:{sentence.line}", "" if alone else split, sentence)
        for split, file in files.items()
        for sentence in _sentences(file)
    ]
    keys, splits, sentences = zip(*rows, strict=True)
    return Samples.of(
        Texts([" ".join(one.words) for one in sentences]),
        [""],
        keys,
        np.zeros(len(keys), int),
        splits=splits,
        cells={column: [" ".join(one.tags) for one in sentences]},
    )


def _sentences(file: Path) -> list[_Sentence]:
    wrong: list[str] = []
    found = [*_parsed(file, wrong)]
    if wrong:
        raise BadData(
            f"{len(wrong):,} lines of {file} cannot be used. A line is a word, perhaps further "
            "columns, and a label (O, B-TYPE or I-TYPE), separated by tabs or blanks, as many "
            "columns in each line:",
            wrong,
        )
    if not found:
        raise BadData(f"{file} has no sentences.")
    if all(one.words == [*map(str, range(1, len(one.words) + 1))] for one in found):
        raise BadData(
            f"{file} numbers the words in its first column. The word has to be the first column, "
            "and its label the last: remove the numbers."
        )
    return found


def _parsed(file: Path, wrong: list[str]) -> Iterator[_Sentence]:
    """The sentences of a file; what is wrong is added to a list."""
    width = 0
    words: list[str] = []
    tags: list[str] = []
    start = 0
    # Not splitlines(), which would also split at characters such as U+2028 in a word.
    text = decoded(file).replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        cells = _cells(line)
        if not cells or cells[0].startswith(_DOCUMENT):
            if words:
                yield _Sentence(start, words, tags)
            words, tags = [], []
            continue
        if not words and _is_comment(line, cells):
            continue
        width = width or len(cells)
        if problem := _problem(cells, width):
            wrong.append(f"line {number}: {problem}: {line.strip()[:80]!r}")
        start = start if words else number
        words.append(cells[0].replace(" ", BLANK))
        tags.append(cells[-1])


def _cells(line: str) -> list[str]:
    if not line.strip():
        return []
    return [cell.strip() for cell in line.split("\t")] if "\t" in line.strip() else line.split()


def _is_comment(line: str, cells: list[str]) -> bool:
    # A word may begin with # too, but then it has a label.
    marked = line.startswith("#") and (len(cells) == 1 or line[1:2].isspace() or "=" in line)
    return marked and not TAG.fullmatch(cells[-1])


def _problem(cells: list[str], width: int) -> str:
    if len(cells) < 2:
        return "no label"
    if len(cells) != width:
        return f"{len(cells)} columns, not {width}"
    if not cells[0]:
        return "no word"
    return "" if TAG.fullmatch(cells[-1]) else f"{cells[-1]!r} is no label of an entity"


# --- which files ------------------------------------------------------------------------------


def _files(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise BadData(f"{folder} cannot be listed ({error.strerror}).") from error
    files = [folder / name for name in names if name[0] != "."]
    return [file for file in files if file.suffix.lower() not in TABLES and file.is_file()]


def _suffix_split(file: Path) -> str:
    return _SUFFIXES.get(file.suffix.lower().removeprefix("."), "")


def _split_of(file: Path) -> str:
    """The split that the name of a file stands for, or ""."""
    named = probable_split(file.stem) if file.suffix.lower() in ENDINGS else ""
    return named or _suffix_split(file)


def _split_files(folder: Path) -> dict[str, Path]:
    """The file of each split, train first."""
    by_split: dict[str, list[Path]] = {split: [] for split in SPLITS}
    files = _files(folder)
    for file in files:
        by_split.get(_split_of(file), []).append(file)
    for split, some in by_split.items():
        if len(some) > 1:
            names = " and ".join(file.name for file in some)
            raise BadData(f"{folder} has several files for {split}: {names}. Keep one of them.")
    if ignored := [file.name for file in files if not _split_of(file)]:
        logger.warning("Ignored files in %s named for no split: %s", folder, ", ".join(ignored))
    return {split: some[0] for split, some in by_split.items() if some}

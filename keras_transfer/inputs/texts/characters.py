"""BERT's treatment of each Unicode character, as lookup tables for graphs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

__all__ = [
    "CASED",
    "CJK",
    "CLASS_SHIFT",
    "DROP",
    "IGNORABLE",
    "MARK",
    "PAGE",
    "PUNCTUATION",
    "SPACE",
    "CharacterTable",
    "character_table",
]

CODE_POINTS = 0x110000
PAGE = 256  # code points; equal pages are stored once

# Flags of a character in the text.
DROP = 1  # control and format characters, and what stands for bytes that are not UTF-8
SPACE = 2
CJK = 4  # ideographs: each is a word of its own
CASED = 8  # these two decide which form a sigma takes, Unicode 3.13, "Final_Sigma"
IGNORABLE = 16
# Flags of a character after lowercasing and decomposition.
PUNCTUATION = 32  # each is a word of its own
MARK = 64  # nonspacing: accents
CLASS_SHIFT = 8  # above it: the canonical combining class, by which marks are ordered

_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_ASCII_PUNCTUATION = ((33, 47), (58, 64), (91, 96), (123, 126))  # symbols such as $ too


class CharacterTable(NamedTuple):
    """Three numbers for each code point, in pages of which equal ones are stored once.

    Attributes:
        page_of: (4352,) int32: number of the page of code points 256 i to 256 i + 255.
        pages: (p * 256, 3) int32: flags; how many characters it becomes; the difference to the
            character that it becomes, or where these begin in ``expansions`` if there are several.
        expansions: (e,) int32 code points.
    """

    page_of: np.ndarray
    pages: np.ndarray
    expansions: np.ndarray


@cache
def character_table(lowercase: bool) -> CharacterTable:
    """Tabulate the treatment of each character.

    Follows BERT's ``tokenization.py`` (Devlin et al. 2019, https://arxiv.org/abs/1810.04805):
    control characters are dropped, ideographs and punctuation stand alone; with ``lowercase``,
    characters become lower case, are decomposed (NFD) and lose their accents.

    Args:
        lowercase: As in an uncased BERT. Otherwise characters stay as they are.

    Returns:
        The table by Python's version of Unicode, ``unicodedata.unidata_version``.
    """
    rows = np.zeros((CODE_POINTS, 3), np.int32)
    rows[:, 1] = 1
    for low, high in _IDEOGRAPHS:
        rows[low : high + 1, 0] |= CJK
    expansions: list[int] = []
    for code, category in _assigned():
        rows[code, 0] |= _flags(code, category)
        if lowercase:
            rows[code, 0] |= _case_flags(chr(code)) | _mark_flags(chr(code), category)
            rows[code, 1:] = _becomes(code, expansions)
    pages, index = np.unique(rows.reshape(-1, PAGE * 3), axis=0, return_inverse=True)
    return CharacterTable(
        index.reshape(-1).astype(np.int32),
        pages.reshape(-1, 3),
        np.array(expansions or [0], np.int32),
    )


def _assigned() -> Iterator[tuple[int, str]]:
    """Code points with a special treatment, with their categories."""
    plain = {"Cn", "Co", "Cs"}  # Cs: no UTF-8 holds half of a surrogate pair
    for code in range(CODE_POINTS):
        category = unicodedata.category(chr(code))
        if category not in plain:
            yield code, category


def _flags(code: int, category: str) -> int:
    if chr(code) in " \t\n\r" or category == "Zs":
        return SPACE
    if code in (0, 0xFFFD) or category in ("Cc", "Cf"):
        return DROP
    if chr(code).isspace():  # U+2028 and U+2029, at which str.split() splits
        return SPACE
    ascii_punctuation = any(low <= code <= high for low, high in _ASCII_PUNCTUATION)
    return PUNCTUATION if ascii_punctuation or category.startswith("P") else 0


def _case_flags(character: str) -> int:
    """Derive a property of a character from ``str.lower``; Python has no other interface."""
    if (character + "Σ").lower()[-1] == "ς":
        return CASED
    return IGNORABLE if ("a" + character + "Σ").lower()[-1] == "ς" else 0


def _mark_flags(character: str, category: str) -> int:
    mark = MARK if category == "Mn" else 0
    return mark | unicodedata.combining(character) << CLASS_SHIFT


def _becomes(code: int, expansions: list[int]) -> tuple[int, int]:
    """Count of characters and difference to the only one, or place in ``expansions``."""
    decomposed = unicodedata.normalize("NFD", chr(code).lower())
    if len(decomposed) == 1:
        return 1, ord(decomposed) - code
    expansions += map(ord, decomposed)
    return len(decomposed), len(expansions) - len(decomposed)

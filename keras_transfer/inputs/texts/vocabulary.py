"""Vocabularies of WordPiece tokens, and their file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from keras_transfer.atomic import write_text
from keras_transfer.data.regular_files import opened
from keras_transfer.errors import BadData

__all__ = ["CONTINUATION", "SPECIAL_TOKENS", "Vocabulary"]

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUATION = "##"  # what a piece that continues a word begins with


@dataclass(frozen=True)
class Vocabulary:
    """WordPiece tokens; the index of a token is its id.

    Attributes:
        tokens: Different tokens, those of ``SPECIAL_TOKENS`` among them.
        lowercase: Whether they are lower case without accents; None: the settings say it.

    Raises:
        BadData: A special token is missing, or a token occurs twice.
    """

    tokens: tuple[str, ...]
    lowercase: bool | None = None

    def __post_init__(self) -> None:
        self._check("The vocabulary")

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def special(self) -> Mapping[str, int]:
        """Ids of the special tokens."""
        return {token: self.tokens.index(token) for token in SPECIAL_TOKENS}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the tokens in their order; equal for equal vocabularies only."""
        return hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()

    @classmethod
    def read(cls, file: Path, lowercase: bool | None = None) -> Vocabulary:
        """Read a ``vocabulary.txt``, or the ``vocab.txt`` of a BERT: a token in each line.

        Raises:
            BadData: The file cannot be read, is not UTF-8, or is no such vocabulary.
        """
        try:
            with opened(file) as content:
                text = content.read().decode()
        except UnicodeDecodeError as error:
            raise BadData(f"{file} is not UTF-8 ({error.reason} at byte {error.start}).") from error
        # Not splitlines(), which would also split at characters that are tokens.
        lines = text.removesuffix("\n").split("\n")
        try:
            return cls(tuple(line.removesuffix("\r") for line in lines), lowercase)
        except BadData as error:
            raise BadData(f"{file} cannot be used. {error}") from None

    def write(self, file: Path) -> None:
        """Write the tokens, one per line, UTF-8."""
        write_text(file, "".join(f"{token}\n" for token in self.tokens))

    def _check(self, source: str) -> None:
        present = set(self.tokens)
        if missing := [token for token in SPECIAL_TOKENS if token not in present]:
            raise BadData(
                f"{source} lacks the tokens {', '.join(missing)}. A WordPiece vocabulary has one "
                f"token per line, and among them {', '.join(SPECIAL_TOKENS)}."
            )
        if len(present) < len(self.tokens):
            raise BadData(f"{source} has tokens more than once:", _repeated(self.tokens))


def _repeated(tokens: Iterable[str]) -> list[str]:
    return [f"{token!r}: {n} times" for token, n in Counter(tokens).items() if n > 1]

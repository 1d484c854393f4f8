"""Texts as input: WordPiece tokens and the mask of padding."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from keras_transfer.atomic import write_json
from keras_transfer.inputs.base import Input
from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS, Vocabulary

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_transfer.data.samples import CheckResult
    from keras_transfer.inputs.texts.survey import TextSurvey
    from keras_transfer.inputs.texts.wordpiece import WordPiece

__all__ = ["VOCABULARY_FILE", "BoundText", "Text"]

VOCABULARY_FILE = "vocabulary.txt"
_WITHOUT_WORDS = ("Zs", "Zl", "Zp", "Cc", "Cf")  # categories that tokenisation drops or splits at


class Text(Input):
    """Texts, tokenised by a vocabulary that is learnt from the train split."""

    section: ClassVar[str] = "Network"
    learns: ClassVar[bool] = True

    type: Literal["text"] = "text"
    column: str = Field(
        "text", description="column of the texts", json_schema_extra={"section": "Data"}
    )
    length: Annotated[int, Field(ge=3)] = Field(
        128, description="tokens per text, including [CLS] and [SEP]; longer texts are truncated"
    )
    lowercase: bool = Field(True, description="convert to lower case and remove accents")
    vocabulary_size: Annotated[int, Field(ge=10)] = Field(
        8000, description="maximum size of the vocabulary learnt from the train split"
    )

    @property
    def text_column(self) -> str:
        """Name of the column of texts."""
        return self.column

    def fit(self, examples: Sequence[str | bytes]) -> Vocabulary:
        """Learn a vocabulary from (n,) texts; the order of the texts has no influence."""
        from keras_transfer.inputs.texts.learning import count_words, learn_vocabulary

        counts = count_words(examples, lowercase=self.lowercase)
        return learn_vocabulary(counts, self.vocabulary_size)

    def save(self, state: Vocabulary, folder: Path) -> None:
        """Write ``vocabulary.txt``."""
        state.write(folder / VOCABULARY_FILE)

    def load(self, folder: Path) -> Vocabulary:
        """Read ``vocabulary.txt``.

        Raises:
            BadData: It is missing or no vocabulary.
        """
        return Vocabulary.read(folder / VOCABULARY_FILE)

    def bind(self, state: Vocabulary, size: int = 0) -> BoundText:
        """Join the settings with a vocabulary; the length is the settings' own."""
        return BoundText(self, state)

    def judge(self, raw: bytes, name: str = "") -> CheckResult:
        """Digest a text, and say whether it is UTF-8 and has words."""
        from keras_transfer.data.samples import CheckResult

        digest = hashlib.sha256(raw).hexdigest()
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            return CheckResult(digest, f"is not UTF-8 ({error.reason} at byte {error.start})")
        empty = all(unicodedata.category(character) in _WITHOUT_WORDS for character in text)
        return CheckResult(digest, "is empty" if empty else "")


@dataclass(frozen=True)
class BoundText:
    """Texts with the vocabulary that their tokens come from.

    Attributes:
        settings: Length and lower case.
        vocabulary: The tokens.
        raw: Name and dtype of a served request.
    """

    settings: Text
    vocabulary: Vocabulary

    raw: ClassVar[tuple[str, str]] = ("text", "string")

    @property
    def spec(self) -> Mapping[str, tf.TensorSpec]:
        """``token_ids``, (length,) int32, and ``padding_mask``, (length,) bool, false at [PAD]."""
        import tensorflow as tf

        shape = [self.settings.length]
        return {
            "token_ids": tf.TensorSpec(shape, tf.int32, "token_ids"),
            "padding_mask": tf.TensorSpec(shape, tf.bool, "padding_mask"),
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """Settings, vocabulary and Unicode version, which determine the tokens."""
        return {
            "type": self.settings.type,
            "length": self.settings.length,
            "lowercase": self.settings.lowercase,
            "tokens": len(self.vocabulary),
            "vocabulary": self.vocabulary.digest,
            "unicode": unicodedata.unidata_version,
        }

    def prepare(self, raw: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turn () or (batch,) strings into tensors as in ``spec``, inside any graph.

        A call takes about as long for 32 texts as for 1: in ``tf.data``, batch first.
        """
        return self._tokenizer(raw)

    augments = False
    batched = True

    @property
    def augment_settings(self) -> dict[str, Any]:
        """Texts are not changed at random."""
        return {}

    def load(self, raw: tf.Tensor) -> dict[str, tf.Tensor]:
        """{"text": () string}: tokens are made of a batch."""
        return {"text": raw}

    def collate(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Tokens and mask of (batch,) texts; those that are there already stay."""
        return self.prepare(batch["text"]) if "text" in batch else dict(batch)

    def augment(self, batch: Mapping[str, tf.Tensor], seeds: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """Give the batch back: texts are not changed at random."""
        return batch

    def check(self, raw: bytes, name: str = "") -> CheckResult:
        """Digest a text, and say whether it is UTF-8 and has words."""
        return self.settings.judge(raw, name)

    def example(self) -> bytes:
        """The first tokens of the vocabulary, enough to fill the length."""
        tokens = [token for token in self.vocabulary.tokens if token not in SPECIAL_TOKENS]
        return " ".join(tokens[: self.settings.length]).encode()

    def write_assets(self, folder: Path) -> list[Path]:
        """Write ``vocabulary.txt``, and ``preprocessing.json``, which says how it is used."""
        self.settings.save(self.vocabulary, folder)
        file = folder / "preprocessing.json"
        content = {
            "tokens": "WordPiece as in BERT: [CLS] tokens [SEP] [PAD] ...",
            "token_ids": f"line of {VOCABULARY_FILE}, counted from 0",
            "padding_mask": "true for all tokens but [PAD]",
            **{name: self.metadata[name] for name in ("length", "lowercase")},
        }
        write_json(file, content)
        return [folder / VOCABULARY_FILE, file]

    def survey(self, texts: Sequence[str | bytes]) -> TextSurvey:
        """Count the tokens of (n,) texts, and those truncated, padded or unknown."""
        from keras_transfer.inputs.texts.survey import survey

        return survey(self._tokenizer, texts)

    @cached_property
    def _tokenizer(self) -> WordPiece:
        from keras_transfer.inputs.texts.wordpiece import WordPiece

        settings = self.settings
        return WordPiece(self.vocabulary, lowercase=settings.lowercase, length=settings.length)

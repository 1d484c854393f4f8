"""Texts as input: WordPiece tokens and the mask of padding."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from keras_transfer.atomic import write_json
from keras_transfer.data.regular_files import opened
from keras_transfer.errors import BadConfiguration, BadData
from keras_transfer.inputs.base import Input
from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS, Vocabulary

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_transfer.data.samples import CheckResult
    from keras_transfer.inputs.texts.survey import TextSurvey
    from keras_transfer.inputs.texts.wordpiece import Located, WordPiece

__all__ = ["PREPROCESSING_FILE", "TEXT", "VOCABULARY_FILE", "BoundText", "Text"]

TEXT = "text"
"""Name of the input of a served request."""

VOCABULARY_FILE = "vocabulary.txt"
PREPROCESSING_FILE = "preprocessing.json"
_WITHOUT_WORDS = ("Zs", "Zl", "Zp", "Cc", "Cf")  # categories that tokenisation drops or splits at


class Text(Input):
    """Texts, tokenised by the vocabulary of pretrained weights, or one learnt from train."""

    section: ClassVar[str] = "Network"
    learns: ClassVar[bool] = True

    several: ClassVar[bool] = False
    """Whether an example is a pair of texts."""

    type: Literal["text"] = "text"
    column: str = Field(
        "text", description="column of the texts", json_schema_extra={"section": "Data"}
    )
    length: Annotated[int, Field(ge=3)] = Field(
        128, description="tokens per text, including [CLS] and [SEP]; longer texts are truncated"
    )
    lowercase: bool | None = Field(
        None,
        description="convert to lower case and remove accents; None: as pretrained weights "
        "require, else yes",
    )
    vocabulary_size: Annotated[int, Field(ge=10)] = Field(
        8000,
        description="maximum size of a vocabulary learnt from the train split; pretrained weights "
        "bring their own",
    )

    group_by_length: bool = Field(
        True,
        description="train on batches of texts of similar length, as long as their longest text; "
        "faster, since little is padding",
        json_schema_extra={"section": "Training"},
    )

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Name of the column of texts."""
        return (self.column,)

    def fit(self, examples: Sequence[str | bytes]) -> Vocabulary:
        """Learn a vocabulary from (n,) texts; the order of the texts has no influence."""
        from keras_transfer.inputs.texts.learning import count_words, learn_vocabulary

        lowercase = self.lowercase is not False
        counts = count_words(examples, lowercase=lowercase)
        return replace(learn_vocabulary(counts, self.vocabulary_size), lowercase=lowercase)

    def of_preset(self, folder: Path) -> Vocabulary:
        """The vocabulary of a preset: pretrained embeddings belong to its tokens.

        Raises:
            BadWeights: It has none that can be used.
            BadData: The file of the vocabulary is no vocabulary.
        """
        from keras_transfer.networks.preset_files import tokenizer_of

        return Vocabulary.read(*tokenizer_of(folder))

    def save(self, state: Vocabulary, folder: Path) -> None:
        """Write ``vocabulary.txt``, and ``preprocessing.json``, which says how it is used."""
        state.write(folder / VOCABULARY_FILE)
        content = {
            **self.described(),
            "token_ids": f"line of {VOCABULARY_FILE}, counted from 0",
            "padding_mask": "true for all tokens but [PAD]",
            "length": self.length,
            "lowercase": self.bind(state).lowercase,
        }
        write_json(folder / PREPROCESSING_FILE, content)

    def described(self) -> dict[str, Any]:
        """How texts become tokens, for ``preprocessing.json``."""
        return {"tokens": "WordPiece as in BERT: [CLS] tokens [SEP] [PAD] ..."}

    def load(self, folder: Path) -> Vocabulary:
        """Read what ``save`` wrote; of older runs the settings say whether words are lower case.

        Raises:
            BadData: A file is missing or damaged.
        """
        file, lowercase = folder / PREPROCESSING_FILE, self.lowercase
        if file.exists():
            lowercase = _lowercase_in(file)
        return Vocabulary.read(folder / VOCABULARY_FILE, lowercase)

    def bind(self, state: Vocabulary, size: int = 0) -> BoundText:
        """Join the settings with a vocabulary; the length is the settings' own.

        Raises:
            BadConfiguration: The vocabulary is of texts in lower case, and the settings say
                otherwise, or the other way round.
        """
        if None not in (state.lowercase, self.lowercase) and state.lowercase != self.lowercase:
            raise BadConfiguration(
                f"input.lowercase = {str(self.lowercase).lower()}: the vocabulary of the weights "
                f"is {'' if state.lowercase else 'not '}one of lower-case words. Leave lowercase "
                "out, so that texts are prepared as for its training."
            )
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
        raw: Name and dtype of the input of a served request.
    """

    settings: Text
    vocabulary: Vocabulary

    raw: ClassVar[Mapping[str, str]] = {TEXT: "string"}

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
    def lowercase(self) -> bool:
        """Whether texts become lower case and lose their accents."""
        said = (self.vocabulary.lowercase, self.settings.lowercase)
        return next((one for one in said if one is not None), True)

    @property
    def metadata(self) -> dict[str, Any]:
        """Settings, vocabulary and Unicode version, which determine the tokens."""
        return {
            "type": self.settings.type,
            "length": self.settings.length,
            "lowercase": self.lowercase,
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
    def groups(self) -> bool:
        """Whether batches of training hold texts of similar length."""
        return self.settings.group_by_length

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

    def example(self) -> dict[str, bytes]:
        """The first tokens of the vocabulary, enough to fill the length."""
        tokens = [token for token in self.vocabulary.tokens if token not in SPECIAL_TOKENS]
        return {TEXT: " ".join(tokens[: self.settings.length]).encode()}

    def write_assets(self, folder: Path) -> list[Path]:
        """Write what ``Text.save`` writes."""
        self.settings.save(self.vocabulary, folder)
        return [folder / VOCABULARY_FILE, folder / PREPROCESSING_FILE]

    def survey(self, texts: Sequence[str | bytes]) -> TextSurvey:
        """Count the tokens of (n,) texts, and those truncated, padded or unknown."""
        from keras_transfer.inputs.texts.survey import survey

        return survey(self._tokenizer, texts)

    def located(self, raw: tf.Tensor) -> Located:
        """Tokens of (batch,) strings, and where the words of these tokens lie; in any graph."""
        return self._tokenizer.located(raw)

    @cached_property
    def _tokenizer(self) -> WordPiece:
        from keras_transfer.inputs.texts.wordpiece import WordPiece

        length = self.settings.length
        return WordPiece(self.vocabulary, lowercase=self.lowercase, length=length)


def _lowercase_in(file: Path) -> bool:
    try:
        with opened(file) as content:
            found = json.load(content)["lowercase"]
    except (ValueError, LookupError, TypeError):
        found = None
    if not isinstance(found, bool):
        raise BadData(f"{file} is damaged: it does not say whether words are lower case.")
    return found

"""Pairs of texts as input: both in one sequence of tokens, with a separator between them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from keras_transfer.data.samples import BOUNDARY, CheckResult
from keras_transfer.inputs.text import BoundText, Text

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_transfer.inputs.texts.pairs import PairWordPiece
    from keras_transfer.inputs.texts.survey import TextSurvey
    from keras_transfer.inputs.texts.vocabulary import Vocabulary

__all__ = ["PAIR", "SEGMENT_IDS", "BoundPair", "TextPair"]

PAIR = ("text_a", "text_b")
"""Names of the inputs of a served request, and of the columns by default."""

SEGMENT_IDS = "segment_ids"
"""Name of the network's input that says which text a token belongs to."""


class TextPair(Text):
    """Pairs of texts: paraphrases, questions and answers, premises and hypotheses."""

    several: ClassVar[bool] = True

    type: Literal["text_pair"] = "text_pair"  # type: ignore[assignment]
    column: str = Field(
        PAIR[0], description="column of the texts", json_schema_extra={"section": "Data"}
    )
    second_column: str = Field(
        PAIR[1],
        description="column of the second texts of pairs",
        json_schema_extra={"section": "Data"},
    )
    length: Annotated[int, Field(ge=5)] = Field(
        128,
        description="tokens per text, or per pair, including [CLS] and [SEP]; longer ones are "
        "truncated, of pairs the longer text first",
    )

    @model_validator(mode="after")
    def _two_columns(self) -> TextPair:
        if self.column.lower() == self.second_column.lower():
            raise ValueError(f"column and second_column are both {self.column}; name two columns")
        return self

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Names of the columns of texts."""
        return (self.column, self.second_column)

    def fit(self, examples: Sequence[Any]) -> Vocabulary:
        """Learn a vocabulary from all texts of (n,) pairs."""
        return super().fit([*chain.from_iterable(examples)])

    def bind(self, state: Vocabulary, size: int = 0) -> BoundPair:
        """Join the settings with a vocabulary; see ``Text.bind``."""
        bound = super().bind(state, size)
        return BoundPair(self, bound.vocabulary)

    def bind_to(self, state: Vocabulary, size: int, inputs: Collection[str]) -> BoundPair:
        """Bind without segments for a network that has no embeddings of them, as DistilBERT."""
        return replace(self.bind(state, size), segments=SEGMENT_IDS in inputs)

    def described(self) -> dict[str, Any]:
        """How pairs become tokens, for ``preprocessing.json``."""
        return {
            "tokens": "WordPiece as in BERT: [CLS] text_a [SEP] text_b [SEP] [PAD] ...; the longer "
            "text is truncated first",
            SEGMENT_IDS: "1 for the tokens of text_b and the [SEP] behind it, else 0; for networks "
            "that take them",
        }

    def judge(self, raw: bytes, name: str = "") -> CheckResult:
        """Digest a pair, and say whether both of its texts are UTF-8 and have words."""
        digest = hashlib.sha256(raw).hexdigest()
        for column, text in zip(self.text_columns, raw.split(BOUNDARY, 1), strict=True):
            if reason := super().judge(text).reason:
                return CheckResult(digest, f"{column} {reason}")
        return CheckResult(digest)


@dataclass(frozen=True)
class BoundPair(BoundText):
    """Pairs of texts with the vocabulary that their tokens come from.

    Attributes:
        segments: Whether the network takes ``segment_ids``.
    """

    segments: bool = True

    raw: ClassVar[Mapping[str, str]] = dict.fromkeys(PAIR, "string")

    @property
    def spec(self) -> Mapping[str, tf.TensorSpec]:
        """As of a text, and ``segment_ids``, (length,) int32: 1 for the second text, else 0."""
        import tensorflow as tf

        segments = {SEGMENT_IDS: tf.TensorSpec([self.settings.length], tf.int32, SEGMENT_IDS)}
        return {**super().spec, **(segments if self.segments else {})}

    @property
    def metadata(self) -> dict[str, Any]:
        """As of a text, and the names of the network's inputs."""
        return {**super().metadata, "inputs": [*self.spec]}

    def prepare(self, raw: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turn (2,) or (batch, 2) strings into tensors as in ``spec``, inside any graph."""
        tensors = self._tokenizer(raw)
        return {name: tensors[name] for name in self.spec}

    def example(self) -> dict[str, bytes]:
        """The first tokens of the vocabulary, enough to fill the length, for both texts."""
        (text,) = super().example().values()
        return dict.fromkeys(PAIR, text)

    def survey(self, texts: Sequence[Any]) -> TextSurvey:
        """Count the tokens of (n,) pairs of texts; see ``BoundText.survey``."""
        from keras_transfer.inputs.texts.survey import survey

        return survey(self._tokenizer, texts)

    @cached_property
    def _tokenizer(self) -> PairWordPiece:
        from keras_transfer.inputs.texts.pairs import PairWordPiece

        length = self.settings.length
        return PairWordPiece(self.vocabulary, lowercase=self.lowercase, length=length)

"""Which words the answers of a finished run for texts come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_transfer.data.samples import Samples
from keras_transfer.data.scan import scan
from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.evaluation.inference import compiled
from keras_transfer.explanations.asked import Asked
from keras_transfer.explanations.deletion import Deletion
from keras_transfer.explanations.sanity import EXAMPLES, Sanity, sanity_check
from keras_transfer.explanations.subject import BATCH, log_odds, score_of
from keras_transfer.inputs.table import read_input
from keras_transfer.networks.network import PADDING_MASK
from keras_transfer.runs.given import store_of
from keras_transfer.runs.run import Run

__all__ = ["TEXT_METHODS", "TextExplainer", "TextExplanation", "Word", "words_of"]

TEXT_METHODS = ("occlusion",)


class Word(NamedTuple):
    """A word of a text.

    Attributes:
        text: The word as it stands in the text.
        start: Its first character in the text, from 0.
        end: Behind its last character.
        score: What the log-odds lose where the network does not see it; above 0 it speaks for what
            is explained.
    """

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, eq=False)
class TextExplanation:
    """Which words an answer comes from.

    Attributes:
        path: The text itself, or file and line of a text in a table.
        error: Why the text cannot be used; empty where it can, and all below is there.
        text: The text.
        predicted: The answer.
        explained: Name of the class, label or target that is explained.
        score: Its probability; its value of a regression.
        value: Its log-odds; its value of a regression.
        words: In their order; those behind the length of the input are left out.
        deletion: None for a regression.
    """

    path: str
    error: str = ""
    text: str = ""
    predicted: str = ""
    explained: str = ""
    score: float = float("nan")
    value: float = float("nan")
    words: tuple[Word, ...] = ()
    deletion: Deletion | None = None


class _Tokens(NamedTuple):
    """A text as a network takes it.

    Attributes:
        text: The text.
        inputs: (length,) arrays by name.
        owners: (length,) int number of each token's word; -1 at [CLS], [SEP] and [PAD].
        spans: (words, 2) int characters.
    """

    text: str
    inputs: Mapping[str, np.ndarray]
    owners: np.ndarray
    spans: np.ndarray


def words_of(texts: Sequence[str], bound: Any) -> list[_Tokens]:
    """The tokens of texts, and the words that they are pieces of.

    Args:
        texts: One or more.
        bound: The input, with its vocabulary.
    """
    located = bound.located(tf.constant([*texts], tf.string))
    inputs = {name: tensor.numpy() for name, tensor in located.inputs.items()}
    starts, spans = located.starts.numpy(), located.spans.numpy()
    found = []
    for row, text in enumerate(texts):
        inside = spans[row, :, 1] > spans[row, :, 0]  # neither [CLS], [SEP] nor [PAD]
        owners = np.where(inside, np.cumsum(starts[row]) - 1, -1)
        given = {name: values[row] for name, values in inputs.items()}
        found.append(_Tokens(text, given, owners, spans[row][starts[row]]))
    return found


class TextExplainer:
    """Explains a run's answers for texts by leaving out each word.

    The padding mask hides all pieces of a word from attention and pooling, and the other words keep
    their places (occlusion, as Zeiler and Fergus 2014 do with images; leave-one-out, Li et al.
    2016, https://arxiv.org/abs/1612.08220). It needs no gradient, so it suits every network.

    Args:
        run: A finished run for texts.
        method: A row of ``TEXT_METHODS``.
        unit: As for ``Asked``.
        output: As for ``Asked``.
        sanity: Whether to compare with random weights.

    Attributes:
        asked: The output and the unit.
        sanity: The check on the first eight texts, once they are explained; None without.

    Raises:
        UnknownName: No method, class or output has this name.
        BadConfiguration: The run takes images or pairs of texts, or labels words.
    """

    def __init__(
        self,
        run: Run,
        method: str = "occlusion",
        unit: str | None = None,
        output: str | None = None,
        *,
        sanity: bool = True,
    ):
        columns = read_input(run.settings["input"]).text_columns
        if len(columns) != 1:
            raise BadConfiguration(
                f"The run in {run.folder} takes {'pairs of texts' if columns else 'images'}, and "
                "words are explained in single texts."
            )
        self.run, self.asked = run, Asked(run, unit, output)
        if method not in TEXT_METHODS:
            raise UnknownName("method for texts", method, TEXT_METHODS)
        self._forward = compiled(run.network.predictor)
        self._sanity = sanity
        self.sanity: Sanity | None = None

    def explain(self, texts: Any) -> Iterator[TextExplanation]:
        """Explain texts.

        Args:
            texts: As ``Run.predict`` takes them: texts, and tables of them as ``pathlib.Path``.

        Yields:
            One explanation a text, in their order; one that cannot be used has the reason.
        """
        given = [texts] if not isinstance(texts, list | tuple) else [*texts]
        names, store = store_of(given, columns=read_input(self.run.settings["input"]).text_columns)
        samples = Samples.of(store, [""], names, [0] * len(names))
        reasons = scan(samples, self.run.loading.input.check, None).reasons
        for start in range(0, len(names), BATCH):
            part = np.arange(start, min(start + BATCH, len(names)))
            good = part[reasons[part] == ""]
            raw = samples.store.raw(samples.rows[good]) if len(good) else []
            found = iter(self._chunk([names[place] for place in good], [*raw]))
            for place in part:
                reason = str(reasons[place])
                yield TextExplanation(names[place], reason) if reason else next(found)

    def _chunk(self, names: Sequence[str], raw: Sequence[Any]) -> list[TextExplanation]:
        if not names:
            return []
        texts = [
            one.decode("utf-8", "ignore") if isinstance(one, bytes) else str(one) for one in raw
        ]
        tokens = words_of(texts, self.run.loading.input)
        whole = [np.ones((1, len(one.spans)), bool) for one in tokens]
        outputs = [self._outputs(one, seen) for one, seen in zip(tokens, whole, strict=True)]
        joined = {name: np.concatenate([one[name] for one in outputs]) for name in outputs[0]}
        units, answers = self.asked.units(joined), self.asked.answers(joined)
        if self._sanity and self.sanity is None:
            self.sanity = self._checked(tokens[:EXAMPLES], units[:EXAMPLES])
        rows = zip(names, tokens, answers, units.tolist(), strict=True)
        return [self._explained(*row) for row in rows]

    def _explained(self, name: str, tokens: _Tokens, answer: str, unit: int) -> TextExplanation:
        value, score = self._values(tokens, np.ones((1, len(tokens.spans)), bool), unit)
        losses = self._losses(tokens, unit)
        words = [
            Word(tokens.text[start:end], int(start), int(end), float(loss))
            for (start, end), loss in zip(tokens.spans, losses, strict=True)
        ]
        return TextExplanation(
            name,
            text=tokens.text,
            predicted=answer,
            explained=self.asked.output.names[unit],
            score=float(score[0]),
            value=float(value[0]),
            words=tuple(words),
            deletion=self._deletion(tokens, losses, unit),
        )

    def _losses(self, tokens: _Tokens, unit: int) -> np.ndarray:
        """(words,) float64: what the value loses without each word."""
        count = len(tokens.spans)
        seen = np.concatenate([np.ones((1, count), bool), ~np.eye(count, dtype=bool)])
        values, _ = self._values(tokens, seen, unit)
        return values[0] - values[1:]

    def _deletion(self, tokens: _Tokens, losses: np.ndarray, unit: int) -> Deletion | None:
        """The area under the probability as words are left out: best first, and at random."""
        if self.asked.activation == "linear":
            return None
        chance = np.random.default_rng(0).permutation(len(losses))
        areas = []
        for order in (np.lexsort((chance, -losses)), chance):
            rank = np.argsort(order)
            seen = rank[np.newaxis] >= np.arange(len(losses) + 1)[:, np.newaxis]
            _, scores = self._values(tokens, seen, unit)
            areas.append(float((scores[1:] + scores[:-1]).mean() / 2))
        return Deletion(*areas)

    def _values(
        self, tokens: _Tokens, seen: np.ndarray, unit: int
    ) -> tuple[np.ndarray, np.ndarray]:
        logits = tf.constant(self._outputs(tokens, seen)[self.asked.name], tf.float32)
        units = tf.fill([len(seen)], unit)
        value = log_odds(logits, units, self.asked.activation)
        score = score_of(logits, units, self.asked.activation)
        return value.numpy().astype("float64"), score.numpy().astype("float64")

    def _outputs(self, tokens: _Tokens, seen: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name, for the (n, words) bool words that the network sees."""
        # The last column is that of tokens without a word.
        kept = np.concatenate([seen, np.ones((len(seen), 1), bool)], axis=1)[:, tokens.owners]
        found = []
        for start in range(0, len(seen), BATCH):
            part = kept[start : start + BATCH]
            inputs = {
                name: np.repeat(values[np.newaxis], len(part), axis=0)
                for name, values in tokens.inputs.items()
            }
            inputs[PADDING_MASK] &= part
            outputs = self._forward({name: tf.constant(x) for name, x in inputs.items()})
            found.append({name: x.numpy() for name, x in outputs.items()})
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    def _checked(self, tokens: Sequence[_Tokens], units: np.ndarray) -> Sanity | None:
        network = self.run.network
        return sanity_check(
            network.predictor,
            [*network.backbones.values()],
            lambda: [self._losses(one, int(n)) for one, n in zip(tokens, units, strict=True)],
        )

"""Entities in texts, by the scores of their tokens."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_transfer.evaluation.entities import entities_of

__all__ = ["WordPlaces", "entities_in", "word_places"]

logger = logging.getLogger("keras_transfer")


class WordPlaces(NamedTuple):
    """Where the words of a text are, as the tokeniser splits it.

    Attributes:
        text: The text.
        tokens: (words,) int place of each word's first token among the network's tokens.
        spans: (words, 2) int characters: where each word begins, and behind its end.
    """

    text: str
    tokens: np.ndarray
    spans: np.ndarray


def word_places(texts: Sequence[str], bound: Any) -> list[WordPlaces]:
    """Find the words of texts; those behind the length of the input are left out, with a warning.

    Args:
        texts: One or more.
        bound: The input, with its vocabulary.
    """
    import tensorflow as tf

    found = bound.located(tf.constant([*texts], tf.string))
    starts, spans = found.starts.numpy(), found.spans.numpy()
    rows = [
        WordPlaces(text, np.flatnonzero(starts[row]), spans[row][starts[row]])
        for row, text in enumerate(texts)
    ]
    tokens = found.inputs["padding_mask"].numpy().sum(axis=1)
    full = np.flatnonzero(tokens == bound.settings.length).tolist()
    # Of a text that fills the length exactly, nothing but blanks may be behind the last word.
    if cut := [row for row in full if _rest(rows[row]).strip()]:
        logger.warning(
            "Warning: %s of %s texts are longer than %s tokens; no entity behind these is found. "
            "Split them, e.g. into sentences",
            *(len(cut), len(rows), bound.settings.length),
        )
    return rows


def _rest(places: WordPlaces) -> str:
    end = int(places.spans[-1, 1]) if len(places.spans) else 0
    return places.text[end:]


def entities_in(
    places: WordPlaces, scores: np.ndarray, names: Sequence[str]
) -> list[dict[str, Any]]:
    """The entities of a text, in their order.

    Args:
        places: The words of the text.
        scores: (tokens, labels) float probabilities.
        names: Names of the labels: O, then B- and I- of each type.

    Returns:
        Dicts with ``text``, ``type``, ``start``, ``end`` (characters of the text, from 0, the end
        exclusive) and ``score``: the mean probability of the labels of its words.
    """
    chances = scores[places.tokens]
    found = []
    for entity in entities_of(chances.argmax(axis=-1)):
        start = int(places.spans[entity.start, 0])
        end = int(places.spans[entity.end, 1])
        of_words = chances[entity.start : entity.end + 1].max(axis=-1)
        found.append(
            {
                "text": places.text[start:end],
                "type": names[2 * entity.type + 1][2:],
                "start": start,
                "end": end,
                "score": float(of_words.mean()),
            }
        )
    return found

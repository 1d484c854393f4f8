"""Entities in labels of words, as seqeval and conlleval find them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Entity", "EntityCounts", "count_entities", "entities_of"]


class Entity(NamedTuple):
    """An entity: the first and the last of its words, and the number of its type."""

    start: int
    end: int
    type: int


class EntityCounts(NamedTuple):
    """Numbers of entities of n sentences by type, each (n, types) int64.

    Attributes:
        true: In the data.
        predicted: Predicted.
        right: Predicted with the same words and the same type.
    """

    true: np.ndarray
    predicted: np.ndarray
    right: np.ndarray


class _Marks(NamedTuple):
    """Of (m,) words: type from 1, 0 outside; whether an entity begins, and ends, there."""

    types: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def _marks(labels: np.ndarray, first: np.ndarray) -> _Marks:
    """Marks of (m,) labels (0 is O, 2k - 1 is B and 2k is I of type k), by sentence.

    As in conlleval, an I- behind O, or behind another type, begins an entity.
    """
    types = (labels + 1) // 2
    before = np.where(first, 0, np.r_[0, types[:-1]])
    starts = (types > 0) & ((labels % 2 == 1) | (types != before))
    after = np.r_[first[1:], True] | np.r_[starts[1:] | (types[1:] == 0), True]
    return _Marks(types, starts, (types > 0) & after)


def entities_of(labels: Sequence[int] | np.ndarray) -> list[Entity]:
    """The entities of a sentence.

    Args:
        labels: (words,) int: 0 is O; 2k - 1 and 2k are B and I of type k - 1.
    """
    values = np.asarray(labels, int)
    if not len(values):
        return []
    marks = _marks(values, np.arange(len(values)) == 0)
    places = np.flatnonzero(marks.starts), np.flatnonzero(marks.ends)
    return [
        Entity(start, end, int(marks.types[start]) - 1)
        for start, end in zip(*(one.tolist() for one in places), strict=True)
    ]


def count_entities(
    true: np.ndarray, predicted: np.ndarray, sentences: np.ndarray, n: int, types: int
) -> EntityCounts:
    """Count entities; a predicted one is right if its words and its type are those of a true one.

    Args:
        true: (m,) int labels of all words, one sentence after the other: 0 is O; 2k - 1 and 2k are
            B and I of type k.
        predicted: (m,) int.
        sentences: (m,) int number of each word's sentence, ascending.
        n: Number of sentences.
        types: Number of types.
    """
    first = np.r_[True, sentences[1:] != sentences[:-1]][: len(sentences)]
    a, b = _marks(true, first), _marks(predicted, first)
    inside = a.types > 0
    # All words of a true entity must have the type, and begin and end where it does.
    alike = (a.types == b.types) & (a.starts == b.starts) & (a.ends == b.ends)
    number = np.cumsum(a.starts) - 1
    faults = np.bincount(number[inside], ~alike[inside], minlength=int(a.starts.sum()))
    begins = np.flatnonzero(a.starts)
    right = begins[faults == 0]

    def table(places: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        cells = sentences[places] * types + kinds[places] - 1
        return np.bincount(cells, minlength=n * types).reshape(n, types)

    return EntityCounts(
        table(begins, a.types), table(np.flatnonzero(b.starts), b.types), table(right, a.types)
    )
